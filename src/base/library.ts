/** Which copy of the library this is, for errors where two of them meet in one program. */
export const LIBRARY: string = "tapeloop 0.1.0";

/** Whether the entry computes in float64. */
export const HAS_FLOAT64: boolean = true;
