/** Dropout as modules: active in training, silent in evaluation. */

import { noGrad } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { type DropoutOptions, dropout, recurrentDropout, variationalDropout, zoneout } from "../ops/dropout.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid, tanh } from "../ops/math.ts";
import { reshape, split } from "../ops/shape.ts";
import type { LstmState } from "../recurrence/kinds.ts";
import { Cell, type Recurrence } from "../recurrence/recurrence.ts";
import { LSTMCell, type LSTMCellOptions } from "../recurrence/rnn-cells.ts";
import { mapState, type State, stateTensors } from "../recurrence/state.ts";
import { ones } from "../tensor/create.ts";
import type { Generator } from "../tensor/random.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { Module } from "./module.ts";

export interface DropoutLayerOptions {
  /** Where masks come from; the default generator unless given. */
  readonly generator?: Generator;
}

/** What the functions want to know of a module. */
function optionsOf(module: Module, generator: Generator | undefined): DropoutOptions {
  return generator === undefined ? { training: module.training } : { training: module.training, generator };
}

function checkProbability(op: string, p: number): number {
  if (!(p >= 0 && p <= 1)) throw new ArgumentError(`${op}: expected p in [0, 1], got ${p}`);
  return p;
}

/** Sets each element to zero with probability p and scales the others by 1/(1 − p); see `dropout`. */
export class Dropout extends Module {
  readonly p: number;
  /** Where masks come from; the default generator unless given. */
  readonly generator: Generator | undefined;

  constructor(p = 0.5, { generator }: DropoutLayerOptions = {}) {
    super();
    this.p = checkProbability("Dropout", p);
    this.generator = generator;
  }

  forward(x: Tensor): Tensor {
    return dropout(x, this.p, optionsOf(this, this.generator));
  }
}

/** Dropout of sequences [T,B,F] with one mask for all steps; see `variationalDropout`. */
export class VariationalDropout extends Module {
  readonly p: number;
  /** Where masks come from; the default generator unless given. */
  readonly generator: Generator | undefined;

  constructor(p = 0.5, { generator }: DropoutLayerOptions = {}) {
    super();
    this.p = checkProbability("VariationalDropout", p);
    this.generator = generator;
  }

  forward(xs: Tensor): Tensor {
    return variationalDropout(xs, this.p, optionsOf(this, this.generator));
  }
}

/**
 * An LSTM cell whose candidate g alone is dropped, so that the memory is never erased:
 *
 *   c' = f∘c + i∘dropout(g)      h' = o∘tanh(c')
 *
 * Parameters and gate order are those of `LSTMCell`.
 * @see Semeniuta, Severyn, Barth, "Recurrent dropout without memory loss", 2016, eq. 14
 */
export class RecurrentDropoutLSTM extends Cell<LstmState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly p: number;
  readonly cell: LSTMCell;
  /** Where masks come from; the default generator unless given. */
  readonly generator: Generator | undefined;

  constructor(p: number, options: LSTMCellOptions & DropoutLayerOptions) {
    super();
    this.p = checkProbability("RecurrentDropoutLSTM", p);
    if (options.projSize || options.peepholes)
      throw new ArgumentError("RecurrentDropoutLSTM: expected neither projSize nor peepholes, got one");
    this.cell = new LSTMCell(options);
    this.inputSize = this.cell.inputSize;
    this.outputSize = this.cell.outputSize;
    this.generator = options.generator;
  }

  initialState(batch: number): LstmState {
    return this.cell.initialState(batch);
  }

  step(x: Tensor, { h, c }: LstmState): [y: Tensor, next: LstmState] {
    const { weightIh, weightHh, biasIh, biasHh, hiddenSize } = this.cell;
    const sums = add(linear(x, weightIh, biasIh ?? undefined), linear(h, weightHh, biasHh ?? undefined));
    const [i, f, g, o] = split(sums, hiddenSize, 1) as [Tensor, Tensor, Tensor, Tensor];
    const candidate = recurrentDropout(tanh(g), this.p, optionsOf(this, this.generator));
    const c1 = add(mul(sigmoid(f), c), mul(sigmoid(i), candidate));
    const h1 = mul(sigmoid(o), tanh(c1));
    return [h1, { h: h1, c: c1 }];
  }
}

/** Whether a recurrence puts out the first tensor of its state: one step, in evaluation, answers. */
function putsOutState<S extends State>(cell: Recurrence<S>): boolean {
  const modes = Array.from(cell.modules(), (module) => [module, module.training] as const);
  try {
    cell.eval();
    return scope(() =>
      noGrad(() => {
        const start = cell.initialState(1);
        const dtype = stateTensors(start).find((s) => isFloat(s.dtype))?.dtype ?? "float32";
        const [y, next] = cell.step(ones([1, cell.inputSize], dtype), start);
        const h = stateTensors(next)[0]?.data() ?? [];
        return h.length === y.size && y.data().every((value, i) => value === h[i]);
      }),
    );
  } finally {
    for (const [module, training] of modes) module.training = training;
  }
}

/**
 * A cell whose state elements keep their old value at random: with probability p each, or p[i] for the i-th tensor of the state (h, then c).
 * Whole numbers in a state, such as counts of steps, are left alone. The output is the new h; a reading goes around it:
 * `new MooreMachine(new Zoneout(cell, p), readout)`.
 * @throws ArgumentError for a probability outside [0, 1], and for a cell whose output is not the first tensor of its state
 * @see Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", 2017, eq. 1-3
 * @example new Zoneout(new LSTMCell({ inputSize: 4, hiddenSize: 8 }), [0.05, 0.5])
 */
export class Zoneout<S extends State> extends Cell<S> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly p: readonly number[];
  readonly cell: Recurrence<S>;
  /** Where masks come from; the default generator unless given. */
  readonly generator: Generator | undefined;

  constructor(cell: Recurrence<S>, p: number | readonly number[], { generator }: DropoutLayerOptions = {}) {
    super();
    const states = scope(() => stateTensors(cell.initialState(1)).length);
    this.p = (typeof p === "number" ? new Array<number>(states).fill(p) : p).map((value) => checkProbability("Zoneout", value));
    if (!putsOutState(cell))
      throw new ArgumentError(`Zoneout: expected a cell that puts out the first tensor of its state, got ${cell.constructor.name}`);
    this.cell = cell;
    this.inputSize = cell.inputSize;
    this.outputSize = cell.outputSize;
    this.generator = generator;
  }

  initialState(batch: number): S {
    return this.cell.initialState(batch);
  }

  step(x: Tensor, state: S): [y: Tensor, next: S] {
    const [y, candidate] = this.cell.step(x, state);
    let i = 0;
    const next = mapState(
      (fresh, before) => {
        const p = this.p[i++] ?? 0;
        return isFloat(fresh.dtype) ? zoneout(before as Tensor, fresh, p, optionsOf(this, this.generator)) : fresh;
      },
      candidate,
      state,
    );
    return [reshape(stateTensors(next)[0] as Tensor, y.shape), next];
  }
}
