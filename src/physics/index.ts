/** Networks of physical devices: circuits of memristors with sources, single memristors, and crossbars that learn from spikes. */

export { type Branch, type Circuit, cycleMatrix, cycleProjector, incidenceMatrix } from "./circuit.ts";
export {
  type CircuitCourse,
  type CircuitElement,
  type CircuitGradients,
  type CircuitRunOptions,
  DynamicCircuit,
  type DynamicCircuitOptions,
} from "./circuit-dynamics.ts";
export { type CrossbarOptions, MemristiveCrossbar, type SpikeTiming } from "./crossbar.ts";
export type { ImplicitMethod } from "./dae.ts";
export {
  type IsingProblem,
  isingNetwork,
  MemristiveCircuit,
  type MemristiveCircuitOptions,
  MemristiveNetwork,
  type MemristiveNetworkOptions,
  type MemristiveRecallOptions,
  type MemristorOptions,
  type Trajectory,
  type TrajectoryOptions,
} from "./memristive-network.ts";
export { type DriftOptions, Memristor, type MemristorCourse, type MemristorWindow } from "./memristor.ts";
