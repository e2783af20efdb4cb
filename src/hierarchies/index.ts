/** Recurrences above recurrences that run at the pace of what was not foreseen. */

export { type ChunkingOutputs, type ChunkingState, ChunkingSystem, type ChunkingSystemOptions } from "./chunking-system.ts";
export { HistoryCompressor, type HistoryCompressorOptions, type HistoryDescription, type HistoryItem } from "./history-compressor.ts";
export { Predictor } from "./predictor.ts";
