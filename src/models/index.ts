/** Whole models: the character model that the command line trains, forecasts of trees of series. */

export {
  bitsPerCharacter,
  CharModel,
  type CharModelOptions,
  type CharState,
  type CharWindow,
  decodeModel,
  encodeModel,
} from "./char-model.ts";
export { CharStream, drawCharacter } from "./char-stream.ts";
export { CharacterEncoder, type CharacterEncoderOptions, Highway, type HighwayOptions } from "./character-encoder.ts";
export {
  BidirectionalLanguageModel,
  type BidirectionalLanguageModelOptions,
  ELMo,
  type SentenceOptions,
  type WordEncoder,
} from "./elmo.ts";
export { correlation, HRNN, type HRNNOptions, SeriesForecaster, type SeriesNode } from "./hrnn.ts";
export { type ModelKind, parseModel, registerModel, serializeModel } from "./model-file.ts";
export {
  type LayerSpec,
  type RecurrentSpec,
  type SequenceForwardOptions,
  SequenceModel,
  type SequenceOptions,
  type SequenceSpec,
  sequence,
} from "./sequence.ts";
