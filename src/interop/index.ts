/** Weights in the layouts of other frameworks, and their files. */

export { exportWeights, importWeights, type Layout, type RecurrentModule } from "./layouts.ts";
export { parseTorch, type TorchFile, type TorchValue } from "./torch.ts";
