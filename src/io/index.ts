/** Models and runs as bytes. Files are in `tapeloop/node`. */

export { type Checkpoint, decodeCheckpoint, encodeCheckpoint, type Json } from "./checkpoint.ts";
export { type ByteRanges, openSafetensors, type SafetensorsFile, type TensorInfo } from "./open-safetensors.ts";
export { parse as parseSafetensors, type Safetensors, serialize as serializeSafetensors } from "./safetensors.ts";
