/** The model file in memory: decoded once, shared by all requests. */

import type { Vocabulary } from "tapeloop";
import { type CharModel, CharStream, decodeModel } from "tapeloop/models";
import { digestOf } from "./record.ts";

export interface Loaded {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly digest: Uint8Array;
  readonly model: CharModel;
  readonly vocabulary: Vocabulary;
  /** Lent to one piece of work at a time: each begins by setting its place and ends before anything else runs. */
  readonly stream: CharStream;
}

/** @throws FormatError, ShapeError for a file that is no such model */
export async function loadModel(bytes: Uint8Array<ArrayBuffer>): Promise<Loaded> {
  const { model, vocabulary } = decodeModel(bytes);
  return { bytes, digest: await digestOf(bytes), model, vocabulary, stream: new CharStream(model, vocabulary) };
}
