/** A crossbar of memristors between spiking neurons, which learns from spike times. */

import { checkFlag, checkNumber, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { Module } from "../nn/module.ts";
import { exp } from "../numerics/scalar.ts";
import { zeros } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { assign, checkTensor, keep, scope, type Tensor, tensor } from "../tensor/tensor.ts";

/** How a memristor changes with spike times at its two ends. */
export interface SpikeTiming {
  /** A₊ and τ₊ in s: an input spike Δt before a spike of the neuron adds A₊ exp(−Δt/τ₊) (default 0.005 and 0.02). */
  readonly potentiation?: number;
  readonly potentiationTime?: number;
  /** A₋ and τ₋ in s: an input spike Δt after it subtracts A₋ exp(−Δt/τ₋) (default 1.05 A₊ and 0.02). */
  readonly depression?: number;
  readonly depressionTime?: number;
}

export interface CrossbarOptions extends SpikeTiming {
  readonly inputSize: number;
  readonly outputSize: number;
  /** Time of a step, in s (default 0.001). */
  readonly dt?: number;
  /** Time constant of the neurons' potentials, in s (default 0.02). */
  readonly membraneTime?: number;
  /** Potential at which a neuron fires and resets to 0 (default 1). */
  readonly threshold?: number;
  /** Increase of the potential by a spike through a memristor with w = 1 (default 0.1). */
  readonly gain?: number;
  /** Whether the first neuron to fire in a step, the one with the highest potential, resets the others to 0 (default false). */
  readonly competition?: boolean;
  /** Share of the memristors, chosen at random, that are stuck at their initial state (default 0). */
  readonly defects?: number;
  /** Bounds of the uniform initial states (default 0 and 1). */
  readonly low?: number;
  readonly high?: number;
  readonly generator?: Generator;
}

/** The state of a run, in plain arrays. */
interface Charge {
  /** Decay factors per step of potentials and of the two kinds of pulses. */
  readonly left: { readonly potential: number; readonly before: number; readonly after: number };
  readonly weight: Float64Array;
  readonly potential: Float64Array;
  readonly before: Float64Array;
  readonly after: Float64Array;
}

/**
 * Memristors w [I,O] in [0, 1] between I lines of spikes and O leaky neurons. In a step, with spikes s [I] of 0 and 1,
 *
 *   p_i ← 1 if s_i = 1, else p_i exp(−dt/τ₊)                   trace of a line's last spike
 *   q_j ← q_j exp(−dt/τ₋)                                        trace of a neuron's last spike
 *   w_ij ← w_ij − A₋ q_j                      where s_i = 1      after the neuron's last spike
 *   u_j ← u_j exp(−dt/τ_m) + gain Σ_i w_ij s_i                   fires if u_j ≥ threshold: z_j = 1, u_j ← 0
 *   w_ij ← w_ij + A₊ p_i                      where z_j = 1      before the neuron's spike, or with it
 *   q_j ← 1                                   where z_j = 1
 *
 * and w stays within [0, 1]. p and q are the widths of pulses that follow a spike and shrink with time. Only while two pulses overlap does a memristor
 * see a voltage above its threshold, for the duration of the narrower one. A new spike restarts its pulses, so only the last one counts.
 * States of lines with r spikes a second that have nothing to do with the neuron's rise on average where it fires faster than
 * (A₋τ₋(1 + rτ₊)/(A₊τ₊) − 1)/τ₋, and fall below: 23.5 a second for r = 20. A neuron that starts above ends with all states at 1: choose a lower `gain` then.
 * `weight` w, `potential` u, `before` p, `after` q and `working` (0 where a memristor is stuck) are buffers, so they are in the state dict.
 * @throws ArgumentError for sizes below 1, times, rates and bounds out of their range
 * @see Snider, "Spike-timing-dependent learning in memristive nanodevices", NANOARCH 2008; Snider, "Self-organized computation with unreliable,
 * memristive nanodevices", Nanotechnology 18, 2007. The schedule of pulses is from memory.
 * Deviates: neurons are ordinary leaky integrators with a reset, and pulses have exact widths instead of a few slots.
 * @example
 * const crossbar = new MemristiveCrossbar({ inputSize: 50, outputSize: 1 });
 * const fired = crossbar.run(spikes); // spikes [T,50] of 0 and 1 to [T,1]
 */
export class MemristiveCrossbar extends Module {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly dt: number;
  readonly membraneTime: number;
  readonly threshold: number;
  readonly gain: number;
  readonly competition: boolean;
  readonly potentiation: number;
  readonly potentiationTime: number;
  readonly depression: number;
  readonly depressionTime: number;
  readonly weight: Tensor;
  readonly potential: Tensor;
  readonly before: Tensor;
  readonly after: Tensor;
  readonly working: Tensor;

  constructor(options: CrossbarOptions) {
    super();
    const op = "MemristiveCrossbar";
    const {
      inputSize,
      outputSize,
      dt = 0.001,
      membraneTime = 0.02,
      threshold = 1,
      gain = 0.1,
      competition = false,
      potentiation = 0.005,
      potentiationTime = 0.02,
      depression = 1.05 * potentiation,
      depressionTime = 0.02,
      defects = 0,
      low = 0,
      high = 1,
      generator = defaultGenerator(),
    } = optionsOf(op, options, NAMES);
    checkSizes(op, { inputSize, outputSize });
    for (const [name, value] of Object.entries({ dt, membraneTime, threshold, gain, potentiationTime, depressionTime })) {
      checkNumber(op, name, value, { above: 0 });
    }
    for (const [name, value] of Object.entries({ potentiation, depression, defects })) checkNumber(op, name, value, { least: 0, most: 1 });
    checkNumber(op, "low", low, { least: 0, below: 1 });
    checkNumber(op, "high", high, { above: low, most: 1 });
    checkFlag(op, "competition", competition);
    checkGenerator(op, generator);
    this.inputSize = inputSize;
    this.outputSize = outputSize;
    this.dt = dt;
    this.membraneTime = membraneTime;
    this.threshold = threshold;
    this.gain = gain;
    this.competition = competition;
    this.potentiation = potentiation;
    this.potentiationTime = potentiationTime;
    this.depression = depression;
    this.depressionTime = depressionTime;
    this.weight = keep(generator.uniform([inputSize, outputSize], low, high, "float64"));
    this.working = keep(generator.bernoulli([inputSize, outputSize], 1 - defects, "float64"));
    this.potential = keep(zeros([outputSize], "float64"));
    this.before = keep(zeros([inputSize], "float64"));
    this.after = keep(zeros([outputSize], "float64"));
  }

  /**
   * Passes spikes [T,I] through the crossbar, one step per row, and returns the neurons' spikes [T,O], float32. Continues where the last call ended.
   * @param options learn: whether memristors change (default true)
   * @throws ShapeError for spikes of another size; ArgumentError for values other than 0 and 1; both leave everything unchanged
   */
  run(spikes: Tensor, options: { readonly learn?: boolean } = {}): Tensor {
    const { learn = true } = optionsOf("run", options, ["learn"]);
    checkFlag("run", "learn", learn);
    const rows = this.#read(spikes);
    const { dt } = this;
    const left = {
      potential: exp(-dt / this.membraneTime),
      before: exp(-dt / this.potentiationTime),
      after: exp(-dt / this.depressionTime),
    };
    const charge: Charge = {
      left,
      weight: numbersOf(this.weight),
      potential: numbersOf(this.potential),
      before: numbersOf(this.before),
      after: numbersOf(this.after),
    };
    const working = numbersOf(this.working);
    const fired = rows.map((row) => this.#step(row, charge, learn ? working : null));
    for (const name of ["weight", "potential", "before", "after"] as const) assign(this[name], charge[name]);
    return tensor(Float32Array.from(fired.flat()), { shape: [rows.length, this.outputSize] });
  }

  /** Forgets past spikes: sets potentials and pulses to 0, and keeps memristors. */
  reset(): void {
    scope(() => {
      for (const t of [this.potential, this.before, this.after]) assign(t, zeros(t.shape, "float64"));
    });
  }

  /** The lines that fire in each step. */
  #read(spikes: Tensor): number[][] {
    checkTensor("run", spikes);
    const I = this.inputSize;
    if (spikes.rank !== 2 || spikes.dim(1) !== I) throw new ShapeError(`run: expected spikes [T,${I}], got ${show(spikes.shape)}`);
    const values = Array.from(spikes.data());
    const wrong = values.find((value) => value !== 0 && value !== 1);
    if (wrong !== undefined) throw new ArgumentError(`run: expected spikes of 0 and 1, got ${wrong}`);
    return Array.from({ length: spikes.dim(0) }, (_, t) => [...Array(I).keys()].filter((i) => values[t * I + i] === 1));
  }

  /** Runs one step; memristors change where `working` is 1. */
  #step(lines: readonly number[], charge: Charge, working: Float64Array | null): number[] {
    const { left, weight, potential, before, after } = charge;
    const O = this.outputSize;
    scaleBy(before, left.before);
    for (const i of lines) before[i] = 1;
    const change = (i: number, j: number, amount: number): void => {
      const at = i * O + j;
      weight[at] = Math.min(1, Math.max(0, (weight[at] as number) + (working?.[at] ?? 0) * amount));
    };
    scaleBy(after, left.after);
    for (const i of lines) for (let j = 0; j < O; j++) change(i, j, -this.depression * (after[j] as number));
    scaleBy(potential, left.potential);
    for (let j = 0; j < O; j++) {
      const current = lines.reduce((sum, i) => sum + (weight[i * O + j] as number), 0);
      potential[j] = (potential[j] as number) + this.gain * current;
    }
    const firing = this.#fire(potential);
    for (const j of firing) {
      before.forEach((width, i) => {
        change(i, j, this.potentiation * width);
      });
      after[j] = 1;
    }
    return Array.from(potential, (_, j) => (firing.includes(j) ? 1 : 0));
  }

  /** The neurons that fire. Resets their potentials, or all potentials under competition. */
  #fire(potential: Float64Array): number[] {
    const above = [...potential.keys()].filter((j) => (potential[j] as number) >= this.threshold);
    if (above.length === 0) return above;
    if (!this.competition) {
      for (const j of above) potential[j] = 0;
      return above;
    }
    const first = above.reduce((best, j) => ((potential[j] as number) > (potential[best] as number) ? j : best));
    potential.fill(0);
    return [first];
  }
}

const NAMES = [
  "inputSize",
  "outputSize",
  "dt",
  "membraneTime",
  "threshold",
  "gain",
  "competition",
  "potentiation",
  "potentiationTime",
  "depression",
  "depressionTime",
  "defects",
  "low",
  "high",
  "generator",
] as const;

function numbersOf(t: Tensor): Float64Array {
  return Float64Array.from(t.data());
}

function scaleBy(values: Float64Array, factor: number): void {
  for (let i = 0; i < values.length; i++) values[i] = (values[i] as number) * factor;
}
