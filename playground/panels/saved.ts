/** What panels save that is more than weights: tensors and plain data in one safetensors file. */

import { parseSafetensors, serializeSafetensors, type Tensor } from "tapeloop";

/** @param kind the panel's name, which the file must bear to be read again */
export function toBytes(kind: string, data: unknown, tensors: ReadonlyMap<string, Tensor> = new Map()): Uint8Array<ArrayBuffer> {
  return serializeSafetensors(tensors, { panel: kind, data: JSON.stringify(data) });
}

/** @throws Error for another panel's file */
export function fromBytes<T>(kind: string, bytes: Uint8Array): { data: T; tensors: ReadonlyMap<string, Tensor> } {
  const { metadata, tensors } = parseSafetensors(bytes);
  if (metadata.panel !== kind) throw new Error(`This file is of the panel "${metadata.panel ?? "?"}", not of "${kind}".`);
  return { data: JSON.parse(metadata.data ?? "null") as T, tensors };
}
