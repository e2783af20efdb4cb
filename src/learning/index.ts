/** Gradient algorithms besides backpropagation through time. Each is another rule for the derivative of a scan. */

export type { GradientAlgorithm, Learner, TakenStep } from "./algorithm.ts";
export { type BpttOptions, bptt } from "./bptt.ts";
export { BroadcastLinear, type BroadcastLinearOptions } from "./broadcast.ts";
export {
  type AdjointMode,
  type ContinuousAdjointOptions,
  type ContinuousRecurrence,
  continuousAdjoint,
} from "./continuous-adjoint.ts";
export { type CrossCoupledOptions, CrossCoupledPerceptron } from "./cross-coupled.ts";
export { Curriculum, type CurriculumOptions, type CurriculumState, type CurriculumStrategy } from "./curriculum.ts";
export { eprop } from "./eprop.ts";
export {
  type EnergyRecurrence,
  EquilibriumNetwork,
  type EquilibriumNetworkOptions,
  type EquilibriumPropagationOptions,
  equilibriumPropagation,
} from "./equilibrium-propagation.ts";
export { type Equilibrium, equilibrium, type FixedPointAlgorithmOptions, type FixedPointReport, fixedPoint } from "./fixed-point.ts";
export { HebbianLayer, type HebbianOptions, type HebbianRule } from "./hebbian.ts";
export { hybrid, rtrl } from "./hybrid.ts";
export { KalmanFilter, type KalmanFilterOptions, type KalmanUpdateOptions } from "./kalman.ts";
export { type KfRtrlOptions, kfRtrl } from "./kf-rtrl.ts";
export { ProfessorForcing, type ProfessorForcingOptions, type ProfessorLosses } from "./professor-forcing.ts";
export { type CRBPOptions, crbp, projectPoles, rbp } from "./recursive-backprop.ts";
export {
  type Environment,
  type Episodes,
  type ReinforceLosses,
  type ReinforceOptions,
  type RolloutOptions,
  reinforceLosses,
  returnsToGo,
  rollout,
} from "./reinforce.ts";
export { rflo } from "./rflo.ts";
export {
  type FlowEdge,
  type FlowNode,
  type FlowStructure,
  leeSensitivities,
  type NodeKind,
  SignalFlowGraph,
  type TransposedGraphOptions,
  transpose,
  transposedGraph,
  transposedResponse,
} from "./signal-flow/index.ts";
export { snap } from "./snap.ts";
export { exponentialDecay, inverseSigmoidDecay, type LinearDecayOptions, linearDecay, type TruthSchedule } from "./teacher-forcing.ts";
export { type TruncatedSteps, truncated } from "./truncated.ts";
export { truncatedLstm } from "./truncated-lstm.ts";
export { type UoroOptions, uoro } from "./uoro.ts";
export { usingGradients } from "./using-gradients.ts";
