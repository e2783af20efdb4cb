/** The recurrent cells of the literature, one file for each paper. */

export { type Activation, type ActivationName, clippedActivation } from "./activations.ts";
export { type Automaton, acceptsWord, differingWord, minimizeAutomaton, runAutomaton, tomita } from "./automata.ts";
export { type ClockworkOptions, ClockworkRNN, type ClockworkState } from "./clockwork.ts";
export { ClosedFormContinuousTime, type ClosedFormOptions } from "./closed-form.ts";
export { ConvLSTM, type ConvLSTMOptions, type ConvLSTMState } from "./conv-lstm.ts";
export { CTRNN, type CTRNNOptions } from "./ctrnn.ts";
export {
  DeepIndRNN,
  type DeepIndRNNOptions,
  DenseIndRNN,
  type DenseIndRNNOptions,
  type IndRNNNetOptions,
  type IndRNNNorm,
  ResidualIndRNN,
  type ResidualIndRNNOptions,
} from "./deep-ind-rnn.ts";
export { SimpleRecurrentNetwork, type SimpleRecurrentNetworkOptions } from "./elman.ts";
export { FullyRecurrentNetwork, type FullyRecurrentOptions } from "./fully-recurrent.ts";
export { GRU1, GRU2, GRU3 } from "./gate-variants.ts";
export {
  GatedFeedbackGRU,
  GatedFeedbackLSTM,
  type GatedFeedbackLSTMState,
  type GatedFeedbackOptions,
  GatedFeedbackRNN,
} from "./gated-feedback.ts";
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
} from "./gated-store.ts";
export type { HiddenCellOptions } from "./hidden-cell.ts";
export { HierarchicalRNN, type HierarchicalRNNOptions, type HierarchicalState, type HierarchyLevel } from "./hierarchical.ts";
export {
  type ChunkingOutputs,
  type ChunkingState,
  ChunkingSystem,
  type ChunkingSystemOptions,
  HistoryCompressor,
  type HistoryCompressorOptions,
  type HistoryDescription,
  type HistoryItem,
  Predictor,
} from "./history-compressor.ts";
export { clipRecurrentWeights, IndRNN, type IndRNNOptions, type RecurrentClipOptions } from "./ind-rnn.ts";
export {
  type JordanDecayOptions,
  JordanNetwork,
  type JordanOptions,
  JordanSequentialNetwork,
  type JordanState,
  JordanStateNetwork,
  type JordanStateOptions,
  TeacherForced,
} from "./jordan.ts";
export { type LiquidOptions, LiquidTimeConstant } from "./liquid.ts";
export {
  type LocalFeedback,
  LocalFeedbackLayer,
  LocalFeedbackNetwork,
  type LocalFeedbackNetworkOptions,
  type LocalFeedbackOptions,
  type LocalFeedbackState,
} from "./local-feedback.ts";
export { type Complex, LRU, type LRUOptions } from "./lru.ts";
export { LSTM1997, type LSTM1997Options, type LSTM1997State } from "./lstm-1997.ts";
export {
  OdysseyLSTM,
  type OdysseyLSTMOptions,
  type OdysseyParts,
  type OdysseyState,
  type OdysseyVariant,
  odysseyVariants,
} from "./lstm-odyssey.ts";
export { MGU } from "./mgu.ts";
export { MinGRU, MinLSTM, type MinRNNOptions } from "./min-rnn.ts";
export { MTRNN, type MTRNNOptions } from "./mtrnn.ts";
export { MUT1, MUT2, MUT3 } from "./mut.ts";
export { HiddenDelayNetwork, type HiddenDelayOptions, NARX, type NARXOptions, type NARXState } from "./narx.ts";
export { QRNN, type QRNNOptions, type QRNNPooling, type QRNNState } from "./qrnn.ts";
export { RecursiveNetwork, type RecursiveOptions } from "./recursive.ts";
export { RMLP, type RMLPOptions } from "./rmlp.ts";
export { RecursiveNeuralTensorNetwork, type TensorNetworkOptions } from "./rntn.ts";
export { RWKVChannelMix, type RWKVOptions, RWKVTimeMix, type RWKVTimeMixState } from "./rwkv.ts";
export {
  type ExtractOptions,
  extractAutomaton,
  type InsertOptions,
  insertAutomaton,
  type LabelledWord,
  SecondOrderRNN,
  type SecondOrderRNNOptions,
} from "./second-order.ts";
export { Mamba, type MambaOptions, type MambaState, SelectiveScan, type SelectiveScanOptions } from "./selective-scan.ts";
export { SRU, type SRUOptions } from "./sru.ts";
export { Children, type Forest, forestOf, Structure, StructureNetwork, type StructureOptions, type Tree, visitNodes } from "./structure.ts";
export { ChildSumTreeLSTM, NaryTreeLSTM, type NaryTreeLSTMOptions, type TreeLSTMOptions } from "./tree-lstm.ts";
export { MLSTM, type MLSTMOptions, type MLSTMState, SLSTM, type SLSTMOptions, type SLSTMState, type XLSTMOptions } from "./xlstm.ts";
