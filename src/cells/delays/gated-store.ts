/** A memory behind gates, over any kind of store. */

import { gate } from "../../autodiff/observer.ts";
import { checkList, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { linear } from "../../ops/linear.ts";
import { sigmoid, tanh } from "../../ops/math.ts";
import { chunk, slice, unstack } from "../../ops/shape.ts";
import { Cell, type Recurrence } from "../../recurrence/recurrence.ts";
import type { State } from "../../recurrence/state.ts";
import { full, zeros } from "../../tensor/create.ts";
import { type Tensor, tensor } from "../../tensor/tensor.ts";
import { advance, emptyLine, tapsOf, weighTaps } from "./delay-line.ts";

export interface GatedStoreOptions<D extends State> extends LayerOptions {
  readonly inputSize: number;
  /** H, size of the store and of the output. */
  readonly hiddenSize: number;
  /** D: any recurrence from H to H; it receives the last stored value (default `IdentityStore`). */
  readonly store?: Recurrence<D>;
}

/** The last output r [B,H], the last stored value m [B,H], and the store's own state. */
export type GatedStoreState<D extends State = State> = { readonly r: Tensor; readonly m: Tensor; readonly d: D };

/**
 * A memory that a network writes, keeps and reads through gates, over a store D of any kind:
 *
 *   i, f, o = σ(W x + b + R r₋₁ + b')    u = tanh(W_u x + b_u + R_u r₋₁ + b'_u)
 *   m = f∘D(m₋₁, m₋₂, …) + i∘u    r = o∘tanh(m)
 *
 * `weightIh` W [4H,I], `weightHh` R [4H,H], `biasIh`, `biasHh` [4H] in the order i f u o from U(±1/√H); then the store's parameters. r₀ = m₀ = 0.
 * With D(m₋₁) = m₋₁ this is the LSTM. `FilterStore` has a finite or infinite impulse response, `DelayGraph` a graph of delays, and any
 * cell from H to H makes a network inside the store.
 * @param options x [B,I] to r [B,H]; state r, m and d
 * @throws ArgumentError for sizes below 1, and for a store with sizes other than H
 * @see Hochreiter and Schmidhuber, "Long short-term memory", 1997; Gers, Schmidhuber and Cummins, "Learning to forget: continual
 * prediction with LSTM", 2000, for gates over the identity
 * Deviates: stores other than the identity come from no single paper; they generalise the idea of a gated state.
 * @example new GatedStore({ inputSize: 8, hiddenSize: 6, store: new FilterStore({ size: 6, delays: 3 }) }).scan(xs);
 */
export class GatedStore<D extends State = State> extends Cell<GatedStoreState<D>> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly biasIh: Parameter;
  readonly biasHh: Parameter;
  readonly store: Recurrence<D>;

  constructor(options: GatedStoreOptions<D>) {
    super();
    const { inputSize: I, hiddenSize: H } = optionsOf("GatedStore", options, ["inputSize", "hiddenSize", "store", ...LAYER]);
    checkSizes("GatedStore", { inputSize: I, hiddenSize: H });
    const store = options.store ?? (new IdentityStore(H) as Recurrence<State> as Recurrence<D>);
    if (store.inputSize !== H || store.outputSize !== H) {
      throw new ArgumentError(`GatedStore: expected a store from ${H} to ${H}, got ${store.inputSize} to ${store.outputSize}`);
    }
    const draw = (...shape: number[]) => uniformParameter(shape, 1 / Math.sqrt(H), options);
    this.inputSize = I;
    this.hiddenSize = H;
    this.outputSize = H;
    this.weightIh = draw(4 * H, I);
    this.weightHh = draw(4 * H, H);
    this.biasIh = draw(4 * H);
    this.biasHh = draw(4 * H);
    this.store = store;
  }

  /** Zeros, and the store's initial state. */
  initialState(batch: number): GatedStoreState<D> {
    const start = zeros([batch, this.hiddenSize], this.weightIh.dtype);
    return { r: start, m: start, d: this.store.initialState(batch) };
  }

  step(x: Tensor, { r, m, d }: GatedStoreState<D>): [y: Tensor, next: GatedStoreState<D>] {
    const sums = add(linear(x, this.weightIh, this.biasIh), linear(r, this.weightHh, this.biasHh));
    const [i, f, u, o] = chunk(sums, 4, 1) as [Tensor, Tensor, Tensor, Tensor];
    const [recalled, d1] = this.store.step(m, d);
    const m1 = gate("m", add(mul(gate("f", sigmoid(f)), recalled), mul(gate("i", sigmoid(i)), tanh(u))));
    const r1 = mul(gate("o", sigmoid(o)), tanh(m1));
    return [r1, { r: r1, m: m1, d: d1 }];
  }
}

/** The store that returns the last stored value: D(m₋₁) = m₋₁. It has neither state nor parameters. */
export class IdentityStore extends Cell<readonly []> {
  readonly inputSize: number;
  readonly outputSize: number;

  constructor(size: number) {
    super();
    checkSizes("IdentityStore", { size });
    this.inputSize = size;
    this.outputSize = size;
  }

  initialState(): readonly [] {
    return [];
  }

  step(m: Tensor, state: readonly []): [y: Tensor, next: readonly []] {
    return [m, state];
  }
}

export interface FilterStoreOptions extends LayerOptions {
  readonly size: number;
  /** P: number of stored values in the weighted sum, including the last one; at least 1. */
  readonly delays: number;
  /** Q: number of earlier outputs in the sum (default 0: a finite impulse response). */
  readonly feedbackDelays?: number;
}

/** Stored values before the last one [B,P−1,H], and earlier outputs [B,Q,H]; newest first. */
export type FilterStoreState = { readonly stored: Tensor; readonly given: Tensor };

/**
 * A store with one filter per unit, of finite or infinite impulse response:
 *
 *   D(m)(t) = Σ_p d_p m(t−p) + Σ_q a_q D(m)(t−q)    p = 1 … P, q = 1 … Q
 *
 * `weightIh` d [P,H], `weightFb` a [Q,H], null with Q = 0. Initially the filter passes constants unchanged: d = 1/P, or with feedback
 * d = 0.7/P and a = 0.3/Q, a leaky integrator for P = Q = 1. Lines start at zero.
 * @param options m(t−1) [B,H] to D(m)(t) [B,H]; state stored and given
 * @throws ArgumentError for sizes below 1 and a negative number of feedback delays
 * @example new FilterStore({ size: 6, delays: 1, feedbackDelays: 1 });
 */
export class FilterStore extends Cell<FilterStoreState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightFb: Parameter | null;

  constructor(options: FilterStoreOptions) {
    super();
    const {
      size,
      delays: P,
      feedbackDelays: Q = 0,
      dtype = "float32",
    } = optionsOf("FilterStore", options, ["size", "delays", "feedbackDelays", ...LAYER]);
    checkSizes("FilterStore", { size, delays: P, ...(Q === 0 ? {} : { feedbackDelays: Q }) });
    const direct = Q === 0 ? 1 : 0.7;
    this.inputSize = size;
    this.outputSize = size;
    this.weightIh = new Parameter(full([P, size], direct / P, dtype));
    this.weightFb = Q === 0 ? null : new Parameter(full([Q, size], (1 - direct) / Q, dtype));
  }

  initialState(batch: number): FilterStoreState {
    const line = (delays: number) => emptyLine(batch, delays, [this.inputSize], this.weightIh.dtype);
    return { stored: line(this.weightIh.dim(0) - 1), given: line(this.weightFb?.dim(0) ?? 0) };
  }

  step(m: Tensor, { stored, given }: FilterStoreState): [y: Tensor, next: FilterStoreState] {
    const taps = tapsOf(m, stored);
    const direct = weighTaps(taps, this.weightIh);
    if (this.weightFb === null) return [direct, { stored: advance(taps), given }];
    const y = add(direct, weighTaps(given, this.weightFb));
    return [y, { stored: advance(taps), given: advance(tapsOf(y, given)) }];
  }
}

export interface DelayGraphOptions extends LayerOptions {
  readonly size: number;
  /** The delay of each edge, at least 1. */
  readonly delays: readonly number[];
}

/**
 * A store made of delayed edges, each with its own matrix and gate:
 *
 *   D(m)(t) = Σ_e g_e(t) A_e m(t−δ_e)    g_e(t) = σ(w_e·m(t−1) + c_e)
 *
 * `weightHh` A [E,H,H], initially 2/E times the identity, so that constants pass while the gates are half open; `weightGh` w [E,H] and
 * `biasG` c [E], initially zero.
 * @param options m(t−1) [B,H] to D(m)(t) [B,H]; state [B,max δ − 1,H], newest first, initially zero
 * @throws ArgumentError for sizes below 1, no delays, and delays that are not whole or below 1
 * @example new DelayGraph({ size: 6, delays: [1, 2, 5] });
 */
export class DelayGraph extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly delays: readonly number[];
  readonly weightHh: Parameter;
  readonly weightGh: Parameter;
  readonly biasG: Parameter;

  constructor(options: DelayGraphOptions) {
    super();
    const { size: H, delays, dtype = "float32" } = optionsOf("DelayGraph", options, ["size", "delays", ...LAYER]);
    checkList("DelayGraph", "delays", delays);
    checkSizes("DelayGraph", { size: H, edges: delays.length, ...Object.fromEntries(delays.map((d, e) => [`delays[${e}]`, d])) });
    const E = delays.length;
    const diagonal = Float64Array.from({ length: E * H * H }, (_, k) => (Math.floor(k / H) % H === k % H ? 2 / E : 0));
    this.inputSize = H;
    this.outputSize = H;
    this.delays = [...delays];
    this.weightHh = new Parameter(tensor(diagonal, { shape: [E, H, H], dtype }));
    this.weightGh = new Parameter(zeros([E, H], dtype));
    this.biasG = new Parameter(zeros([E], dtype));
  }

  initialState(batch: number): Tensor {
    return emptyLine(batch, Math.max(...this.delays) - 1, [this.inputSize], this.weightHh.dtype);
  }

  step(m: Tensor, line: Tensor): [y: Tensor, next: Tensor] {
    const taps = tapsOf(m, line);
    const past = unstack(taps, 1);
    const matrices = unstack(this.weightHh, 0);
    const g = sigmoid(linear(m, this.weightGh, this.biasG));
    const edges = this.delays.map((delay, e) => mul(slice(g, 1, e, e + 1), linear(past[delay - 1] as Tensor, matrices[e] as Tensor)));
    return [edges.reduce((a, b) => add(a, b)), advance(taps)];
  }
}
