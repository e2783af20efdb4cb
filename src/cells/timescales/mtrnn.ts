/** The multiple-timescale recurrent network: groups of leaky units, each group with its own time constant. */

import { checkList, checkNumber, checkSizes, checkWhole, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { embedding } from "../../ops/gather.ts";
import { linear } from "../../ops/linear.ts";
import { cat, slice, split } from "../../ops/shape.ts";
import { softmax } from "../../ops/softmax.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { keep, type Tensor, tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";

export interface MTRNNOptions extends LayerOptions {
  /** Input-output units in each map: [64, 36]. */
  readonly maps: readonly number[];
  readonly fastSize: number;
  readonly slowSize: number;
  /** Time constants in steps (default 2, 5 and 70). */
  readonly tau?: { readonly io?: number; readonly fast?: number; readonly slow?: number };
  /** Activation of the input-output units, "softmax" within each map by default. */
  readonly ioActivation?: "softmax" | Activation;
  /** Activation of the context units (default "logistic"). */
  readonly contextActivation?: Activation;
  /** Bound of the uniform initial weights (default 0.025). */
  readonly bound?: number;
  /** The share of the input that is the network's own previous output, 0 to 1 (default 0); 1 closes the loop. */
  readonly ownInput?: number;
  /** Number of sequences with their own learned initial values of the slow units (default 0). */
  readonly sequences?: number;
}

/**
 * Multiple-timescale recurrent network: N units, input-output IO, fast context Cf and slow context Cs.
 *
 *   u_i(t) = (1 − 1/τ_i) u_i(t−1) + 1/τ_i Σ_j w_ij x_j(t)      y(t) = f(u(t)), a softmax within each map of IO
 *   x_j(t) = the input for j in IO, y_j(t−1) for context
 *
 * `weight` w [N,N] from U(±0.025), units in the order IO, Cf, Cs. IO and Cs are not connected, nor are maps with other maps. `initialSlow`
 * [sequences, slowSize], initially zero, are the slow units' u(0) that select a learned behaviour: `stateOf`. State: u [B,N].
 * The input is (1 − p)·x(t) + p·y_IO(t−1) with p = `ownInput`.
 * @param options x [B,IO] to y_IO [B,IO], the prediction of the next input
 * @throws ArgumentError for sizes below 1, time constants below 1, `ownInput` outside 0 to 1
 * @see Yamashita and Tani, "Emergence of functional hierarchy in a multiple timescale neural network model", PLoS Comput. Biol. 4(11), 2008, eq. 3-7
 * Deviates: gradients also flow through the network's own part of the input.
 * @example const net = new MTRNN({ maps: [64, 36], fastSize: 60, slowSize: 20, sequences: 5 });
 */
export class MTRNN extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly fastSize: number;
  readonly slowSize: number;
  readonly weight: Parameter;
  readonly initialSlow: Parameter | null;
  /** [N,N], 1 where a unit sees another. */
  readonly mask: Tensor;
  /** 1/τ [N] */
  readonly rate: Tensor;
  readonly #options: MTRNNOptions;

  constructor(options: MTRNNOptions) {
    super();
    const {
      maps,
      fastSize,
      slowSize,
      tau: { io = 2, fast = 5, slow = 70 } = {},
      bound = 0.025,
      ownInput = 0,
      sequences = 0,
      dtype = "float32",
    } = optionsOf("MTRNN", options, [
      "maps",
      "fastSize",
      "slowSize",
      "tau",
      "ioActivation",
      "contextActivation",
      "bound",
      "ownInput",
      "sequences",
      ...LAYER,
    ]);
    checkList("MTRNN", "maps", maps);
    checkSizes("MTRNN", { ...Object.fromEntries(maps.map((size, i) => [`maps[${i}]`, size])), maps: maps.length, fastSize, slowSize });
    for (const [name, tau] of Object.entries({ io, fast, slow })) {
      if (!(tau >= 1)) throw new ArgumentError(`MTRNN: expected tau.${name} of at least one step, got ${tau}`);
    }
    checkNumber("MTRNN", "bound", bound, { least: 0 });
    checkNumber("MTRNN", "ownInput", ownInput, { least: 0, most: 1 });
    checkWhole("MTRNN", "sequences", sequences);
    this.#options = options;
    this.inputSize = maps.reduce((a, b) => a + b);
    this.outputSize = this.inputSize;
    this.fastSize = fastSize;
    this.slowSize = slowSize;
    // The group of each unit: maps 0, 1, …, then fast, then slow context.
    const sizes = [...maps, fastSize, slowSize];
    const groups = sizes.flatMap((size, g) => new Array<number>(size).fill(g));
    const N = groups.length;
    this.weight = uniformParameter([N, N], bound, options);
    this.initialSlow = sequences > 0 ? new Parameter(zeros([sequences, slowSize], dtype)) : null;
    const sees = (to: number, from: number) => to === from || Math.max(to, from) === maps.length || Math.min(to, from) === maps.length;
    const mask = groups.flatMap((to) => groups.map((from) => Number(sees(to, from))));
    this.mask = keep(tensor(mask, { shape: [N, N], dtype }));
    const rates = groups.map((g) => 1 / (g < maps.length ? io : g === maps.length ? fast : slow));
    this.rate = keep(tensor(rates, { dtype }));
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.weight.dim(0)], this.weight.dtype);
  }

  /** The initial state of training sequences, by number: u = 0 except for the slow units' learned values. */
  stateOf(sequences: readonly number[]): Tensor {
    if (this.initialSlow === null) throw new ArgumentError("MTRNN: expected the option `sequences` for learned initial states, got 0");
    const rest = zeros([sequences.length, this.inputSize + this.fastSize], this.weight.dtype);
    return cat([rest, embedding(tensor(Int32Array.from(sequences)), this.initialSlow)], 1);
  }

  /** y = f(u) of all units, in three groups. */
  activities(u: Tensor): { io: Tensor; fast: Tensor; slow: Tensor } {
    const [fast, slow] = split(this.#context(u), [this.fastSize, this.slowSize], 1) as [Tensor, Tensor];
    return { io: this.#io(u), fast, slow };
  }

  step(input: Tensor, u: Tensor): [y: Tensor, next: Tensor] {
    const { ownInput = 0 } = this.#options;
    const x = ownInput === 0 ? input : add(mul(input, 1 - ownInput), mul(this.#io(u), ownInput));
    const net = linear(cat([x, this.#context(u)], 1), mul(this.weight, this.mask));
    const u1 = add(u, mul(this.rate, sub(net, u)));
    return [this.#io(u1), u1];
  }

  #io(u: Tensor): Tensor {
    const { maps, ioActivation = "softmax" } = this.#options;
    const io = slice(u, 1, 0, this.inputSize);
    if (ioActivation !== "softmax") return activationOf(ioActivation)(io);
    return cat(
      split(io, [...maps], 1).map((map) => softmax(map, 1)),
      1,
    );
  }

  #context(u: Tensor): Tensor {
    return activationOf(this.#options.contextActivation ?? "logistic")(slice(u, 1, this.inputSize));
  }
}
