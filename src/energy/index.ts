/** Networks with an energy: associative memories, spin systems and Boltzmann machines. */

export { AmariNetwork } from "./amari.ts";
export { Associatron, type AssociatronOptions } from "./associatron.ts";
export {
  type Adaptation,
  type AdaptOptions,
  type AssociateOptions,
  type Association,
  BAM,
  type BAMCue,
  type BAMOptions,
} from "./bam.ts";
export { BoltzmannMachine, type BoltzmannMachineOptions, type ContrastOptions } from "./boltzmann-machine.ts";
export { ContinuousHopfield, type ContinuousHopfieldOptions, type ContinuousRecallOptions } from "./continuous-hopfield.ts";
export { type Bond, type Couplings, SparseCouplings, squareLattice } from "./couplings.ts";
export { DenseAssociativeMemory, type DenseAssociativeMemoryOptions } from "./dense-memory.ts";
export { EnergyModel, type Motion, type Recall, type RecallOptions, type RecallSettings, type UpdateOrder } from "./energy-model.ts";
export type { Enumeration } from "./enumeration.ts";
export { Hopfield, type HopfieldOptions } from "./hopfield.ts";
export { HopfieldLayer, type HopfieldLayerOptions, modernHopfieldEnergy, modernHopfieldUpdate } from "./hopfield-layer.ts";
export { Ising, type IsingOptions, type LatticeOptions } from "./ising.ts";
export { LittleNetwork, type LittleOptions } from "./little.ts";
export { CRITICAL_TEMPERATURE, type OnsagerSolution, onsager } from "./onsager.ts";
export {
  type ContrastiveDivergence,
  type ContrastiveDivergenceOptions,
  type GibbsOptions,
  RBM,
  type RBMOptions,
} from "./rbm.ts";
export { SherringtonKirkpatrick, type SherringtonKirkpatrickOptions } from "./sherrington-kirkpatrick.ts";
export { type AnnealOptions, type SampleOptions, type Samples, SpinModel } from "./spin-model.ts";
export type { SpinSystem } from "./spins.ts";
export { overlaps, type UnitValues } from "./states.ts";
export {
  type SimulateOptions,
  SwitchingBAM,
  type SwitchingBAMOptions,
  type SwitchingMode,
  type SwitchingPaths,
} from "./switching-bam.ts";
export { SynchronousMemory, type SynchronousRecallOptions, type UnitRule } from "./synchronous.ts";
export type { SpinRule } from "./unit-motion.ts";
