/** Networks with an energy: associative memories, spin systems and Boltzmann machines. */

export { AmariNetwork } from "./amari.ts";
export { Associatron, type AssociatronOptions } from "./associatron.ts";
export { type Bond, type Couplings, SparseCouplings, squareLattice } from "./couplings.ts";
export { EnergyModel, type Motion, type Recall, type RecallOptions, type RecallSettings, type UpdateOrder } from "./energy-model.ts";
export { Hopfield, type HopfieldOptions } from "./hopfield.ts";
export { LittleNetwork, type LittleOptions } from "./little.ts";
export { type AnnealOptions, type SampleOptions, type Samples, SpinModel } from "./spin-model.ts";
export type { SpinRule, SpinSystem } from "./spins.ts";
export { overlaps, type UnitValues } from "./states.ts";
export { SynchronousMemory, type SynchronousRecallOptions, type UnitRule } from "./synchronous.ts";
