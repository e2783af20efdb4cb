/** Kosko's bidirectional associative memory, with and without chance. */

import { checkFlag, checkNumber, checkOneOf, checkOptions, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { zeros } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { assign, checkTensor, keep, type Tensor, tensor } from "../tensor/tensor.ts";
import { AdaptiveMotion } from "./adaptive-bam.ts";
import { ContinuousHopfield, type ContinuousHopfieldOptions, GRADED } from "./continuous-hopfield.ts";
import { DenseCouplings } from "./couplings.ts";
import { type Recall, recallOf, settle } from "./energy-model.ts";
import { SpinModel } from "./spin-model.ts";
import { SpinMotion, type SpinSystem } from "./spins.ts";
import { readMatrix, readPatterns, readState, stateDType, type UnitValues } from "./states.ts";

export interface BAMOptions {
  /** Units of field A. */
  readonly inputSize: number;
  /** Units of field B. */
  readonly outputSize: number;
  /** What units can be: ±1 (default) or 0 and 1. Pairs are stored as ±1 either way. */
  readonly coding?: "bipolar" | "binary";
}

/** A cue: the state of one field, or of both. */
export interface BAMCue {
  /** [inputSize] */
  readonly a?: Tensor;
  /** [outputSize] */
  readonly b?: Tensor;
}

export interface AssociateOptions {
  /** 0 (default) follows signs; above it units are on with the probability σ(gap/T), and the fields form a Markov chain. */
  readonly temperature?: number;
  /** Steps there and back at most (default 200). */
  readonly maxSteps?: number;
  readonly trace?: boolean;
  readonly generator?: Generator;
}

export interface AdaptOptions {
  /** Steps at most (default 2000). */
  readonly maxSteps?: number;
  /** λ of the units' S(x) = tanh(λx) (default 1). */
  readonly gain?: number;
  /** ε, how fast weights follow beside potentials (default 0.1). */
  readonly rate?: number;
  /** Time of a step; unless given, 0.5 / (1 + λ (n + p) max(1, |M|)), at most 0.05. */
  readonly stepSize?: number;
  /** Neither potentials nor weights move by more than this in a step at rest (default 1e-6). */
  readonly tolerance?: number;
}

/** How fields and weights came to rest. */
export interface Adaptation {
  /** Potentials of both fields at the end, float64. */
  readonly a: Tensor;
  readonly b: Tensor;
  readonly steps: number;
  readonly converged: boolean;
  /** Before the first step and after each. */
  readonly energies: readonly number[];
}

/** A recall, with its last state in two. */
export interface Association extends Recall {
  readonly a: Tensor;
  readonly b: Tensor;
}

/**
 * Two fields that recall each other:
 *
 *     b_j ← the sign of (A M)_j,   a_i ← the sign of (M Bᵀ)_i, where 0 leaves a unit as it was        E(A, B) = −A M Bᵀ
 *
 * with M = Σ_k X_kᵀ Y_k of the pairs in ±1. Every M is bidirectionally stable: fields that are updated in turn, as `associate` does, come to rest. Of
 * random pairs, well below min(inputSize, outputSize) are kept.
 *
 * A state of the whole is [A, B] as one vector; on it there are `energy`, `recall`, `sample`, `enumerate` as in every spin model. At a temperature the
 * fields in turn are a Markov chain with the stationary distribution exp(−E/T) / Z, which is that of a restricted Boltzmann machine without biases.
 *
 * `weight` M [inputSize, outputSize] is float64 and in the state dict.
 * @throws ArgumentError for sizes below 1 and another coding
 * @see Kosko, "Bidirectional associative memories", 1988
 * @example
 * const memory = new BAM({ inputSize: 6, outputSize: 4 }).store(as, bs); // ±1 [P,6] and [P,4]
 * const { b } = memory.associate({ a: damaged });
 */
export class BAM extends SpinModel {
  readonly inputSize: number;
  readonly outputSize: number;
  override readonly size: number;
  readonly coding: "bipolar" | "binary";
  readonly weight: Tensor;
  protected override readonly values: UnitValues;

  constructor(options: BAMOptions) {
    super();
    const { inputSize, outputSize, coding = "bipolar" } = optionsOf("BAM", options, ["inputSize", "outputSize", "coding"]);
    checkSizes("BAM", { inputSize, outputSize });
    checkOneOf("BAM", "coding", coding, ["bipolar", "binary"]);
    this.inputSize = inputSize;
    this.outputSize = outputSize;
    this.size = inputSize + outputSize;
    this.coding = coding;
    this.values = coding === "bipolar" ? "spins" : "bits";
    this.weight = keep(zeros([inputSize, outputSize], "float64"));
  }

  /**
   * Adds one pair or several: A [n] and B [p], or [P,n] and [P,p], in the coding of the memory.
   * @throws DTypeError, ShapeError, ArgumentError, with nothing stored
   */
  store(as: Tensor, bs: Tensor): this {
    const [n, p] = [this.inputSize, this.outputSize];
    const xs = readPatterns("store", "A", as, n, this.values);
    const ys = readPatterns("store", "B", bs, p, this.values);
    if (xs.length !== ys.length) throw new ShapeError(`store: expected as many patterns B as A, got ${ys.length} and ${xs.length}`);
    const bipolar = (v: number): number => (v === 1 ? 1 : -1);
    const M = readMatrix("store", "weight", this.weight, n, p);
    xs.forEach((x, k) => {
      const y = ys[k] as Float64Array;
      for (let i = 0; i < n; i++)
        for (let j = 0; j < p; j++) M[i * p + j] = (M[i * p + j] as number) + bipolar(x[i] as number) * bipolar(y[j] as number);
    });
    assign(this.weight, M);
    return this;
  }

  /**
   * Lets the fields recall each other from a cue, until both rest: first the field that is not given (B, if both are), then the other, in turn. A unit
   * that is not given and that nothing decides stays at its lower value.
   * @throws DTypeError, ShapeError, ArgumentError for fields of other sizes or values, a cue of neither field, and options out of their range
   */
  associate(cue: BAMCue, options: AssociateOptions = {}): Association {
    const op = "associate";
    const { a, b } = optionsOf(op, cue, ["a", "b"]);
    const {
      temperature = 0,
      maxSteps = 200,
      trace = false,
      generator,
    } = optionsOf(op, options, ["temperature", "maxSteps", "trace", "generator"]);
    checkNumber(op, "temperature", temperature, { least: 0 });
    checkWhole(op, "maxSteps", maxSteps);
    checkFlag(op, "trace", trace);
    checkGenerator(op, generator);
    const [n, p] = [this.inputSize, this.outputSize];
    const given = a ?? b;
    if (given === undefined) throw new ArgumentError(`${op}: expected a cue of a, b or both, got neither`);
    checkTensor(op, given);
    const system = this.system();
    const state = new Float64Array(n + p).fill(system.low);
    if (a !== undefined) state.set(readState(op, "a", a, n, this.values));
    if (b !== undefined) state.set(readState(op, "b", b, p, this.values), n);
    // One field's units have no couplings between them, so one by one is all at once.
    const first = a === undefined ? 0 : n;
    const free = Int32Array.from({ length: n + p }, (_, k) => (k + first) % (n + p));
    const order = { updates: "asynchronous", order: "sequential", free } as const;
    const motion = new SpinMotion(system, state, { ...order, temperature, generator: generator ?? defaultGenerator() });
    const recalled = recallOf(given, this.values, motion, { maxSteps, trace });
    const dtype = stateDType(given, this.values);
    return { ...recalled, a: tensor(state.subarray(0, n), { dtype }), b: tensor(state.subarray(n), { dtype }) };
  }

  /**
   * The same memory with graded units that charge each other: da_i/dt = −a_i + Σ_j M_ij S(b_j) + I_i, and likewise b. It is the network of graded units
   * whose couplings are those of the fields; a state is [A, B] as one vector.
   * @param options input, gain, resistance, capacitance and step size of `ContinuousHopfield`
   * @see Kosko, 1988, section IV
   * @example const { state } = memory.continuous({ gain: 4 }).recall(cue); // potentials [inputSize + outputSize]
   */
  continuous(options: Omit<ContinuousHopfieldOptions, "weight"> = {}): ContinuousHopfield {
    checkOptions("continuous", options, GRADED);
    const [n, p] = [this.inputSize, this.outputSize];
    const M = readMatrix("BAM", "weight", this.weight, n, p);
    return new ContinuousHopfield({ ...options, weight: tensor(bipartite(M, n, p), { shape: [n + p, n + p] }) });
  }

  /**
   * Learns a pair while it is presented (adaptive BAM): inputs I on field A and J on field B charge graded units, these charge each other through M,
   * and M follows what it sees, dM_ij/dt = ε (−M_ij + S(a_i) S(b_j)). An energy of potentials and weights falls all the way. What was in M fades as
   * 1 − ε dt a step, so several pairs are shown in turn, each for a few steps of a small ε; shown until rest, one pair replaces all.
   * @param inputs I [n] and J [p], any numbers; what is left out is 0
   * @throws DTypeError, ShapeError, ArgumentError for inputs of other sizes and options out of their range, with nothing learned
   * @see Kosko, "Adaptive bidirectional associative memories", Applied Optics 26, 1987. From memory.
   * @example memory.adapt({ a, b }); // 1 and -1, say
   */
  adapt(inputs: BAMCue, options: AdaptOptions = {}): Adaptation {
    const op = "adapt";
    const { a, b } = optionsOf(op, inputs, ["a", "b"]);
    const names = ["maxSteps", "gain", "rate", "stepSize", "tolerance"] as const;
    const { maxSteps = 2000, gain = 1, rate = 0.1, stepSize, tolerance = 1e-6 } = optionsOf(op, options, names);
    checkWhole(op, "maxSteps", maxSteps);
    for (const [name, value] of Object.entries({ gain, rate, stepSize: stepSize ?? 1 })) checkNumber(op, name, value, { above: 0 });
    checkNumber(op, "tolerance", tolerance, { least: 0 });
    const [n, p] = [this.inputSize, this.outputSize];
    const input = new Float64Array(n + p);
    if (a !== undefined) input.set(readState(op, "a", a, n, "numbers"));
    if (b !== undefined) input.set(readState(op, "b", b, p, "numbers"), n);
    const M = readMatrix(op, "weight", this.weight, n, p);
    const largest = M.reduce((most, w) => Math.max(most, Math.abs(w)), 1);
    const dt = stepSize ?? Math.min(0.05, 0.5 / (1 + gain * (n + p) * largest));
    const motion = new AdaptiveMotion({ sizes: [n, p], input, gain, rate, stepSize: dt }, new Float64Array(n + p), M);
    const { steps, converged, energies } = settle(motion, { maxSteps, tolerance });
    assign(this.weight, motion.weight);
    return { a: tensor(motion.state.slice(0, n)), b: tensor(motion.state.slice(n)), steps, converged, energies };
  }

  protected override system(): SpinSystem {
    const [n, p, N] = [this.inputSize, this.outputSize, this.size];
    const M = readMatrix("BAM", "weight", this.weight, n, p);
    return {
      couplings: new DenseCouplings("BAM", bipartite(M, n, p), N),
      bias: new Float64Array(N),
      low: this.coding === "bipolar" ? -1 : 0,
    };
  }
}

/** The couplings of two fields as one net: M [n,p] above the diagonal, Mᵀ below. @internal */
export function bipartite(M: Float64Array, n: number, p: number): Float64Array {
  const N = n + p;
  const J = new Float64Array(N * N);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < p; j++) J[i * N + n + j] = J[(n + j) * N + i] = M[i * p + j] as number;
  }
  return J;
}
