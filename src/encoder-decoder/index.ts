/** Sequences to sequences: encoders, decoders, attention. */

export type { AttentionState } from "./attention.ts";
export { BahdanauDecoder, type BahdanauDecoderOptions } from "./bahdanau.ts";
export { ContextDecoder, type ContextDecoderOptions, type ContextState } from "./cho.ts";
export { Decoder, type EncoderSizes } from "./decoder.ts";
export { Encoder, type EncoderOptions, type Source } from "./encoder.ts";
export {
  EncoderDecoder,
  type EncoderDecoderOptions,
  type PaddedSymbols,
  type SequenceLossOptions,
  type Sequences,
} from "./encoder-decoder.ts";
export { LuongDecoder, type LuongDecoderOptions, type LuongScore, type LuongState } from "./luong.ts";
export { StateDecoder, type StateDecoderOptions } from "./sutskever.ts";
