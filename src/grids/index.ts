/** Networks over grids and images. */

export { LineRule, type LineState } from "./lines.ts";
export { MaskedConv2d, type MaskedConv2dOptions, type MaskType } from "./masked-conv.ts";
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
