/** The liquid state machine: a column of spiking neurons with dynamic synapses. */

import { checkFlag, checkList, checkNumber, checkObject, checkSizes, checkWholes, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import { SparseLinear } from "../nn/sparse-linear.ts";
import { exp } from "../numerics/scalar.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { broadcastTo } from "../ops/broadcast.ts";
import { cast } from "../ops/cast.ts";
import { clamp, greater, greaterEqual, where } from "../ops/compare.ts";
import { linear } from "../ops/linear.ts";
import { cat, contiguous, slice } from "../ops/shape.ts";
import type { SparseMatrix } from "../ops/sparse.ts";
import { Cell, type ScanOptions } from "../recurrence/recurrence.ts";
import { ones, zeros } from "../tensor/create.ts";
import { defaultGenerator } from "../tensor/random.ts";
import { keep, type Tensor, tensor } from "../tensor/tensor.ts";
import {
  type Circuit,
  CircuitDice,
  drawCircuit,
  type Synapse,
  type SynapseConstants,
  type SynapseKind,
  synapseConstants,
} from "./liquid-circuit.ts";
import { sparseRowsOf } from "./random-matrix.ts";
import { checkScan } from "./reservoir.ts";

export interface LiquidStateMachineOptions extends LayerOptions {
  /** Channels of input spikes. */
  readonly inputSize: number;
  /** Neurons along each axis of the column (default [3, 3, 15]). */
  readonly grid?: readonly [number, number, number];
  /** The part of the neurons that inhibit (default 0.2). */
  readonly inhibitory?: number;
  /** λ: how far connections reach (default 2). */
  readonly reach?: number;
  /** Every amplitude between neurons is multiplied by it (default 1): for a column that falls silent, or never rests. */
  readonly scale?: number;
  /** Probability that a channel reaches a neuron (default 0.3). */
  readonly inputProbability?: number;
  /** Mean amplitudes of input spikes at neurons that excite and that inhibit, in nA (default 18 and 9). */
  readonly inputAmplitude?: readonly [excitatory: number, inhibitory: number];
  /** Time of a step in ms (default 1). */
  readonly interval?: number;
  /** Whether synapses depress and facilitate (default true); if not, each spike counts for U times the amplitude. */
  readonly dynamicSynapses?: boolean;
  /** Constants of the synapses of each kind (default `synapseConstants`). */
  readonly synapses?: Readonly<Record<SynapseKind, SynapseConstants>>;
}

const OPTIONS = [
  "inputSize",
  "grid",
  "inhibitory",
  "reach",
  "scale",
  "inputProbability",
  "inputAmplitude",
  "interval",
  "dynamicSynapses",
  "synapses",
  ...LAYER,
] as const;

/** Constants of the neurons, in ms, mV, MΩ and nA. */
export const neuronConstants = {
  membrane: 30,
  resistance: 1,
  background: 13.5,
  threshold: 15,
  reset: 13.5,
  refractory: { excitatory: 3, inhibitory: 2 },
  synapse: { excitatory: 3, inhibitory: 6 },
  /** The time constant by which a readout sees spikes. */
  readout: 30,
} as const;

/** All [B,N], but `spikes` [B,D·N], the last D steps' with the newest first, and of each synapse `use` and `resources` [B,S]. */
export interface LiquidState {
  readonly [name: string]: Tensor;
  /** Above rest, in mV. */
  readonly voltage: Tensor;
  /** Synaptic currents in nA. */
  readonly excitatory: Tensor;
  readonly inhibitory: Tensor;
  /** Steps for which a neuron rests still. */
  readonly resting: Tensor;
  readonly spikes: Tensor;
  readonly use: Tensor;
  readonly resources: Tensor;
  /** Spikes as the readout sees them. */
  readonly trace: Tensor;
}

/** What a current that decays with τ_s adds to a membrane with τ_m in a time, for each nA at its start; exact. */
export function currentResponse(interval: number, synapse: number, { membrane, resistance }: Membrane = neuronConstants): number {
  if (synapse === membrane) return (resistance * interval * exp(-interval / membrane)) / membrane;
  return (resistance * synapse * (exp(-interval / synapse) - exp(-interval / membrane))) / (synapse - membrane);
}

/** What a step multiplies and adds. */
function factorsOf(interval: number) {
  const { synapse, background, resistance, membrane, readout } = neuronConstants;
  const decay = (time: number) => exp(-interval / time);
  return {
    voltage: decay(membrane),
    background: resistance * background * (1 - decay(membrane)),
    fromExcitatory: currentResponse(interval, synapse.excitatory),
    fromInhibitory: currentResponse(interval, synapse.inhibitory),
    excitatory: decay(synapse.excitatory),
    inhibitory: decay(synapse.inhibitory),
    trace: decay(readout),
  };
}

interface Membrane {
  readonly membrane: number;
  readonly resistance: number;
}

/** A matrix [rows, columns] of one element a row. */
function selection(columns: number, at: readonly number[], dtype: FloatDType): SparseMatrix {
  const rows = at.map((column) => Int32Array.of(column));
  return sparseRowsOf(columns, rows, ones([at.length], dtype));
}

/** A matrix [N, S] that sums what the synapses carry, by the neurons behind them. */
function collection(n: number, synapses: readonly Synapse[], chosen: (s: Synapse) => boolean, dtype: FloatDType): SparseMatrix {
  const rows: number[][] = Array.from({ length: n }, () => []);
  synapses.forEach((s, i) => {
    if (chosen(s)) rows[s.to]?.push(i);
  });
  const values = rows.flat().map((i) => (synapses[i] as Synapse).amplitude);
  return sparseRowsOf(
    synapses.length,
    rows.map((row) => Int32Array.from(row)),
    tensor(values, { shape: [values.length], dtype }),
  );
}

/**
 * Liquid state machine: a column of leaky integrate-and-fire neurons with dynamic synapses. Its input are spikes; its output, the liquid
 * state, are the neurons' spikes with a memory of 30 ms, x_i(t) = Σ exp(−(t − t_spike)/30 ms). What is trained is a readout: `EchoStateNetwork`
 * takes this for a reservoir.
 *
 *   τ_m dV/dt = −V + R (I_E + I_I + I_b)       V ≥ 15 mV: a spike, V = 13.5 mV, rest for 3 ms (E) or 2 ms (I)
 *   τ_s dI_s/dt = −I_s + Σ A u R δ(t − t_arrival)
 *   u_k = U + u_{k−1} (1 − U) exp(−Δt/F)       R_k = 1 + (R_{k−1} − u_{k−1} R_{k−1} − 1) exp(−Δt/D)
 *
 * Between two steps membranes and currents follow their exact solution, so a step may be as long as one tells spikes apart. A spike arrives
 * after its delay, at least one step, at the beginning of a step; input spikes arrive at the beginning of theirs. Neurons 20 % of which inhibit stand on a grid and
 * are connected with probability C·exp(−(D/λ)²); with probabilities of 0 none is, and the column is a bank of neurons. Constants are in `neuronConstants` and `synapseConstants`. All is drawn once, from `generator`, the number of synapses too: a state dict fits a machine drawn from the same seed.
 * `initialState` starts each neuron between reset and threshold. Thresholds have no derivative: gradients are those of the readout.
 * @param options x [B,I], spikes as 0 and 1, to liquid state [B,N]
 * @throws ArgumentError for sizes below 1, options out of range, and in `scan` inputs that are not finite; ShapeError and DTypeError for a grid, amplitudes and synapses of another form
 * @see Maass, Natschläger and Markram, "Real-time computing without stable states", Neural Computation 14, 2002; Markram, Wang and Tsodyks,
 * "Differential signaling via the same axon of neocortical pyramidal neurons", 1998; Rotter and Diesmann, "Exact digital simulation", 1999
 * Deviates: constants are quoted from memory.
 * @example
 * const liquid = new LiquidStateMachine({ inputSize: 4, generator: new Generator(1) });
 * const [states] = liquid.scan(spikes);
 */
export class LiquidStateMachine extends Cell<LiquidState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly interval: number;
  readonly weightIh: Tensor;
  readonly #dtype: FloatDType;
  readonly #delays: number;
  readonly #dynamic: boolean;
  readonly #circuit: Circuit;
  readonly #factors: ReturnType<typeof factorsOf>;
  /** From the history of spikes to synapses, and from synapses to currents. */
  readonly arrivals: SparseLinear;
  readonly excitation: SparseLinear;
  readonly inhibition: SparseLinear;
  /** U, and what is left of facilitation and depression after a step, of each synapse. */
  readonly use: Tensor;
  readonly facilitation: Tensor;
  readonly depression: Tensor;
  /** Steps of rest of each neuron, and voltages at first. */
  readonly rest: Tensor;
  readonly start: Tensor;

  constructor(options: LiquidStateMachineOptions) {
    super();
    const {
      inputSize: I,
      grid = [3, 3, 15],
      interval = 1,
      inhibitory = 0.2,
      reach = 2,
      scale = 1,
    } = optionsOf("LiquidStateMachine", options, OPTIONS);
    const { inputProbability = 0.3, dtype = "float32", generator = defaultGenerator(), dynamicSynapses = true } = options;
    const { inputAmplitude = [18, 9], synapses: constants = synapseConstants } = options;
    checkSizes("LiquidStateMachine", { inputSize: I });
    checkWholes("LiquidStateMachine", "grid", grid, { least: 1 });
    if (grid.length !== 3) throw new ShapeError(`LiquidStateMachine: expected a grid of three sizes, got ${quote(grid)}`);
    checkFlag("LiquidStateMachine", "dynamicSynapses", dynamicSynapses);
    checkAmplitudes(inputAmplitude);
    checkConstants(constants);
    for (const [name, value] of Object.entries({ interval, reach, scale })) checkNumber("LiquidStateMachine", name, value, { above: 0 });
    for (const [name, value] of Object.entries({ inhibitory, inputProbability })) {
      checkNumber("LiquidStateMachine", name, value, { least: 0, most: 1 });
    }
    const N = grid[0] * grid[1] * grid[2];
    this.inputSize = I;
    this.outputSize = N;
    this.interval = interval;
    this.#dtype = dtype;
    this.#dynamic = dynamicSynapses;
    this.#factors = factorsOf(interval);
    const dice = new CircuitDice(generator);
    this.#circuit = drawCircuit({ grid, inhibitory, reach, scale, constants }, dice);
    const { synapses, inhibitory: inhibits } = this.#circuit;
    const steps = (time: number) => Math.max(1, Math.round(time / interval));
    this.#delays = Math.max(...Object.values(constants).map(({ delay }) => steps(delay)));
    const held = (values: readonly number[]) => keep(tensor([...values], { dtype }));
    this.arrivals = fixedLinear(
      selection(
        this.#delays * N,
        synapses.map(({ from, delay }) => (steps(delay) - 1) * N + from),
        dtype,
      ),
    );
    this.excitation = fixedLinear(collection(N, synapses, ({ amplitude }) => amplitude >= 0, dtype));
    this.inhibition = fixedLinear(collection(N, synapses, ({ amplitude }) => amplitude < 0, dtype));
    this.use = held(synapses.map(({ use }) => use));
    this.facilitation = held(synapses.map(({ facilitation }) => exp(-interval / facilitation)));
    this.depression = held(synapses.map(({ depression }) => exp(-interval / depression)));
    const { refractory, reset, threshold } = neuronConstants;
    this.rest = held(inhibits.map((i) => Math.round((i ? refractory.inhibitory : refractory.excitatory) / interval)));
    this.start = held(inhibits.map(() => dice.uniform(reset, threshold)));
    const [toExcitatory, toInhibitory] = inputAmplitude;
    const weights = inhibits.map((i) =>
      Array.from({ length: I }, () => (dice.uniform() < inputProbability ? dice.gamma(i ? toInhibitory : toExcitatory) : 0)),
    );
    this.weightIh = keep(tensor(weights, { dtype }));
  }

  /** Neurons and synapses as they were drawn. */
  get circuit(): Circuit {
    return this.#circuit;
  }

  initialState(batch: number): LiquidState {
    const [N, S, dtype] = [this.outputSize, this.#circuit.synapses.length, this.#dtype];
    const none = () => zeros([batch, N], dtype);
    return {
      voltage: contiguous(broadcastTo(this.start, [batch, N])),
      excitatory: none(),
      inhibitory: none(),
      resting: none(),
      spikes: zeros([batch, this.#delays * N], dtype),
      use: zeros([batch, S], dtype),
      resources: add(zeros([batch, S], dtype), 1),
      trace: none(),
    };
  }

  override scan(xs: Tensor, state?: LiquidState, options: ScanOptions = {}): [ys: Tensor, last: LiquidState] {
    checkScan(xs, this.inputSize, options, false);
    return super.scan(xs, state, options);
  }

  step(x: Tensor, state: LiquidState): [y: Tensor, next: LiquidState] {
    const { threshold, reset } = neuronConstants;
    const f = this.#factors;
    const { carried, use, resources } = this.#transmit(this.arrivals.forward(state.spikes), state);
    const excitatory = add(add(state.excitatory, this.excitation.forward(carried)), linear(x, this.weightIh));
    const inhibitory = add(state.inhibitory, this.inhibition.forward(carried));

    const driven = add(mul(excitatory, f.fromExcitatory), mul(inhibitory, f.fromInhibitory));
    const free = add(mul(state.voltage, f.voltage), add(driven, f.background));
    const rests = greater(state.resting, 0);
    const voltage = where(rests, reset, free);
    const fires = greaterEqual(voltage, threshold);
    const spikes = cast(fires, this.#dtype);
    const trace = add(mul(state.trace, f.trace), spikes);
    const N = this.outputSize;
    const next = {
      voltage: where(fires, reset, voltage),
      excitatory: mul(excitatory, f.excitatory),
      inhibitory: mul(inhibitory, f.inhibitory),
      resting: where(fires, this.rest, clamp(sub(state.resting, 1), 0)),
      spikes: this.#delays === 1 ? spikes : cat([spikes, slice(state.spikes, 1, 0, (this.#delays - 1) * N)], 1),
      use,
      resources,
      trace,
    };
    return [trace, next];
  }

  /** What the spikes that arrive count for, u R of each synapse, and u and R after a step. */
  #transmit(arrived: Tensor, { use, resources }: LiquidState): { carried: Tensor; use: Tensor; resources: Tensor } {
    if (!this.#dynamic) return { carried: mul(arrived, this.use), use, resources };
    const raised = add(this.use, mul(use, sub(1, this.use)));
    const u = where(greater(arrived, 0), raised, use);
    const carried = mul(arrived, mul(raised, resources));
    // R goes back to 1, u to 0, until the next spike: what the recursion of spikes has in exp(−Δt/D) and exp(−Δt/F).
    const left = sub(resources, carried);
    return {
      carried,
      use: mul(u, this.facilitation),
      resources: add(mul(sub(left, 1), this.depression), 1),
    };
  }
}

function checkAmplitudes(amplitudes: readonly number[]): void {
  checkList("LiquidStateMachine", "inputAmplitude", amplitudes);
  if (amplitudes.length !== 2) throw new ShapeError(`LiquidStateMachine: expected two amplitudes of input, got ${quote(amplitudes)}`);
  for (const amplitude of amplitudes) checkNumber("LiquidStateMachine", "inputAmplitude", amplitude, { least: 0 });
}

function checkConstants(constants: Readonly<Record<SynapseKind, SynapseConstants>>): void {
  const op = "LiquidStateMachine";
  checkObject(op, "synapses", constants);
  for (const kind of ["EE", "EI", "IE", "II"] as const) {
    const name = `synapses of ${kind}`;
    checkObject(op, name, constants[kind]);
    const { probability, amplitude, use, depression, facilitation, delay } = constants[kind];
    checkNumber(op, `${name}: probability`, probability, { least: 0, most: 1 });
    checkNumber(op, `${name}: amplitude`, amplitude);
    checkNumber(op, `${name}: use`, use, { above: 0, most: 1 });
    for (const [what, time] of Object.entries({ depression, facilitation })) checkNumber(op, `${name}: ${what}`, time, { above: 0 });
    checkNumber(op, `${name}: delay`, delay, { least: 0 });
  }
}

function fixedLinear(matrix: SparseMatrix): SparseLinear {
  const layer = new SparseLinear(matrix);
  layer.values.requiresGrad = false;
  return layer;
}
