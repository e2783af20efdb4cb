/** How recurrences of any kind are put together: read, stacked, in both directions, over grids and images, unrolled. */

export { Bidirectional, type BidirectionalState } from "./bidirectional.ts";
export type { LineState } from "./lines.ts";
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
export { type StackedLayer, StackedRNN, type StackedRNNOptions } from "./stacked.ts";
