/** How recurrences are put together: over grids, images, layers and sequences. */

export type { LineState } from "./lines.ts";
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
