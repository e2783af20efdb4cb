/** Which copy of the library this is, for errors where two of them meet in one program. */
export const LIBRARY: string = "tapeloop 0.1.0";
