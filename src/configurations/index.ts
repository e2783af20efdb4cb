/** How recurrences of any kind are put together: read, stacked, in both directions, over grids and images, unrolled. */

export type { AttentionState } from "./attention.ts";
export { BahdanauDecoder, type BahdanauDecoderOptions } from "./bahdanau.ts";
export { Bidirectional, type BidirectionalState } from "./bidirectional.ts";
export { CharacterEncoder, type CharacterEncoderOptions, Highway, type HighwayOptions } from "./character-encoder.ts";
export { ContextDecoder, type ContextDecoderOptions, type ContextState } from "./cho.ts";
export { Decoder, type EncoderSizes } from "./decoder.ts";
export { type Autoregressive, type BeamOptions, beamSearch, type DecodingOptions, greedySearch, type Hypothesis } from "./decoding.ts";
export {
  BidirectionalLanguageModel,
  type BidirectionalLanguageModelOptions,
  ELMo,
  type SentenceOptions,
  type WordEncoder,
} from "./elmo.ts";
export { Encoder, type EncoderOptions, type Source } from "./encoder.ts";
export { EncoderDecoder, type EncoderDecoderOptions, type SequenceLossOptions, type Sequences } from "./encoder-decoder.ts";
export { LineRule, type LineState } from "./lines.ts";
export { LuongDecoder, type LuongDecoderOptions, type LuongScore, type LuongState } from "./luong.ts";
export { MealyMachine, type MealyState, MooreMachine, type Readout } from "./machines.ts";
export { MaskedConv2d, type MaskedConv2dOptions, type MaskType } from "./masked-conv.ts";
export { type FreeRunOptions, freeRun, lastStep, oneToMany } from "./modes.ts";
export {
  type GridNetwork,
  MDLSTM,
  type MDLSTMOptions,
  type MDLSTMState,
  MDRNN,
  type MDRNNOptions,
  MultiDimensional,
  type MultiDimensionalOptions,
  MultiDirectional,
  type MultiDirectionalOptions,
  StableMDLSTM,
} from "./multi-dimensional.ts";
export {
  DiagonalBiLSTM,
  DiagonalLSTM,
  type PixelLayer,
  type PixelLSTMOptions,
  type PixelLSTMState,
  type RasterMemory,
  RowLSTM,
} from "./pixel-lstm.ts";
export { PixelRNN, type PixelRNNOptions, type SampleOptions } from "./pixel-rnn.ts";
export { type StackedLayer, StackedRNN, type StackedRNNOptions } from "./stacked.ts";
export { StateDecoder, type StateDecoderOptions } from "./sutskever.ts";
export { DetachEvery, type TruncatedOptions, truncatedBptt } from "./truncated.ts";
export { LearnedInitialState, Reversed, StateClip, Wrapper } from "./wrappers.ts";
