/** The recurrent cells of the literature, one file for each paper. */

export type { Activation } from "./activations.ts";
export { SimpleRecurrentNetwork, type SimpleRecurrentNetworkOptions } from "./elman.ts";
export { LSTM1997, type LSTM1997Options, type LSTM1997State } from "./lstm-1997.ts";
