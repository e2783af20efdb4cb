/** Names this copy of the library; replaces library.ts in the small entry for recurrent layers. */
export const LIBRARY: string = "tapeloop/inference 0.1.0";

/** Its kernels have no float64 instances. */
export const HAS_FLOAT64: boolean = false;
