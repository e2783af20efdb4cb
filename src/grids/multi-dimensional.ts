/** Recurrent networks over grids with any number of axes, in one direction or in all of them. */

import { noGrad } from "../autodiff/tape.ts";
import { checkNumber, checkObject, checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { type Activation, activationOf } from "../cells/activations.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import { Module, Parameter } from "../nn/module.ts";
import { add, div, maximum, mul, sub } from "../ops/arithmetic.ts";
import { less, where } from "../ops/compare.ts";
import { linear } from "../ops/linear.ts";
import { exp, logSigmoid, sigmoid, tanh } from "../ops/math.ts";
import { cat, flip, select, split } from "../ops/shape.ts";
import { ones, zeros } from "../tensor/create.ts";
import { show } from "../tensor/shape.ts";
import { assign, scope, type Tensor } from "../tensor/tensor.ts";
import { antiDiagonals, fromAntiDiagonals, LineRule, type LineState, shiftedState } from "./lines.ts";

export interface MultiDimensionalOptions extends LayerOptions {
  /** Number of axes of the grid, n. */
  readonly axes: number;
  readonly inputSize: number;
  readonly hiddenSize: number;
}

/**
 * Base class of networks over grids x [B, n_1 … n_k, I]. At each place p they read the input and the states of the predecessors
 * p − e_d along each axis d, zero outside the grid. Anti-diagonals are the steps; W_x x + b is one product for the whole grid.
 */
export abstract class MultiDimensional<S extends LineState> extends LineRule<S> implements GridNetwork {
  readonly axes: number;
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** W_x [G·H, I]. */
  readonly weightIh: Parameter;
  /** [U_1 … U_n], [G·H, n·H]. */
  readonly weightHh: Parameter;
  readonly bias: Parameter;

  constructor(op: string, blocks: number, given: MultiDimensionalOptions) {
    super();
    checkObject(op, "options", given);
    const { axes, inputSize, hiddenSize, ...options } = given;
    checkSizes(op, { axes, inputSize, hiddenSize });
    this.axes = axes;
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    const bound = 1 / Math.sqrt(hiddenSize);
    this.weightIh = uniformParameter([blocks * hiddenSize, inputSize], bound, options);
    this.weightHh = uniformParameter([blocks * hiddenSize, axes * hiddenSize], bound, options);
    this.bias = new Parameter(zeros([blocks * hiddenSize], options.dtype ?? "float32"));
  }

  protected get inputWidth(): number {
    return this.bias.size;
  }

  protected get outputWidth(): number {
    return this.hiddenSize;
  }

  protected get dtype(): FloatDType {
    return this.bias.dtype as FloatDType;
  }

  /** States of the predecessors along each axis; along the last axis that is the line before itself. */
  protected predecessors(before: S): S[] {
    return Array.from({ length: this.axes }, (_, d) => (d === this.axes - 1 ? before : shiftedState(before, d, 1)));
  }

  /** W_x x + b + Σ_d U_d h_{p−e_d}, with the first two terms given. */
  protected sums(x: Tensor, predecessors: readonly S[]): Tensor {
    const outputs = cat(
      predecessors.map(({ h }) => h),
      -1,
    );
    return add(x, linear(outputs, this.weightHh));
  }

  /** From x [B, n_1 … n_k, inputSize] to [B, n_1 … n_k, hiddenSize]. @throws ShapeError for another number of axes or input size */
  forward(x: Tensor): Tensor {
    if (x.rank !== this.axes + 2 || x.dim(-1) !== this.inputSize || x.size === 0) {
      throw new ShapeError(`forward: expected x [B, ${this.axes} axes, ${this.inputSize}] that is not empty, got ${show(x.shape)}`);
    }
    return fromAntiDiagonals(this.run(antiDiagonals(this.ofInput(x))));
  }

  /** The input of each place, [B, n_1 … n_k, inputWidth], from x [B, n_1 … n_k, inputSize]. Lines have zeros at places outside the grid. */
  protected ofInput(x: Tensor): Tensor {
    return linear(x, this.weightIh, this.bias);
  }
}

export interface MDRNNOptions extends MultiDimensionalOptions {
  /** Default "tanh". */
  readonly activation?: Activation;
}

/**
 * Multi-dimensional recurrent network, at each place p of a grid:
 *
 *   h_p = φ(W_x x_p + Σ_d U_d h_{p−e_d} + b)
 *
 * `weightIh` W_x [H,I], `weightHh` [U_1 … U_n] [H,n·H], `bias` [H]; weights from U(±1/√H), b = 0.
 * @throws ArgumentError for sizes below 1
 * @see Graves, Fernández, Schmidhuber, "Multi-dimensional recurrent neural networks", ICANN 2007, section 2
 * Deviates: initial weights.
 * @example new MDRNN({ axes: 2, inputSize: 1, hiddenSize: 8 }).forward(images); // [B,H,W,1] → [B,H,W,8]
 */
export class MDRNN extends MultiDimensional<{ readonly h: Tensor }> {
  protected readonly stateNames = ["h"] as const;
  readonly #activation: (x: Tensor) => Tensor;
  /** Whether φ(0) is not 0. Then places within the grid need an extra input of 1, to distinguish them from a line's places outside. */
  readonly #marks: boolean;

  constructor(options: MDRNNOptions) {
    checkOptions("MDRNN", options, ["axes", "inputSize", "hiddenSize", "activation", ...LAYER]);
    const activation = activationOf(options.activation ?? "tanh");
    super("MDRNN", 1, options);
    this.#activation = activation;
    this.#marks = scope(() => noGrad(() => this.#activation(zeros([1], this.dtype)).item())) !== 0;
  }

  protected override get inputWidth(): number {
    return super.inputWidth + Number(this.#marks);
  }

  protected override ofInput(x: Tensor): Tensor {
    const sums = super.ofInput(x);
    return this.#marks ? cat([sums, ones([...x.shape.slice(0, -1), 1], this.dtype)], -1) : sums;
  }

  protected recurrentWeights(): readonly Parameter[] {
    return [this.weightHh];
  }

  protected advance(x: Tensor, before: { readonly h: Tensor }): { readonly h: Tensor } {
    const predecessors = this.predecessors(before);
    if (!this.#marks) return { h: this.#activation(this.sums(x, predecessors)) };
    const [own, mark] = split(x, [this.hiddenSize, 1], -1) as [Tensor, Tensor];
    return { h: where(less(mark, 0.5), 0, this.#activation(this.sums(own, predecessors))) };
  }
}

/** Output h and cell c of a line of places, [B, …places, H] each. */
export type MDLSTMState = { readonly h: Tensor; readonly c: Tensor };

export interface MDLSTMOptions extends MultiDimensionalOptions {
  /** Whether the gates see the cells (default true). */
  readonly peepholes?: boolean;
  /** Initial bias of every forget gate (default 0, with which the gates of two axes sum to 1). */
  readonly forgetBias?: number;
}

/** Shared by the two multi-dimensional LSTMs. */
const GATED = ["axes", "inputSize", "hiddenSize", "peepholes", "forgetBias", ...LAYER] as const;

abstract class GatedGrid extends MultiDimensional<MDLSTMState> {
  protected readonly stateNames = ["h", "c"] as const;
  /** One row per pair of a gate and a cell that it sees; null without peepholes. */
  readonly weightPeephole: Parameter | null;

  constructor(op: string, blocks: number, rows: number, given: MDLSTMOptions) {
    const { peepholes = true, ...options } = given;
    super(op, blocks, options);
    const bound = 1 / Math.sqrt(options.hiddenSize);
    this.weightPeephole = peepholes ? uniformParameter([rows, options.hiddenSize], bound, options) : null;
  }

  protected recurrentWeights(): readonly Parameter[] {
    return this.weightPeephole ? [this.weightHh, this.weightPeephole] : [this.weightHh];
  }

  /** A gate with p∘c added to its sum for each cell that it sees, by row of the peepholes. */
  protected gate(sum: Tensor, seen: readonly (readonly [row: number, c: Tensor])[]): Tensor {
    const weights = this.weightPeephole;
    if (weights === null) return sigmoid(sum);
    return sigmoid(seen.reduce((total, [row, c]) => add(total, mul(select(weights, 0, row), c)), sum));
  }
}

const total = (parts: readonly Tensor[]): Tensor => parts.reduce((a, b) => add(a, b));

/**
 * Multi-dimensional LSTM with one forget gate for each axis; a is W x_p + Σ_d U_d h_{p−e_d} + b, σ the logistic function:
 *
 *   i = σ(a_i + Σ_d p_{i,d}∘c_{p−e_d})      f_d = σ(a_{f,d} + p_{f,d}∘c_{p−e_d})      g = tanh(a_g)
 *   c_p = i∘g + Σ_d f_d∘c_{p−e_d}           o = σ(a_o + p_o∘c_p)                      h_p = o∘tanh(c_p)
 *
 * Blocks in the order i f_1 … f_n g o: `weightIh` [(3+n)H,I], `weightHh` [(3+n)H,n·H] (U_1 … U_n side by side), `bias` [(3+n)H];
 * `weightPeephole` [2n+1,H] in the order p_{i,1} … p_{i,n} p_{f,1} … p_{f,n} p_o. Weights from U(±1/√H), biases zero.
 * @throws ArgumentError for sizes below 1
 * @see Graves, Fernández, Schmidhuber, "Multi-dimensional recurrent neural networks", ICANN 2007, section 3
 * Deviates: initial weights.
 * @example new MDLSTM({ axes: 3, inputSize: 2, hiddenSize: 8 }).forward(videos); // [B,T,H,W,2] → [B,T,H,W,8]
 */
export class MDLSTM extends GatedGrid {
  constructor(options: MDLSTMOptions) {
    const { axes, hiddenSize: H, forgetBias = 0 } = optionsOf("MDLSTM", options, GATED);
    checkNumber("MDLSTM", "forgetBias", forgetBias);
    super("MDLSTM", 3 + axes, 2 * axes + 1, options);
    setRange(this.bias, H, (1 + axes) * H, forgetBias);
  }

  protected advance(x: Tensor, state: MDLSTMState): MDLSTMState {
    const n = this.axes;
    const before = this.predecessors(state);
    const blocks = split(this.sums(x, before), this.hiddenSize, -1);
    const [ai, ag, ao] = [0, n + 1, n + 2].map((k) => blocks[k]) as [Tensor, Tensor, Tensor];
    const i = this.gate(
      ai,
      before.map(({ c }, d) => [d, c]),
    );
    const kept = before.map(({ c }, d) => mul(this.gate(blocks[1 + d] as Tensor, [[n + d, c]]), c));
    const c = add(mul(i, tanh(ag)), total(kept));
    return { h: mul(this.gate(ao, [[2 * n, c]]), tanh(c)), c };
  }
}

/**
 * Multi-dimensional LSTM with the stable cell: gates λ that sum to one mix the preceding cells, and there is only one forget
 * gate, so the cell cannot grow with the number of paths through the grid.
 *
 *   λ_d = σ(a_{λ,d}) / Σ_e σ(a_{λ,e})       c⁻ = Σ_d λ_d∘c_{p−e_d}
 *   i = σ(a_i + p_i∘c⁻)    f = σ(a_f + p_f∘c⁻)    c_p = i∘tanh(a_g) + f∘c⁻    o = σ(a_o + p_o∘c_p)    h_p = o∘tanh(c_p)
 *
 * Blocks in the order i f λ_1 … λ_n g o: `weightIh` [(4+n)H,I], `weightHh` [(4+n)H,n·H], `bias` [(4+n)H]; `weightPeephole` [3,H]
 * in the order p_i p_f p_o. Weights from U(±1/√H), biases zero.
 * @throws ArgumentError for sizes below 1
 * @see Leifert, Strauß, Grüning, Wustlich, Labahn, "Cells in multidimensional recurrent neural networks", JMLR 17(97), 2016
 * Deviates: for every n, each axis has its own λ, divided by their sum; initial weights.
 * @example new StableMDLSTM({ axes: 2, inputSize: 1, hiddenSize: 8 }).forward(images); // [B,H,W,1] → [B,H,W,8]
 */
export class StableMDLSTM extends GatedGrid {
  constructor(options: MDLSTMOptions) {
    const { axes, hiddenSize: H, forgetBias = 0 } = optionsOf("StableMDLSTM", options, GATED);
    checkNumber("StableMDLSTM", "forgetBias", forgetBias);
    super("StableMDLSTM", 4 + axes, 3, options);
    setRange(this.bias, H, 2 * H, forgetBias);
  }

  protected advance(x: Tensor, state: MDLSTMState): MDLSTMState {
    const n = this.axes;
    const before = this.predecessors(state);
    const blocks = split(this.sums(x, before), this.hiddenSize, -1);
    const [ai, af, ag, ao] = [0, 1, n + 2, n + 3].map((k) => blocks[k]) as [Tensor, Tensor, Tensor, Tensor];
    const lambda = relativeGates(blocks.slice(2, 2 + n));
    const mixed = div(total(before.map(({ c }, d) => mul(lambda[d] as Tensor, c))), total(lambda));
    const c = add(mul(this.gate(ai, [[0, mixed]]), tanh(ag)), mul(this.gate(af, [[1, mixed]]), mixed));
    return { h: mul(this.gate(ao, [[2, c]]), tanh(c)), c };
  }
}

/** σ(a_d) divided by the greatest of them, by logarithms: their sum is at least 1, even if all gates are closed. */
function relativeGates(sums: readonly Tensor[]): Tensor[] {
  const logs = sums.map(logSigmoid);
  const greatest = logs.reduce((a, b) => maximum(a, b));
  return logs.map((log) => exp(sub(log, greatest)));
}

function setRange(bias: Parameter, from: number, to: number, value: number): void {
  if (value !== 0) assign(bias, bias.data().fill(value, from, to));
}

/** A network over grids that can run in several directions. */
export interface GridNetwork extends Module {
  readonly axes: number;
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** From x [B, n_1 … n_k, inputSize] to [B, n_1 … n_k, hiddenSize]. */
  forward(x: Tensor): Tensor;
}

export interface MultiDirectionalOptions {
  /** Number of axes of the grid, n. */
  readonly axes: number;
  /** Makes the network of one direction; called 2ⁿ times. */
  readonly create: (direction: number) => GridNetwork;
}

/**
 * One network for each of the 2ⁿ directions in which a grid can be scanned, with outputs side by side, so every place sees
 * the whole grid. Directions count in binary, with the first axis as the highest digit and 1 for backwards. For two axes they are
 * → down, ← down, → up, ← up.
 * @throws ArgumentError if the networks differ in sizes or have another number of axes
 * @see Graves, Fernández, Schmidhuber, "Multi-dimensional recurrent neural networks", ICANN 2007, section 2.1
 * Deviates: none.
 * @example new MultiDirectional({ axes: 2, create: () => new MDLSTM({ axes: 2, inputSize: 1, hiddenSize: 8 }) }).forward(images); // [B,H,W,32]
 */
export class MultiDirectional extends Module {
  readonly axes: number;
  readonly inputSize: number;
  readonly outputSize: number;
  readonly directions: readonly GridNetwork[];

  constructor(options: MultiDirectionalOptions) {
    super();
    const { axes, create } = optionsOf("MultiDirectional", options, ["axes", "create"]);
    checkSizes("MultiDirectional", { axes });
    this.axes = axes;
    this.directions = Array.from({ length: 2 ** axes }, (_, k) => create(k));
    const [first] = this.directions as [GridNetwork];
    this.inputSize = first.inputSize;
    this.outputSize = first.hiddenSize * this.directions.length;
    for (const grid of this.directions) {
      if (grid.axes === axes && grid.inputSize === first.inputSize && grid.hiddenSize === first.hiddenSize) continue;
      throw new ArgumentError(
        `MultiDirectional: expected networks of ${axes} axes, input size ${first.inputSize} and hidden size ${first.hiddenSize}, ` +
          `got ${grid.axes}, ${grid.inputSize} and ${grid.hiddenSize}`,
      );
    }
  }

  /** From x [B, n_1 … n_k, inputSize] to [B, n_1 … n_k, 2ⁿ·hiddenSize]. */
  forward(x: Tensor): Tensor {
    return cat(
      this.#mapped(x, (y, turned) => flipped(y, turned)),
      -1,
    );
  }

  /** The outputs at the corners where the scans end, [B, 2ⁿ·hiddenSize]. Each has seen all of x. */
  corners(x: Tensor): Tensor {
    const corner = (y: Tensor) => {
      let rest = y;
      for (let d = 0; d < this.axes; d++) rest = select(rest, 1, -1);
      return rest;
    };
    return cat(
      this.#mapped(x, (y) => corner(y)),
      -1,
    );
  }

  /** Applies `read` to each direction's output, which is in that direction's own order: its axes `turned` are backwards. */
  #mapped(x: Tensor, read: (y: Tensor, turned: readonly number[]) => Tensor): Tensor[] {
    return this.directions.map((grid, k) => {
      const turned = Array.from({ length: this.axes }, (_, d) => d + 1).filter((axis) => (k >> (this.axes - axis)) & 1);
      return read(grid.forward(flipped(x, turned)), turned);
    });
  }
}

function flipped(x: Tensor, axes: readonly number[]): Tensor {
  return axes.length === 0 ? x : flip(x, axes);
}
