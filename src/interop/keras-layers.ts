/** Layers with Keras's meaning: batch first, channels last, masks that repeat the last output, states that stay between calls. */

import { ArgumentError, DTypeError, FormatError, ShapeError } from "../base/errors.ts";
import { list, quote, shorten } from "../base/quote.ts";
import type { Embedding, LayerNorm, Linear } from "../nn/layers.ts";
import { Module, Parameter } from "../nn/module.ts";
import { add, div, mul, sub } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { notEqual, where } from "../ops/compare.ts";
import { conv1d } from "../ops/conv.ts";
import { sqrt } from "../ops/math.ts";
import { cat, flip, permute, select, stack, transpose, unstack } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { mapState, restoreState, type State, stateTensors } from "../recurrence/state.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import { checkTensor, keep, type Tensor } from "../tensor/tensor.ts";
import type { Activation, KerasConvCell } from "./keras-cells.ts";

/** Which steps of a batch are real, bool [B,T]; null for all. */
export type Mask = Tensor | null;

/** One layer of a Keras model. */
export abstract class KerasLayer extends Module {
  readonly name: string;

  constructor(name: string) {
    super();
    this.name = name;
  }

  abstract forward(x: Tensor, mask?: Mask): Tensor;

  /** The mask of the layer after this one. */
  maskAfter(_x: Tensor, mask: Mask): Mask {
    return mask;
  }
}

/** A function without weights: an Activation, a Flatten, a Dropout. */
export class KerasFunction extends KerasLayer {
  readonly #run: (x: Tensor) => Tensor;
  readonly #keepsMask: boolean;

  constructor(name: string, run: (x: Tensor) => Tensor, keepsMask: boolean) {
    super(name);
    this.#run = run;
    this.#keepsMask = keepsMask;
  }

  override maskAfter(_x: Tensor, mask: Mask): Mask {
    return this.#keepsMask ? mask : null;
  }

  forward(x: Tensor): Tensor {
    return this.#run(x);
  }
}

/** y = φ(xW + b), on the last axis. */
export class KerasDense extends KerasLayer {
  readonly linear: Linear;
  readonly activation: Activation;

  constructor(name: string, linear: Linear, activation: Activation) {
    super(name);
    this.linear = linear;
    this.activation = activation;
  }

  forward(x: Tensor): Tensor {
    return this.activation(this.linear.forward(x));
  }
}

/** Rows of a table; with `maskZero` an index of 0 is no real step. */
export class KerasEmbedding extends KerasLayer {
  readonly embedding: Embedding;
  readonly maskZero: boolean;

  constructor(name: string, embedding: Embedding, maskZero: boolean) {
    super(name);
    this.embedding = embedding;
    this.maskZero = maskZero;
  }

  forward(index: Tensor): Tensor {
    return this.embedding.forward(index);
  }

  override maskAfter(index: Tensor): Mask {
    return this.maskZero ? notEqual(index, 0) : null;
  }
}

/** That the axis which is normalised, if one is named, is the last. @throws ShapeError */
function checkLast(op: string, x: Tensor, axis: number | null): void {
  checkTensor(op, x);
  if (axis === null || x.rank === axis + 1) return;
  throw new ShapeError(`${shorten(op)}: expected x of ${axis + 1} axes, whose last one is normalised, got ${show(x.shape)}`);
}

/** Normalises over the last axis. */
export class KerasLayerNorm extends KerasLayer {
  readonly norm: LayerNorm;
  readonly axis: number | null;

  constructor(name: string, norm: LayerNorm, axis: number | null) {
    super(name);
    this.norm = norm;
    this.axis = axis;
  }

  forward(x: Tensor): Tensor {
    checkLast(this.name, x, this.axis);
    return this.norm.forward(x);
  }
}

/** Normalises the last axis by the statistics that training left; it does not gather any. */
export class KerasBatchNorm extends KerasLayer {
  readonly gamma: Parameter | null;
  readonly beta: Parameter | null;
  readonly movingMean: Tensor;
  readonly movingVariance: Tensor;
  readonly epsilon: number;
  readonly axis: number | null;

  constructor(
    name: string,
    arrays: { readonly gamma: Tensor | null; readonly beta: Tensor | null; readonly mean: Tensor; readonly variance: Tensor },
    epsilon: number,
    axis: number | null,
  ) {
    super(name);
    this.axis = axis;
    this.gamma = arrays.gamma && new Parameter(arrays.gamma);
    this.beta = arrays.beta && new Parameter(arrays.beta);
    this.movingMean = keep(arrays.mean);
    this.movingVariance = keep(arrays.variance);
    this.epsilon = epsilon;
  }

  forward(x: Tensor): Tensor {
    checkLast(this.name, x, this.axis);
    const normal = div(sub(x, this.movingMean), sqrt(add(this.movingVariance, this.epsilon)));
    const scaled = this.gamma === null ? normal : mul(normal, this.gamma);
    return this.beta === null ? scaled : add(scaled, this.beta);
  }
}

export interface KerasConvOptions {
  readonly stride: number;
  readonly dilation: number;
  readonly groups: number;
  readonly padding: "valid" | "same" | "causal";
  readonly activation: Activation;
}

/** Convolution over time, x [B,T,C] to [B,T',O]; weight [O,C/groups,k]. */
export class KerasConv1D extends KerasLayer {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly options: KerasConvOptions;

  constructor(name: string, weight: Tensor, bias: Tensor | null, options: KerasConvOptions) {
    super(name);
    this.weight = new Parameter(weight);
    this.bias = bias && new Parameter(bias);
    this.options = options;
  }

  forward(x: Tensor): Tensor {
    const { padding, activation, ...windows } = this.options;
    const causal = padding === "causal";
    const y = conv1d(transpose(x, 1, 2), this.weight, this.bias, { ...windows, causal, padding: causal ? "valid" : padding });
    return activation(transpose(y, 1, 2));
  }

  override maskAfter(): Mask {
    return null;
  }
}

export interface KerasSequenceOptions {
  /** Whether the outputs of all steps are given, or that of the last one. */
  readonly returnSequences: boolean;
  /** Whether the sequence is read from its end; outputs are in the order in which they were made. */
  readonly goBackwards: boolean;
  /** Whether a call begins with the state in which the last one ended. */
  readonly stateful: boolean;
  /** Whether the output of a masked step is zero; otherwise it is the one before. */
  readonly zeroOutputForMask: boolean;
}

/** What a Keras layer may be called with beside its input. */
export interface SequenceCall {
  readonly mask?: Mask;
  /** h, or h and c; zeros, or with `stateful` the last ones, unless given. */
  readonly state?: readonly Tensor[];
}

export interface SequenceResult {
  readonly output: Tensor;
  /** h, or h and c, after the last step. */
  readonly state: readonly Tensor[];
}

/** Walks over sequences with the rules of Keras. */
export abstract class KerasSequence extends KerasLayer {
  readonly options: KerasSequenceOptions;
  #state: readonly Tensor[] | null = null;

  constructor(name: string, options: KerasSequenceOptions) {
    super(name);
    this.options = options;
  }

  forward(x: Tensor, mask: Mask = null): Tensor {
    return this.run(x, { mask }).output;
  }

  override maskAfter(_x: Tensor, mask: Mask): Mask {
    return this.options.returnSequences ? mask : null;
  }

  /** A call that gives the state too. @throws ShapeError, DTypeError for a mask that is not bool [B,T] */
  run(x: Tensor, { mask = null, state }: SequenceCall = {}): SequenceResult {
    checkTensor(this.name, x);
    if (mask !== null) checkMask(this.name, mask, x);
    const start = state ?? (this.options.stateful ? this.#state : null);
    const result = this.walk(x, mask, start);
    if (this.options.stateful) this.#remember(result.state);
    return result;
  }

  /** Forgets the state of a layer that is stateful. */
  resetStates(): void {
    for (const s of this.#state ?? []) s.dispose();
    this.#state = null;
  }

  #remember(state: readonly Tensor[]): void {
    const copies = state.map((s) => keep(copyOf(s.detach())));
    this.resetStates();
    this.#state = copies;
  }

  protected abstract walk(x: Tensor, mask: Mask, start: readonly Tensor[] | null): SequenceResult;

  /** Step by step, in the order of xs: where a step is masked the state stays. */
  protected walkSteps<S extends State>(
    xs: readonly Tensor[],
    masks: readonly Tensor[] | null,
    start: S,
    step: (x: Tensor, state: S) => [y: Tensor, next: S],
  ): { readonly ys: Tensor[]; readonly last: S } {
    let [state, before]: [S, Tensor | null] = [start, null];
    const ys = xs.map((x, t) => {
      const [y, next] = step(x, state);
      const real = masks?.[t];
      const chosen = (a: Tensor, b: Tensor | 0): Tensor =>
        real ? where(reshape(real, [a.dim(0), ...a.shape.slice(1).map(() => 1)]), a, b) : a;
      state = mapState(chosen, next, state);
      before = chosen(y, this.options.zeroOutputForMask || before === null ? 0 : before);
      return before;
    });
    return { ys, last: state };
  }
}

function checkMask(op: string, mask: Tensor, x: Tensor): void {
  checkTensor(op, mask);
  if (mask.dtype !== "bool") throw new DTypeError(`${shorten(op)}: expected a mask of bool, got ${mask.dtype}`);
  const expected = x.shape.slice(0, 2);
  if (!sameShape(mask.shape, expected)) throw new ShapeError(`${shorten(op)}: expected a mask ${show(expected)}, got ${show(mask.shape)}`);
}

/** SimpleRNN, LSTM or GRU over sequences x [B,T,I]: [B,T,H], or [B,H] of the last step. */
export class KerasRecurrent extends KerasSequence {
  readonly cell: Recurrence<State>;

  constructor(name: string, cell: Recurrence<State>, options: KerasSequenceOptions) {
    super(name, options);
    this.cell = cell;
  }

  protected walk(given: Tensor, mask: Mask, from: readonly Tensor[] | null): SequenceResult {
    const { goBackwards, returnSequences } = this.options;
    if (given.rank !== 3 || given.dim(2) !== this.cell.inputSize || given.dim(1) === 0) {
      throw new ShapeError(`${shorten(this.name)}: expected x [B,T,${this.cell.inputSize}] of at least one step, got ${show(given.shape)}`);
    }
    const x = goBackwards ? flip(given, 1) : given;
    const xs = transpose(x, 0, 1);
    const zero = this.cell.initialState(x.dim(0));
    const start = from === null ? zero : restoreState(zero, from);
    const [ys, last] = mask === null ? this.cell.scan(xs, start) : this.#masked(xs, transpose(goBackwards ? flip(mask, 1) : mask), start);
    return { output: returnSequences ? transpose(ys, 0, 1) : select(ys, 0, xs.dim(0) - 1), state: stateTensors(last) };
  }

  #masked(xs: Tensor, mask: Tensor, start: State): [ys: Tensor, last: State] {
    const { ys, last } = this.walkSteps(unstack(xs), unstack(mask), start, (x, s) => this.cell.step(x, s));
    return [stack(ys), last];
  }
}

/** ConvLSTM2D over pictures x [B,T,rows,columns,C]: [B,T,rows',columns',F], or without T of the last step. */
export class KerasConvLSTM extends KerasSequence {
  readonly cell: KerasConvCell;

  constructor(name: string, cell: KerasConvCell, options: KerasSequenceOptions) {
    super(name, options);
    this.cell = cell;
  }

  protected walk(given: Tensor, mask: Mask, from: readonly Tensor[] | null): SequenceResult {
    if (given.rank !== 5) throw new ShapeError(`${shorten(this.name)}: expected x [B,T,rows,columns,C], got ${show(given.shape)}`);
    const inOrder = (x: Tensor): Tensor[] => unstack(this.options.goBackwards ? flip(x, 1) : x, 1);
    const xs = inOrder(permute(given, [0, 1, 4, 2, 3]));
    const first = xs[0];
    if (first === undefined) throw new ShapeError(`${shorten(this.name)}: expected at least one step, got ${show(given.shape)}`);
    const start = from?.map((s) => permute(s, [0, 3, 1, 2])) ?? this.cell.initialState(first);
    const step = (x: Tensor, s: Tensor[]): [Tensor, Tensor[]] => {
      const next = this.cell.step(x, s);
      return [next[0], next];
    };
    const { ys, last } = this.walkSteps(xs, mask && inOrder(mask), start, step);
    const channelsLast = (t: Tensor): Tensor => permute(t, t.rank === 5 ? [0, 1, 3, 4, 2] : [0, 2, 3, 1]);
    const output = channelsLast(this.options.returnSequences ? stack(ys, 1) : (ys.at(-1) as Tensor));
    return { output, state: last.map(channelsLast) };
  }
}

export const MERGES = ["concat", "sum", "mul", "ave"] as const;

/** A recurrent layer and its copy that reads from the end, their outputs joined step by step. */
export class KerasBidirectional extends KerasLayer {
  readonly forwardLayer: KerasSequence;
  readonly backwardLayer: KerasSequence;
  readonly mergeMode: (typeof MERGES)[number];

  constructor(name: string, layers: readonly [forward: KerasSequence, backward: KerasSequence], mergeMode: (typeof MERGES)[number]) {
    super(name);
    this.forwardLayer = layers[0];
    this.backwardLayer = layers[1];
    this.mergeMode = mergeMode;
  }

  override maskAfter(x: Tensor, mask: Mask): Mask {
    return this.forwardLayer.maskAfter(x, mask);
  }

  forward(x: Tensor, mask: Mask = null): Tensor {
    const a = this.forwardLayer.forward(x, mask);
    const read = this.backwardLayer.forward(x, mask);
    const b = this.backwardLayer.options.returnSequences ? flip(read, 1) : read;
    if (this.mergeMode === "concat") return cat([a, b], a.rank - 1);
    if (this.mergeMode === "mul") return mul(a, b);
    return this.mergeMode === "sum" ? add(a, b) : mul(add(a, b), 0.5);
  }

  resetStates(): void {
    this.forwardLayer.resetStates();
    this.backwardLayer.resetStates();
  }
}

/** The layers of a Keras model in order, by name; a chain of them can be run. */
export class KerasModel extends Module {
  readonly layers: ReadonlyMap<string, KerasLayer>;
  /** Why the layers are no chain; null where each reads what the one before it gives. */
  readonly branches: string | null;

  /** @internal */
  constructor(layers: ReadonlyMap<string, KerasLayer>, branches: string | null) {
    super();
    this.layers = layers;
    this.branches = branches;
  }

  /** @throws ArgumentError for a name that no layer has */
  layer(name: string): KerasLayer {
    const found = this.layers.get(name);
    if (found === undefined) throw new ArgumentError(`layer: expected one of ${list([...this.layers.keys()])}, got ${quote(name)}`);
    return found;
  }

  /** All layers one after another, with the masks that they make. @throws FormatError for a model that is no chain */
  forward(x: Tensor, mask: Mask = null): Tensor {
    checkTensor("forward", x);
    if (this.branches !== null) throw new FormatError(`forward: expected a chain of layers, got ${this.branches}`);
    let [y, m] = [x, mask];
    for (const layer of this.layers.values()) {
      const before = y;
      y = layer.forward(before, m);
      m = layer.maskAfter(before, m);
    }
    return y;
  }

  /** Forgets the states of all layers that are stateful. */
  resetStates(): void {
    for (const layer of this.layers.values())
      if (layer instanceof KerasSequence || layer instanceof KerasBidirectional) layer.resetStates();
  }
}
