/** Models and runs as bytes. Files are in `tapeloop/node`. */

export { type Checkpoint, decodeCheckpoint, encodeCheckpoint, type Json } from "./checkpoint.ts";
export { parse as parseSafetensors, type Safetensors, serialize as serializeSafetensors } from "./safetensors.ts";
