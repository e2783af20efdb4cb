/** Hierarchies of recurrences in which higher levels advance only on unexpected input. */

export { type ChunkingOutputs, type ChunkingState, ChunkingSystem, type ChunkingSystemOptions } from "./chunking-system.ts";
export { HistoryCompressor, type HistoryCompressorOptions, type HistoryDescription, type HistoryItem } from "./history-compressor.ts";
export { Predictor } from "./predictor.ts";
