/** El Hihi and Bengio's hierarchical network: levels of units that update at different rates. */

import { checkList, checkOneOf, checkSizes, optionsOf } from "../../base/checks.ts";
import type { FloatDType } from "../../base/dtype.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Module, type Parameter } from "../../nn/module.ts";
import { add, div, sub } from "../../ops/arithmetic.ts";
import { less, where } from "../../ops/compare.ts";
import { linear } from "../../ops/linear.ts";
import { cat, slice } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { keep, type Tensor, tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";

/** A level of a hierarchical network: its units, and how often they move. */
export interface HierarchyLevel {
  readonly size: number;
  /** Steps between two updates. */
  readonly period: number;
}

export interface HierarchicalRNNOptions extends LayerOptions {
  readonly inputSize: number;
  /** Levels from the fastest, which sees the input, to the slowest. */
  readonly levels: readonly HierarchyLevel[];
  /** What a level sees of the one below: its value at the update ("last", default), or its mean since the previous update ("mean"). */
  readonly window?: "last" | "mean";
  /** f (default "tanh"). */
  readonly activation?: Activation;
}

/**
 * The units of each level, the number of steps until each level's next update [B,L], and with means the sums since the last
 * update of each level's input from below.
 */
export type HierarchicalState = { readonly h: readonly Tensor[]; readonly wait: Tensor; readonly sums: readonly Tensor[] };

class Level extends Module {
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(inputs: number, size: number, options: LayerOptions) {
    super();
    const bound = 1 / Math.sqrt(size);
    this.weightIh = uniformParameter([size, inputs], bound, options);
    this.weightHh = uniformParameter([size, size], bound, options);
    this.bias = uniformParameter([size], bound, options);
  }
}

/**
 * Levels l = 1 … L. Each updates when t is a multiple of its period k_l, and otherwise keeps its value:
 *
 *   h^l(t) = f(W^l [h^(l−1)(t); h^(l+1)(t−1)] + U^l h^l(t−1) + b^l)  if t mod k_l = 0, else h^l(t−1)
 *
 * h^0 is the input; t counts from 0. With `window: "mean"` a level sees the mean of h^(l−1) over its last k_l steps (zeros before the
 * first). levels.l.weightIh = W^l, weightHh = U^l, bias = b^l, from U(±1/√size); the output is all levels, the fastest first.
 * @param options x [B,I] to y [B, Σ sizes]; gradients pass unchanged through kept values
 * @throws ArgumentError for no levels, sizes or periods that are not whole and positive
 * @see El Hihi and Bengio, "Hierarchical recurrent neural networks for long-term dependencies", NIPS 1995
 * Deviates: initial values are those of PyTorch's cells.
 * @example const net = new HierarchicalRNN({ inputSize: 1, levels: [{ size: 8, period: 1 }, { size: 8, period: 10 }] });
 */
export class HierarchicalRNN extends Cell<HierarchicalState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly levels: readonly Level[];
  /** Steps from an update to the next, [L]. */
  readonly rest: Tensor;
  readonly #options: HierarchicalRNNOptions;

  constructor(options: HierarchicalRNNOptions) {
    super();
    const {
      inputSize,
      levels,
      dtype = "float32",
    } = optionsOf("HierarchicalRNN", options, ["inputSize", "levels", "window", "activation", ...LAYER]);
    checkList("HierarchicalRNN", "levels", levels);
    checkSizes("HierarchicalRNN", { inputSize, levels: levels.length });
    checkOneOf("HierarchicalRNN", "window", options.window ?? "last", ["last", "mean"]);
    for (const [l, { size, period }] of levels.entries()) checkSizes(`HierarchicalRNN: level ${l}`, { size, period });
    const sizeOf = (l: number) => (l < 0 ? inputSize : (levels[l]?.size ?? 0));
    this.inputSize = inputSize;
    this.outputSize = levels.reduce((sum, { size }) => sum + size, 0);
    this.levels = levels.map(({ size }, l) => new Level(sizeOf(l - 1) + sizeOf(l + 1), size, options));
    this.rest = keep(
      tensor(
        levels.map(({ period }) => period - 1),
        { dtype },
      ),
    );
    this.#options = options;
  }

  get dtype(): FloatDType {
    return this.#options.dtype ?? "float32";
  }

  /** Zeros: every level updates at the first step. */
  initialState(batch: number): HierarchicalState {
    const blank = (size: number) => zeros([batch, size], this.dtype);
    const sizes = this.#options.levels.map(({ size }) => size);
    const seen = this.#options.window === "mean" ? [this.inputSize, ...sizes.slice(0, -1)] : [];
    return { h: sizes.map(blank), wait: blank(sizes.length), sums: seen.map(blank) };
  }

  step(x: Tensor, { h, wait, sums }: HierarchicalState): [y: Tensor, next: HierarchicalState] {
    const { levels, activation = "tanh" } = this.#options;
    // The counts are whole numbers, so comparing with one half is safe.
    const due = less(wait, 0.5);
    const after: Tensor[] = [];
    const left: Tensor[] = [];
    for (const [l, { weightIh, weightHh, bias }] of this.levels.entries()) {
      const now = slice(due, 1, l, l + 1);
      let below = after[l - 1] ?? x;
      if (sums[l] !== undefined) {
        const sum = add(sums[l], below);
        below = div(sum, levels[l]?.period as number);
        left.push(where(now, 0, sum));
      }
      const above = h[l + 1];
      const seen = above === undefined ? below : cat([below, above], 1);
      const updated = activationOf(activation)(add(linear(seen, weightIh, bias), linear(h[l] as Tensor, weightHh)));
      after.push(where(now, updated, h[l] as Tensor));
    }
    return [cat(after, 1), { h: after, wait: where(due, this.rest, sub(wait, 1)), sums: left }];
  }
}
