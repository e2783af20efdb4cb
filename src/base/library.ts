/** Names this copy of the library, for errors when two copies meet in one program. */
export const LIBRARY: string = "tapeloop 0.1.0";

/** Whether the entry computes in float64. */
export const HAS_FLOAT64: boolean = true;
