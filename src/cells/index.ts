/** The recurrent cells of the literature, one file for each paper. */

export { type Activation, type ActivationName, clippedActivation } from "./activations.ts";
export {
  DelayGraph,
  type DelayGraphOptions,
  FilterStore,
  type FilterStoreOptions,
  type FilterStoreState,
  GatedStore,
  type GatedStoreOptions,
  type GatedStoreState,
  IdentityStore,
} from "./delays/gated-store.ts";
export {
  type LocalFeedback,
  LocalFeedbackLayer,
  LocalFeedbackNetwork,
  type LocalFeedbackNetworkOptions,
  type LocalFeedbackOptions,
  type LocalFeedbackState,
} from "./delays/local-feedback.ts";
export { HiddenDelayNetwork, type HiddenDelayOptions, NARX, type NARXOptions, type NARXState } from "./delays/narx.ts";
export {
  DeepIndRNN,
  type DeepIndRNNOptions,
  DenseIndRNN,
  type DenseIndRNNOptions,
  type IndRNNNetOptions,
  type IndRNNNorm,
  ResidualIndRNN,
  type ResidualIndRNNOptions,
} from "./diagonal/deep-ind-rnn.ts";
export { clipRecurrentWeights, IndRNN, type IndRNNOptions, type RecurrentClipOptions } from "./diagonal/ind-rnn.ts";
export { type Complex, LRU, type LRUOptions } from "./diagonal/lru.ts";
export { MinGRU, MinLSTM, type MinRNNOptions } from "./diagonal/min-rnn.ts";
export { QRNN, type QRNNOptions, type QRNNPooling, type QRNNState } from "./diagonal/qrnn.ts";
export { RWKVChannelMix, type RWKVOptions, RWKVTimeMix, type RWKVTimeMixState } from "./diagonal/rwkv.ts";
export { Mamba, type MambaOptions, type MambaState, SelectiveScan, type SelectiveScanOptions } from "./diagonal/selective-scan.ts";
export { SRU, type SRUOptions } from "./diagonal/sru.ts";
export { ConvLSTM, type ConvLSTMOptions, type ConvLSTMState } from "./gated/conv-lstm.ts";
export { GRU1, GRU2, GRU3 } from "./gated/gate-variants.ts";
export {
  GatedFeedbackGRU,
  GatedFeedbackLSTM,
  type GatedFeedbackLSTMState,
  type GatedFeedbackOptions,
  GatedFeedbackRNN,
} from "./gated/gated-feedback.ts";
export type { HiddenCellOptions } from "./gated/hidden-cell.ts";
export { LSTM1997, type LSTM1997Options, type LSTM1997State } from "./gated/lstm-1997.ts";
export {
  OdysseyLSTM,
  type OdysseyLSTMOptions,
  type OdysseyParts,
  type OdysseyState,
  type OdysseyVariant,
  odysseyVariants,
} from "./gated/lstm-odyssey.ts";
export { MGU } from "./gated/mgu.ts";
export { MUT1, MUT2, MUT3 } from "./gated/mut.ts";
export { RecurrentDropoutLSTM } from "./gated/recurrent-dropout.ts";
export { MLSTM, type MLSTMOptions, type MLSTMState, SLSTM, type SLSTMOptions, type SLSTMState, type XLSTMOptions } from "./gated/xlstm.ts";
export { SimpleRecurrentNetwork, type SimpleRecurrentNetworkOptions } from "./simple/elman.ts";
export { FullyRecurrentNetwork, type FullyRecurrentOptions } from "./simple/fully-recurrent.ts";
export {
  type JordanDecayOptions,
  JordanNetwork,
  type JordanOptions,
  JordanSequentialNetwork,
  type JordanState,
  JordanStateNetwork,
  type JordanStateOptions,
  TeacherForced,
} from "./simple/jordan.ts";
export { RMLP, type RMLPOptions } from "./simple/rmlp.ts";
export { SecondOrderRNN, type SecondOrderRNNOptions } from "./simple/second-order.ts";
export { type ClockworkOptions, ClockworkRNN, type ClockworkState } from "./timescales/clockwork.ts";
export { ClosedFormContinuousTime, type ClosedFormOptions } from "./timescales/closed-form.ts";
export { CTRNN, type CTRNNOptions } from "./timescales/ctrnn.ts";
export { HierarchicalRNN, type HierarchicalRNNOptions, type HierarchicalState, type HierarchyLevel } from "./timescales/hierarchical.ts";
export { LeakyRNN, type LeakyRNNOptions } from "./timescales/leaky.ts";
export { type LiquidOptions, LiquidTimeConstant } from "./timescales/liquid.ts";
export { MTRNN, type MTRNNOptions } from "./timescales/mtrnn.ts";
export { PearlmutterNetwork, type PearlmutterOptions } from "./timescales/pearlmutter.ts";
