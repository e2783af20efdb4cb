/** Recurrences above recurrences that run at the pace of what was not foreseen. */

export {
  type ChunkingOutputs,
  type ChunkingState,
  ChunkingSystem,
  type ChunkingSystemOptions,
  HistoryCompressor,
  type HistoryCompressorOptions,
  type HistoryDescription,
  type HistoryItem,
  Predictor,
} from "./history-compressor.ts";
