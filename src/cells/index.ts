/** The recurrent cells of the literature, one file for each paper. */

export type { Activation } from "./activations.ts";
export { SimpleRecurrentNetwork, type SimpleRecurrentNetworkOptions } from "./elman.ts";
