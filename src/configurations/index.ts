/** How recurrences of any kind are put together: read, stacked, in both directions, over grids and images, unrolled. */

export { Bidirectional, type BidirectionalState } from "./bidirectional.ts";
export { LineRule, type LineState } from "./lines.ts";
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
  type PixelLSTMOptions,
  type PixelLSTMState,
  PixelRNN,
  type PixelRNNOptions,
  RowLSTM,
  type SampleOptions,
} from "./pixel-rnn.ts";
export { type StackedLayer, StackedRNN, type StackedRNNOptions } from "./stacked.ts";
