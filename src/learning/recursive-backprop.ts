/** Backpropagation in networks whose synapses are recursive filters: exact, and causal with a truncated future. */

import { checkNoMore, checkNumber, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { LocalFeedbackLayer, LocalFeedbackNetwork } from "../cells/delays/local-feedback.ts";
import { checkModule, type Module, type Parameter } from "../nn/module.ts";
import { contracted, polesInside } from "../numerics/poles.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { broadcastTo, sum } from "../ops/broadcast.ts";
import { flip, pad, slice, stack, unsqueeze, unstack } from "../ops/shape.ts";
import type { Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { zeros, zerosLike } from "../tensor/create.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { vjp } from "../transforms/transforms.ts";
import { type GradientAlgorithm, type ScanCotangents, type ScanGradients, scanByRule } from "./algorithm.ts";
import { CausalLearner } from "./causal-learner.ts";
import { allPole, type Filters, filtersOf, impulseResponse, throughLattice } from "./filters.ts";
import { overSequences, sumOf } from "./sequences.ts";

/** Signals over time [T,…] preceded by their line, starting at time −D. */
interface WithPast {
  readonly signal: Tensor;
  /** D, number of values before time 0. */
  readonly past: number;
}

/** A line [B,D,…], newest first, before a signal [T,B,…]. */
function withPast(line: Tensor, signal: Tensor): WithPast {
  const past = line.dim(1);
  if (past === 0) return { signal, past };
  return { signal: stack([...unstack(line, 1).reverse(), ...unstack(signal, 0)]), past };
}

/** x(t − p) for t = 0 … T−1. */
function delayed({ signal, past }: WithPast, p: number): Tensor {
  return slice(signal, 0, past - p, signal.dim(0) - p);
}

/** x(t + p), zero beyond the end. */
function ahead(x: Tensor, p: number): Tensor {
  const T = x.dim(0);
  if (p === 0) return x;
  const none: [number, number] = [0, 0];
  return pad(slice(x, 0, Math.min(p, T), T), [[0, Math.min(p, T)], ...x.shape.slice(1).map(() => none)]);
}

/** The signals of one layer. */
interface LayerRun {
  readonly layer: LocalFeedbackLayer;
  readonly filters: Filters;
  readonly x: WithPast;
  readonly v: WithPast;
  /** y [T,B,O], and a map from ∂E/∂y to ∂E/∂s. */
  readonly y: Tensor;
  readonly pull: (dy: Tensor) => Tensor;
}

function runLayer(layer: LocalFeedbackLayer, xs: Tensor, inputs: Tensor, fed: Tensor): LayerRun {
  const filters = filtersOf(layer);
  const x = withPast(inputs, xs);
  const drive = filters.b.map((b, p) => mul(unsqueeze(delayed(x, p), 2), b)).reduce((u, w) => add(u, w));
  const v = allPole(drive, filters.a, fed);
  const s = add(sum(v, { axis: 3 }), layer.bias.detach());
  const [y, pullback] = vjp((z) => layer.squash(z as Tensor), [s]);
  return { layer, filters, x, v: withPast(fed, v), y: y.detach(), pull: (dy) => pullback(dy, {})[0] as Tensor };
}

/** Cotangents at the ends of a layer's lines: of x and of v, newest first; null if there is none. */
interface LineCotangents {
  readonly inputs: Tensor | null;
  readonly fed: Tensor | null;
}

interface LayerGradients {
  /** ∂E/∂x [T,B,I]. */
  readonly xs: Tensor;
  readonly line: LineCotangents;
  readonly parameters: ReadonlyMap<Parameter, Tensor>;
}

/**
 * Splits the cotangent of a last line [B,D,…] into those of the signal [T,B,…] and of the first line, which share the last line's values.
 */
function spreadLine(d: Tensor | null, signal: Tensor, past: number): { readonly during: Tensor | null; readonly before: Tensor | null } {
  if (d === null || past === 0) return { during: null, before: null };
  const T = signal.dim(0);
  const kept = Math.min(T, past);
  const oldestFirst = flip(stack(unstack(d, 1)), 0);
  const during = pad(slice(oldestFirst, 0, past - kept, past), [
    [T - kept, 0],
    ...signal.shape.slice(1).map((): [number, number] => [0, 0]),
  ]);
  if (past <= T) return { during, before: null };
  // Values of the first line, moved on by T places.
  const moved = slice(d, 1, T, past);
  return { during, before: pad(moved, [[0, 0], [0, T], ...signal.shape.slice(2).map((): [number, number] => [0, 0])]) };
}

const total = (x: Tensor): Tensor => sum(x, { axis: [0, 1] });

/** Sweeps back through one layer. A layer whose errors go back at most Q steps passes them down through its impulse response. */
function sweepLayer(run: LayerRun, dy: Tensor, dLine: LineCotangents, Q: number | null): LayerGradients {
  const { layer, filters, x, v } = run;
  const { a, b } = filters;
  const ds = run.pull(dy);
  const fed = spreadLine(dLine.fed, delayed(v, 0), v.past);
  const inputs = spreadLine(dLine.inputs, delayed(x, 0), x.past);
  // ∂E/∂v through s and through the last line, [T,B,O,I].
  const d = sumOf(broadcastTo(unsqueeze(ds, 3), [...ds.shape, layer.inputSize]), fed.during) as Tensor;
  const q = flip(allPole(flip(d, 0), a, null), 0);
  const dx = Q === null ? handedDown(b, q) : handedDown(impulseResponse(layer, Math.min(Q + 1, d.dim(0))), d);
  const db = stack(
    b.map((_, p) => total(mul(q, unsqueeze(delayed(x, p), 2)))),
    1,
  );
  const da = a && stack(Array.from({ length: a.dim(0) }, (_, i) => total(mul(q, delayed(v, i + 1)))));
  const parameters = new Map<Parameter, Tensor>([
    [layer.weightIh, db],
    [layer.bias, total(ds)],
  ]);
  if (da !== null && layer.weightFb !== null) parameters.set(layer.weightFb, throughLattice(layer, da));
  return {
    xs: sumOf(dx, inputs.during) as Tensor,
    line: {
      inputs: sumOf(
        beforeStart(b.slice(1), q, (e) => sum(e, { axis: 1 })),
        inputs.before,
      ),
      fed: sumOf(
        beforeStart(a === null ? [] : unstack(a, 0), q, (e) => e),
        fed.before,
      ),
    },
    parameters,
  };
}

/** Σ_i Σ_p w_p q(t+p), [T,B,I], from cotangents of synapses [T,B,O,I]. */
function handedDown(w: readonly Tensor[], q: Tensor): Tensor {
  return w.map((wp, p) => ahead(sum(mul(q, wp), { axis: 2 }), p)).reduce((u, z) => add(u, z));
}

/**
 * The cotangent of a first line through its taps c_1 … c_D: Σ_{p ≥ k} c_p q(p−k) for the value at time −k; null for an empty line.
 * @param collect maps [B,O,I] to the shape of the line's values
 */
function beforeStart(taps: readonly Tensor[], q: Tensor, collect: (e: Tensor) => Tensor): Tensor | null {
  if (taps.length === 0) return null;
  const steps = unstack(q, 0);
  const none = zerosLike(collect(steps[0] as Tensor));
  const entries = taps.map((_, i) =>
    taps.slice(i).reduce((e, c, p) => (p < steps.length ? add(e, collect(mul(steps[p] as Tensor, c))) : e), none),
  );
  return stack(entries, 1);
}

/** The layers of a network that recursive backpropagation supports. */
function layersOf(name: string, recurrence: Module): readonly LocalFeedbackLayer[] {
  const layers = recurrence instanceof LocalFeedbackNetwork ? recurrence.layers : [recurrence];
  return layers.map((layer) => {
    if (layer instanceof LocalFeedbackLayer && layer.feedback === "synapse") return layer;
    const got = layer instanceof LocalFeedbackLayer ? `feedback of ${layer.feedback}` : recurrence.constructor.name;
    throw new ArgumentError(`${name}: expected a LocalFeedbackLayer or LocalFeedbackNetwork with filters for synapses, got ${got}`);
  });
}

/** @param reach for each layer but the first, how far errors go back through its synapses; null for no limit */
function sweepLayers(
  layers: readonly LocalFeedbackLayer[],
  parameters: readonly Parameter[],
  { xs, state, dys, dLast }: ScanCotangents,
  reach: readonly (number | null)[],
): ScanGradients {
  const runs: LayerRun[] = [];
  for (const [l, layer] of layers.entries()) {
    const x = runs.at(-1)?.y ?? xs;
    runs.push(runLayer(layer, x, state[2 * l] as Tensor, state[2 * l + 1] as Tensor));
  }
  const found = new Map<Parameter, Tensor>();
  const dState: (Tensor | null)[] = state.map(() => null);
  const top = (runs.at(-1) as LayerRun).y;
  let dy = dys ?? zeros(top.shape, top.dtype);
  for (let l = layers.length - 1; l >= 0; l--) {
    const line = { inputs: dLast[2 * l] ?? null, fed: dLast[2 * l + 1] ?? null };
    const swept = sweepLayer(runs[l] as LayerRun, dy, line, l === 0 ? null : (reach[l - 1] as number | null));
    swept.parameters.forEach((g, p) => {
      found.set(p, sumOf(found.get(p) ?? null, g) as Tensor);
    });
    [dState[2 * l], dState[2 * l + 1]] = [swept.line.inputs, swept.line.fed];
    dy = swept.xs;
  }
  return { xs: dy, state: dState, parameters: parameters.map((p) => found.get(p) ?? null) };
}

function recursive<Q extends number | null>(name: string, reachOf: (layers: number) => readonly Q[]): GradientAlgorithm {
  return {
    name,
    scan(recurrence, xs, state, options) {
      const layers = layersOf(name, recurrence);
      const reach = reachOf(layers.length - 1);
      const rule = overSequences((_recurrence: Recurrence<never>, parameters, _like, cotangents) =>
        sweepLayers(layers, parameters, cotangents, reach),
      );
      return scanByRule(name, rule as never, recurrence, xs, state, options);
    },
  };
}

/**
 * Recursive backpropagation: the exact gradient of networks whose synapses are filters (`LocalFeedbackLayer`, `LocalFeedbackNetwork`), by filtering
 * errors backwards in time through the same filters. For a synapse with taps b and feedback a, from the error δ_i(t) = ∂E/∂s_i(t):
 *
 *   q_ij(t) = δ_i(t) + Σ_r a_rij q_ij(t+r)          ∂E/∂x_j(t) = Σ_i Σ_p b_ipj q_ij(t+p)
 *   ∂E/∂b_ipj = Σ_t q_ij(t) x_j(t−p)                ∂E/∂a_rij = Σ_t q_ij(t) v_ij(t−r)
 *
 * O(P + Q) operations per synapse and step, as in the forward pass; O(1) memory per synapse and step. Equal to backpropagation through time, including gradients of
 * inputs and first states, and for lattices.
 * @see Campolucci, Uncini, Piazza and Rao, "On-line learning algorithms for locally recurrent neural networks", IEEE Transactions on Neural Networks 10, 1999
 * Deviates: the paper writes out the sums over the future; the recursion above is equivalent.
 * @throws ArgumentError for other recurrences, and for feedback of activations or outputs
 * @example fit(net, batches, { gradients: rbp(), … }) // net: LocalFeedbackNetwork
 */
export function rbp(...more: readonly []): GradientAlgorithm {
  checkNoMore("rbp", more);
  return recursive("rbp", (above) => new Array(above).fill(null));
}

export interface CRBPOptions {
  /**
   * Q: number of steps that an error goes back through a synapse; one number for all layers, or one for each layer but the first, from the input up.
   * An error of layer l then waits D_l = Σ_{k>l} Q_k steps.
   */
  readonly Q: number | readonly number[];
}

/**
 * Causal recursive backpropagation: recursive backpropagation whose sums over the future stop after Q steps, so a weight is
 * changed a fixed time after the step, even on an endless stream. With the impulse response k_ij(p) of a synapse:
 *
 *   ∂E/∂x_j(t) ≈ Σ_i Σ_{p=0}^{Q} δ_i(t+p) k_ij(p)
 *
 * Only errors that go down a layer are truncated; a layer's own filters are trained with their whole past. With Q = 0 errors go down at once or not at all,
 * as in Back and Tsoi. Without feedback and with Q ≥ P nothing is lost: that is Wan's temporal backpropagation. Q ≥ T − 1 is `rbp`.
 * O(P + Q) operations per synapse and step in addition to the forward pass. Biased: the error of the gradient falls like the impulse responses.
 *
 * Sample by sample (`online`), the gradient of layer l at step t is that of step t − D_l. This takes O(P + Q) operations per synapse, and memory for D_l + P + Q
 * of its values, whatever the length of the stream. If weights stay fixed, steps and `finish` add up to the gradient of the scan.
 * @see Campolucci, Uncini, Piazza and Rao, 1999, as above; Back and Tsoi, "FIR and IIR synapses", 1991; Wan, "Temporal backpropagation for FIR
 * neural networks", 1990
 * Deviates: in a scan all weights stay fixed and all errors count, so sums are those of a stream flushed at its end; the gradients of inputs
 * and of first states are truncated only above the first layer.
 * @throws ArgumentError for other recurrences, for Q that are not whole numbers of at least 0, and for a number of Q that does not fit the layers
 * @example fit(net, batches, { gradients: crbp({ Q: 5 }), … })
 */
export function crbp(options: CRBPOptions): GradientAlgorithm {
  const { Q } = optionsOf("crbp", options, ["Q"]);
  if (typeof Q !== "number" && !Array.isArray(Q))
    throw new DTypeError(`crbp: expected Q to be a whole number or an array of them, got ${quote(Q)}`);
  const all = typeof Q === "number" ? [Q] : [...Q];
  if (all.length === 0) throw new ArgumentError("crbp: expected a Q for each layer but the first, got none");
  for (const q of all) checkWhole("crbp", "Q", q);
  const name = `crbp(${all.join(", ")})`;
  const reachOf = (above: number): readonly number[] => {
    if (typeof Q === "number") return new Array<number>(above).fill(Q);
    if (all.length === above) return all;
    throw new ArgumentError(`crbp: expected a Q for each layer but the first, ${above} in all, got ${all.length}`);
  };
  return {
    ...recursive(name, reachOf),
    begin<S extends State>(recurrence: Recurrence<S>, batch = 1) {
      const layers = layersOf(name, recurrence);
      return new CausalLearner<S>(name, layers, reachOf(layers.length - 1), recurrence, batch);
    },
  };
}

/**
 * Moves the poles of a network's synapses (or neurons) back inside a circle if learning has pushed them out: a_q ← ρ^q a_q with the
 * largest sufficient ρ. Lattices do not need it. Call it after each step of the optimiser.
 * @param options radius of the circle (default 0.99)
 * @returns the number of filters changed
 * @throws ArgumentError unless 0 < radius ≤ 1
 * @see Jury, "Theory and application of the z-transform method", 1964, for the test
 * @example projectPoles(net, { radius: 0.95 });
 */
export function projectPoles(model: Module, options: { readonly radius?: number } = {}): number {
  const { radius = 0.99 } = optionsOf("projectPoles", options, ["radius"]);
  checkModule("projectPoles", model);
  checkNumber("projectPoles", "radius", radius, { above: 0, most: 1 });
  let changed = 0;
  for (const layer of model.modules()) {
    if (layer instanceof LocalFeedbackLayer && !layer.lattice && layer.feedback !== "output") changed += projectLayer(layer, radius);
  }
  return changed;
}

function projectLayer({ weightFb }: LocalFeedbackLayer, radius: number): number {
  if (weightFb === null) return 0;
  const values = Array.from(weightFb.detach().data(), Number);
  const [Q, filters] = [weightFb.dim(0), weightFb.size / weightFb.dim(0)];
  let changed = 0;
  for (let i = 0; i < filters; i++) {
    const a = Array.from({ length: Q }, (_, q) => values[q * filters + i] as number);
    if (polesInside(a, radius)) continue;
    changed++;
    for (const [q, value] of contracted(a, radius).entries()) values[q * filters + i] = value;
  }
  if (changed > 0) assign(weightFb, values);
  return changed;
}
