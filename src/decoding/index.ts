/** Finds output sequences: greedy and beam search, decoding of connectionist temporal classification, Viterbi. */

export { type Autoregressive, type BeamOptions, beamSearch, type DecodingOptions, greedySearch, type Hypothesis } from "./beam-search.ts";
export {
  type CtcBeamOptions,
  type CtcDecodingOptions,
  type CtcHypothesis,
  type CtcPath,
  type CtcSpan,
  ctcAlign,
  ctcBeamSearch,
  ctcGreedy,
  type LabelModel,
} from "./ctc.ts";
export { drawClasses } from "./draw.ts";
export { type Chain, type Labelling, type ViterbiOptions, viterbi } from "./viterbi.ts";
