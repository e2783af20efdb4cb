/** Reservoirs: large random recurrent networks of which only a readout is trained. */

export {
  type AnyReservoir,
  EchoStateNetwork,
  type EchoStateNetworkOptions,
  type EchoStateNetworkState,
  type FitReadoutOptions,
  type OutputActivation,
  type ReadoutFit,
} from "./echo-state-network.ts";
export { type FitOnlineOptions, fitOnline, type OnlineFit } from "./fit-online.ts";
export { type IntrinsicPlasticityOptions, intrinsicPlasticity } from "./intrinsic-plasticity.ts";
export { type Circuit, type Synapse, type SynapseConstants, type SynapseKind, synapseConstants } from "./liquid-circuit.ts";
export { type LiquidState, LiquidStateMachine, type LiquidStateMachineOptions, neuronConstants } from "./liquid-state-machine.ts";
export { type MemoryCapacity, type MemoryCapacityOptions, memoryCapacity } from "./memory-capacity.ts";
export { randomSparse } from "./random-matrix.ts";
export { Reservoir, type ReservoirOptions, type ReservoirReport } from "./reservoir.ts";
export { SilencingLayer, type SilencingLayerOptions } from "./silencing.ts";
export { type Spectrum, spectrum } from "./spectrum.ts";
