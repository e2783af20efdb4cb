/** Names this copy of the library; replaces library.ts in the small entry that runs ONNX models. */
export const LIBRARY: string = "tapeloop/onnx/inference 0.1.0";

/** It has the main entry's kernels. */
export const HAS_FLOAT64: boolean = true;
