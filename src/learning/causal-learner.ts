/** Causal recursive backpropagation sample by sample: learns from every error a fixed number of steps later. */

import { advance as advanced, emptyLine, tapsOf, weighTaps } from "../cells/delays/delay-line.ts";
import type { LocalFeedbackLayer } from "../cells/delays/local-feedback.ts";
import type { Parameter } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { broadcastTo, sum } from "../ops/broadcast.ts";
import { matmul } from "../ops/linear.ts";
import { select, slice, stack, unsqueeze } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import { type State, stateTensors } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import { vjp } from "../transforms/transforms.ts";
import { impulseResponse, throughLattice } from "./filters.ts";
import { type Advanced, LateLearner } from "./late-learner.ts";
import { sumOf } from "./sequences.ts";

/** The past that a layer holds, newest first: of D steps, and what its own filters need in addition. */
type LayerPast = {
  /** Sums s [B,D+1,O]. */
  readonly sums: Tensor;
  /** δ = ∂E/∂s of the layer's newest errors, as many as the layer below needs [B,Q+1,O]. */
  readonly deltas: Tensor;
  /** α(t) = x(t) + Σ_r a_r α(t−r): ∂s/∂b of the newest tap [B,…,O,I]. */
  readonly byInput: Tensor;
  /** β(t) = v(t) + Σ_r a_r β(t−r) [B,…,O,I]; empty without feedback. */
  readonly byOutput: Tensor;
};

type CausalMemory<S extends State> = {
  readonly state: S;
  readonly layers: readonly LayerPast[];
  /** Number of steps so far, counted only as long as it matters: [1]. */
  readonly steps: Tensor;
};

/** The values that a step adds to a layer's past. */
interface LayerStep {
  readonly sums: Tensor;
  readonly byInput: Tensor;
  readonly byOutput: Tensor;
}

/** A layer, and the time that its errors wait. */
interface Delayed {
  readonly layer: LocalFeedbackLayer;
  /** D, number of steps that its errors wait. */
  readonly wait: number;
  /** Q, number of steps that its errors go back on their way down. */
  readonly reach: number;
}

/** A line with a new value in front and the same length; an empty line stays empty. */
const pushed = (value: Tensor, line: Tensor): Tensor => (line.dim(1) === 0 ? line : advanced(tapsOf(value, line)));

/** Σ_r a_r u(t−r) over the newest values of a line; the value itself without feedback. */
function filtered(value: Tensor, line: Tensor, a: Tensor | null): Tensor {
  return a === null ? value : add(value, weighTaps(slice(line, 1, 0, a.dim(0)), a));
}

export class CausalLearner<S extends State> extends LateLearner<S, CausalMemory<S>> {
  readonly #layers: readonly Delayed[];

  /** @param reach Q of each layer but the first */
  constructor(name: string, layers: readonly LocalFeedbackLayer[], reach: readonly number[], recurrence: Recurrence<S>, batch: number) {
    super(name, recurrence, batch);
    this.#layers = layers.map((layer, l) => ({
      layer,
      wait: reach.slice(l).reduce((a, b) => a + b, 0),
      reach: l === 0 ? 0 : (reach[l - 1] as number),
    }));
    this.reset();
  }

  protected first(state: S): CausalMemory<S> {
    const layers = this.#layers.map(({ layer, wait, reach }): LayerPast => {
      const { inputDelays: P, feedbackDelays: R, inputSize: I, outputSize: O } = layer;
      const line = (length: number, shape: readonly number[]): Tensor => emptyLine(this.batch, length, shape, layer.bias.dtype);
      return {
        sums: line(wait + 1, [O]),
        deltas: line(reach + 1, [O]),
        byInput: line(Math.max(wait + P, R) + 1, [O, I]),
        byOutput: line(R === 0 ? 0 : wait + R + 1, [O, I]),
      };
    });
    return { state, layers, steps: stepsOf(0) };
  }

  protected advance(x: Tensor, next: S, dy: Tensor | null): Advanced<CausalMemory<S>> {
    const { steps } = this.memory;
    const added = this.#added(x);
    const most = (this.#layers[0] as Delayed).wait + 1;
    const now = Math.min(steps.data()[0] as number, most) + 1;
    const { layers, found } = this.#tick(this.memory.layers, added, dy, now);
    return { gradients: this.#inOrder(found), memory: { state: next, layers, steps: stepsOf(Math.min(now, most)) } };
  }

  /** Gradients of the waiting errors, without any further input. */
  override remaining(): readonly (Tensor | null)[] {
    const found = new Map<Parameter, Tensor>();
    let { layers } = this.memory;
    let now = this.memory.steps.data()[0] as number;
    for (let left = (this.#layers[0] as Delayed).wait; left > 0; left--) {
      const tick = this.#tick(layers, layers.map(nothing), null, ++now);
      layers = tick.layers;
      tick.found.forEach((g, p) => {
        found.set(p, sumOf(found.get(p) ?? null, g) as Tensor);
      });
    }
    return this.#inOrder(found);
  }

  #inOrder(found: ReadonlyMap<Parameter, Tensor>): readonly (Tensor | null)[] {
    return this.recurrence.parameters().map((p) => (p.requiresGrad ? (found.get(p) ?? null) : null));
  }

  /** The layers' signals of a step, with the present weights. */
  #added(x: Tensor): LayerStep[] {
    const lines = stateTensors(this.memory.state);
    let below = x;
    return this.#layers.map(({ layer }, l) => {
      const [inputs, fed] = [lines[2 * l] as Tensor, lines[2 * l + 1] as Tensor];
      const past = this.memory.layers[l] as LayerPast;
      const a = layer.coefficients;
      const drive = sum(mul(unsqueeze(tapsOf(below, inputs), 1), layer.weightIh), { axis: 2 });
      const v = filtered(drive, fed, a);
      const sums = add(sum(v, { axis: 2 }), layer.bias);
      const byInput = filtered(broadcastTo(unsqueeze(below, 1), v.shape), past.byInput, a);
      below = layer.squash(sums);
      return { sums, byInput, byOutput: filtered(v, past.byOutput, a) };
    });
  }

  /** @param now number of steps so far, including this one */
  #tick(
    before: readonly LayerPast[],
    added: readonly LayerStep[],
    dy: Tensor | null,
    now: number,
  ): { readonly layers: readonly LayerPast[]; readonly found: ReadonlyMap<Parameter, Tensor> } {
    const found = new Map<Parameter, Tensor>();
    const layers: LayerPast[] = [];
    let error = dy;
    for (let l = before.length - 1; l >= 0; l--) {
      const { layer, wait, reach } = this.#layers[l] as Delayed;
      const past = before[l] as LayerPast;
      const fresh = added[l] as LayerStep;
      const own = {
        sums: pushed(fresh.sums, past.sums),
        byInput: pushed(fresh.byInput, past.byInput),
        byOutput: pushed(fresh.byOutput, past.byOutput),
      };
      const s = select(own.sums, 1, wait);
      // There is no error before the first step.
      const delta = error === null || now <= wait ? null : (vjp((z) => layer.squash(z as Tensor), [s])[1](error, {})[0] as Tensor);
      const deltas = pushed(delta ?? zeros(s.shape, s.dtype), past.deltas);
      layers[l] = { ...own, deltas };
      if (delta !== null) collect(found, layer, delta, own, wait);
      error = l === 0 ? null : handedDown(layer, deltas, reach);
    }
    return { layers, found };
  }
}

const stepsOf = (n: number): Tensor => tensor(Int32Array.of(n));

/** The values that a layer's past gets after the last step. */
function nothing({ sums, byInput, byOutput }: LayerPast): LayerStep {
  const zero = (line: Tensor): Tensor => zeros([line.dim(0), ...line.shape.slice(2)], line.dtype);
  return { sums: zero(sums), byInput: zero(byInput), byOutput: zero(byOutput) };
}

/** Σ_p Σ_i δ_i(τ+p) k_ij(p) for the step τ, Q before the newest [B,I]. */
function handedDown(layer: LocalFeedbackLayer, deltas: Tensor, reach: number): Tensor {
  const responses = impulseResponse(layer, reach + 1);
  return responses.map((k, p) => matmul(select(deltas, 1, reach - p), k)).reduce((a, b) => add(a, b));
}

/** Gradients of a layer's parameters from the error δ [B,O] of the step `wait` steps back. */
function collect(
  found: Map<Parameter, Tensor>,
  layer: LocalFeedbackLayer,
  delta: Tensor,
  { byInput, byOutput }: Pick<LayerPast, "byInput" | "byOutput">,
  wait: number,
): void {
  const note = (p: Parameter, g: Tensor): void => {
    found.set(p, sumOf(found.get(p) ?? null, g) as Tensor);
  };
  const d = unsqueeze(delta, 2);
  const through = (line: Tensor, back: number): Tensor => sum(mul(d, select(line, 1, wait + back)), { axis: 0 });
  note(
    layer.weightIh,
    stack(
      Array.from({ length: layer.inputDelays + 1 }, (_, p) => through(byInput, p)),
      1,
    ),
  );
  note(layer.bias, sum(delta, { axis: 0 }));
  if (layer.weightFb === null) return;
  const da = stack(Array.from({ length: layer.feedbackDelays }, (_, r) => through(byOutput, r + 1)));
  note(layer.weightFb, throughLattice(layer, da));
}
