import { parse, type Safetensors, serialize } from "../src/io/safetensors.ts";
import { scope } from "../src/tensor/tensor.ts";

/** The parts of a checkpoint or of a saved search, without the checksum: put together otherwise they are looked at, not refused for it. */
export function unsealedParts(bytes: Uint8Array): Safetensors {
  const file = parse(bytes);
  delete file.metadata.checksum;
  return file;
}

/** The same file as it was before there were checksums. */
export function unsealed(bytes: Uint8Array): Uint8Array {
  return scope(() => {
    const { tensors, metadata } = unsealedParts(bytes);
    return serialize(tensors, metadata);
  });
}
