/** Reads WAV files: whole numbers of 8 to 32 bits and floats, any number of channels, which are averaged. */

import { FormatError } from "tapeloop/onnx/inference";

export interface Sound {
  /** Samples a second. */
  readonly rate: number;
  /** In [-1, 1]. */
  readonly samples: Float32Array<ArrayBuffer>;
}

interface Format {
  readonly channels: number;
  readonly rate: number;
  readonly bytes: number;
  readonly read: (data: DataView, at: number) => number;
}

const PCM = 1;
const FLOAT = 3;
const EXTENSIBLE = 0xfffe;

function fail(expected: string, got: unknown): never {
  throw new FormatError(`wav: expected ${expected}, got ${got}`);
}

/** By kind and bits. */
const READERS: Readonly<Record<string, Format["read"]>> = {
  [`${PCM} 8`]: (d, at) => (d.getUint8(at) - 128) / 2 ** 7,
  [`${PCM} 16`]: (d, at) => d.getInt16(at, true) / 2 ** 15,
  [`${PCM} 24`]: (d, at) => (d.getUint8(at) + d.getInt16(at + 1, true) * 2 ** 8) / 2 ** 23,
  [`${PCM} 32`]: (d, at) => d.getInt32(at, true) / 2 ** 31,
  [`${FLOAT} 32`]: (d, at) => d.getFloat32(at, true),
  [`${FLOAT} 64`]: (d, at) => d.getFloat64(at, true),
};

function formatOf(chunk: DataView): Format {
  if (chunk.byteLength < 16) fail("a format of at least 16 bytes", chunk.byteLength);
  const code = chunk.getUint16(0, true);
  const kind = code === EXTENSIBLE && chunk.byteLength >= 26 ? chunk.getUint16(24, true) : code;
  const [channels, rate, bits] = [chunk.getUint16(2, true), chunk.getUint32(4, true), chunk.getUint16(14, true)];
  const read = READERS[`${kind} ${bits}`];
  if (read === undefined) fail("whole numbers of 8, 16, 24 or 32 bits or floats of 32 or 64", `kind ${kind} of ${bits}`);
  if (channels === 0 || rate === 0) fail("channels and a rate", `${channels} and ${rate}`);
  return { channels, rate, bytes: bits / 8, read };
}

/** The chunks after the head, by name; a last one that is cut short, as those of streams are, is as long as what is there. */
function chunksOf(file: DataView): Map<string, DataView> {
  const chunks = new Map<string, DataView>();
  for (let at = 12; at + 8 <= file.byteLength; ) {
    const name = nameAt(file, at);
    const size = Math.min(file.getUint32(at + 4, true), file.byteLength - at - 8);
    if (!chunks.has(name)) chunks.set(name, new DataView(file.buffer, file.byteOffset + at + 8, size));
    at += 8 + size + (size % 2);
  }
  return chunks;
}

function nameAt(file: DataView, at: number): string {
  return String.fromCharCode(...new Uint8Array(file.buffer, file.byteOffset + at, 4));
}

function isWav(bytes: Uint8Array): boolean {
  const file = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return file.byteLength >= 12 && nameAt(file, 0) === "RIFF" && nameAt(file, 8) === "WAVE";
}

/** @throws FormatError for bytes that are no such file */
export function readWav(bytes: Uint8Array): Sound {
  if (!isWav(bytes)) fail("a RIFF file of kind WAVE", `${bytes.length} other bytes`);
  const chunks = chunksOf(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  const [head, data] = [chunks.get("fmt "), chunks.get("data")];
  if (head === undefined || data === undefined) fail("chunks fmt and data", [...chunks.keys()].join(", ") || "none");
  const { channels, rate, bytes: width, read } = formatOf(head);
  const samples = new Float32Array(Math.floor(data.byteLength / (channels * width)));
  for (let i = 0; i < samples.length; i++) {
    let sum = 0;
    for (let c = 0; c < channels; c++) sum += read(data, (i * channels + c) * width);
    samples[i] = sum / channels;
  }
  return { rate, samples };
}
