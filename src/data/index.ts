/** From text and series to batches. */

export type { Batches, Cursor, Pass } from "./batches.ts";
export { NgramModel, type NgramOptions } from "./ngram.ts";
export { Scaler, type ScalerState, type SeriesOptions, type SeriesWindow, SeriesWindows } from "./series.ts";
export { type Sliceable, type Split, type SplitOptions, split as splitSequence } from "./split.ts";
export { type BuildOptions, Vocabulary, type VocabularyOptions } from "./text.ts";
export { type SymbolWindow, WindowBatches, type WindowOptions } from "./windows.ts";
