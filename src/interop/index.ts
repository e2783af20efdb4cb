/** Weights in the layouts of other frameworks. */

export { exportWeights, importWeights, type Layout, type RecurrentModule } from "./layouts.ts";
