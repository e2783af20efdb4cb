/** Finding the output sequence: greedy and beam search. */

export { type Autoregressive, type BeamOptions, beamSearch, type DecodingOptions, greedySearch, type Hypothesis } from "./beam-search.ts";
