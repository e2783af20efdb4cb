/** Weights in the layouts of other frameworks, and their files. */

export type { HardSigmoid } from "./keras-cells.ts";
export { type Hdf5Node, type Hdf5Reader, type KerasFileOptions, loadKeras } from "./keras-file.ts";
export type { KerasLayer, KerasModel, KerasRecurrent, Mask, SequenceCall, SequenceResult } from "./keras-layers.ts";
export { type DescribedLayer, type KerasOptions, kerasModel } from "./keras-model.ts";
export { exportWeights, importWeights, type Layout, type RecurrentModule } from "./layouts.ts";
export { loadTfjs, type ModelJson, parseTfjs, type Shards, type TfjsFile } from "./tfjs.ts";
export { parseTorch, type TorchFile, type TorchValue } from "./torch.ts";
