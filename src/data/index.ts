/** From text and series to batches. */

export type { Batches, Cursor, Pass } from "./batches.ts";
export { NgramModel, type NgramOptions } from "./ngram.ts";
export {
  type SequenceBatch,
  SequenceBatches,
  type SequenceBatchesOptions,
  type SequenceExample,
  type TargetsOf,
} from "./sequence-batches.ts";
export { type PaddedSequences, type PadOptions, padSequences, type SequenceData, unpad } from "./sequences.ts";
export { Scaler, type ScalerState, type SeriesOptions, type SeriesWindow, SeriesWindows } from "./series.ts";
export { type RandomSplitOptions, randomSplit, type Sliceable, type Split, type SplitOptions, split as splitSequence } from "./split.ts";
export { type BuildOptions, Vocabulary, type VocabularyOptions } from "./text.ts";
export { type EncodeOptions, type SpecialTokens, type TokenBuildOptions, TokenVocabulary, tokenize } from "./tokens.ts";
export { type SymbolWindow, WindowBatches, type WindowOptions } from "./windows.ts";
