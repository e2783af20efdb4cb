/**
 * Any cell over a whole sequence at the speed of a replay: the step is captured once for its shapes and run for
 * all steps, forward and backward, from one call into WebAssembly each. A step that cannot be captured runs eagerly.
 */

import { addInPlace } from "../autodiff/accumulate.ts";
import { track } from "../autodiff/alias.ts";
import { box, unbox, withLevel } from "../autodiff/forward.ts";
import { applyAll, type Evaluation, type Primitive } from "../autodiff/primitive.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, isGradEnabled } from "../autodiff/tape.ts";
import { BYTES, isFloat } from "../base/dtype.ts";
import { StateError } from "../base/errors.ts";
import { stack, unstack } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import { type Shape, show, sizeOf, stridesOf } from "../tensor/shape.ts";
import { copyInto, dense } from "../tensor/strided.ts";
import { empty, Tensor } from "../tensor/tensor.ts";
import type { Heap } from "../wasm/heap.ts";
import { host, isDry } from "../wasm/host.ts";
import { recording } from "../wasm/recorder.ts";
import {
  type CapturedBackward,
  type CapturedStep,
  type Compiled,
  captureStep,
  FRAME,
  HISTORY,
  PACKED,
  PACKED_BACK,
  SCRATCH,
  type Step,
} from "./capture.ts";
import { addProducts, stepsTogether } from "./deferred.ts";

/** A step over tensors: sequences are sliced along their first axis, carried tensors go from step to step. */
export interface Scan {
  readonly step: Step;
  /** Sequences [T, …], all of one length T. */
  readonly sequences: readonly Tensor[];
  readonly carry: readonly Tensor[];
  /** Parameters and buffers the step reads. */
  readonly fixed: readonly Tensor[];
  readonly reverse: boolean;
  /** Sets apart steps of one owner that do different things for the same shapes. */
  readonly variant: string;
}

export interface ScanResult {
  /** [T, …] */
  readonly ys: Tensor;
  readonly carry: readonly Tensor[];
}

/** The definition: one step after another. */
export function scanEagerly({ step, sequences, carry, reverse }: Scan): ScanResult {
  const slices = sequences.map((s) => unstack(s, 0));
  const T = (sequences[0] as Tensor).dim(0);
  const ys = new Array<Tensor>(T);
  let state = carry;
  for (let i = 0; i < T; i++) {
    const t = reverse ? T - 1 - i : i;
    const out = step(
      slices.map((s) => s[t] as Tensor),
      state,
    );
    ys[t] = out.y;
    state = out.carry;
  }
  return { ys: stack(ys), carry: state };
}

/** Captured steps of one owner, by shapes and by whether gradients are wanted. */
export type CaptureCache = Map<string, CapturedStep | string>;

/** What stands for each cache during a dry run: programs live in the memory they were captured in. */
const dryCaches = new WeakMap<Heap, Map<CaptureCache, CaptureCache>>();

function entry<K extends object, V>(map: { get(key: K): V | undefined; set(key: K, value: V): unknown }, key: K, make: () => V): V {
  const found = map.get(key) ?? make();
  map.set(key, found);
  return found;
}

function cacheHere(cache: CaptureCache): CaptureCache {
  if (!isDry()) return cache;
  return entry(
    entry(dryCaches, host().heap, () => new Map<CaptureCache, CaptureCache>()),
    cache,
    () => new Map(),
  );
}

const describe = (t: Tensor) => `${t.dtype}${show(t.shape)}`;

const wantsGradient = (t: Tensor): boolean => t.requiresGrad || t.node !== null;

function keyOf({ sequences, carry, fixed, variant }: Scan, wanted: readonly boolean[] | null): string {
  const slices = sequences.map((s) => `${s.dtype}${show(s.shape.slice(1))}`);
  const trained = fixed.map((p) => (p.requiresGrad ? 1 : 0)).join("");
  return [variant, wanted === null ? "values" : wanted.map(Number).join(""), trained, ...slices, "|", ...carry.map(describe)].join(" ");
}

/** The captured step for a scan's shapes, or the reason why there is none. */
export function captured(scan: Scan, cache: CaptureCache, grad: boolean): CapturedStep | string {
  const wanted = grad ? scan.sequences.map(wantsGradient) : null;
  const key = keyOf(scan, wanted);
  const known = cacheHere(cache);
  let found = known.get(key);
  if (found === undefined) {
    const inputs = scan.sequences.map((s) => new Tensor(s.storage, s.dtype, s.shape.slice(1), s.strides.slice(1), s.offset));
    found = captureStep({ step: scan.step, inputs, carry: scan.carry, fixed: scan.fixed, ...(wanted && { wanted }) }, grad);
    known.set(key, found);
  }
  return found;
}

/** Runs a scan by replay where its step can be captured, else eagerly. */
export function scanCaptured(scan: Scan, cache: CaptureCache): ScanResult {
  const inputs = [...scan.sequences, ...scan.carry, ...scan.fixed];
  if (recording !== null || inputs.some((t) => t.dual !== null)) return scanEagerly(scan);
  const grad = isGradEnabled() && inputs.some(wantsGradient);
  const step = captured(scan, cache, grad);
  if (typeof step === "string") return scanEagerly(scan);
  const outputs = applyAll(scanOp, inputs, { scan, step });
  return { ys: outputs[0] as Tensor, carry: outputs.slice(1, 1 + scan.carry.length) };
}

interface ScanParams {
  readonly scan: Scan;
  readonly step: CapturedStep;
}

/** Inputs sorted into sequences, carried and fixed tensors. */
function sort(inputs: readonly Tensor[], { sequences, carry }: Scan): { sequences: Tensor[]; carry: Tensor[]; fixed: Tensor[] } {
  const n = sequences.length;
  return { sequences: inputs.slice(0, n), carry: inputs.slice(n, n + carry.length), fixed: inputs.slice(n + carry.length) };
}

const rowBytes = (t: Tensor) => (t.size / t.dim(0)) * BYTES[t.dtype];

/** Base and stride of a sequence [T, …] walked forwards or backwards. */
function walk(t: Tensor, reverse: boolean, first = 0): readonly [number, number] {
  const stride = rowBytes(t);
  const T = t.dim(0);
  return reverse ? [t.ptr + (T - 1 - first) * stride, -stride] : [t.ptr + first * stride, stride];
}

/** Memory that nobody reads as numbers. */
function bytes(count: number): Tensor {
  return empty([Math.max(1, count / 8)], "float64");
}

type Places = Record<string, readonly [base: number, stride: number]>;

/** A region that no call of this program refers to. */
const NOWHERE: readonly [number, number] = [0, 0];

/** Fresh memory for a region of a program that stays where it is. */
function workspace({ bytes: sizes }: Compiled, region: string): Tensor {
  return bytes(sizes[region] ?? 0);
}

/** The carried tensors of all steps, [T+1, …] each: row t is the state before step t in order of execution. */
function forward(inputs: readonly Tensor[], { scan, step }: ScanParams): Tensor[] {
  const { sequences, carry, fixed } = sort(inputs, scan);
  const T = (sequences[0] as Tensor).dim(0);
  const xs = sequences.map((x) => dense(x).detach());
  const ys = empty([T, ...step.y.shape], step.y.dtype);
  const states = carry.map((c) => {
    const all = empty([T + 1, ...c.shape], c.dtype);
    copyInto(row(all, 0), c);
    return all;
  });
  const frameBytes = step.forward.bytes[FRAME] ?? 0;
  const frames = bytes(frameBytes * T);
  const packed = workspace(step.forward, PACKED);
  const places: Places = {
    y: walk(ys, scan.reverse),
    [FRAME]: [frames.ptr, frameBytes],
    [SCRATCH]: [workspace(step.forward, SCRATCH).ptr, 0],
    [PACKED]: [packed.ptr, 0],
  };
  xs.forEach((x, i) => {
    places[`x${i}`] = walk(x, scan.reverse);
  });
  states.forEach((s, i) => {
    places[`s${i}`] = walk(s, false);
    places[`n${i}`] = walk(s, false, 1);
  });
  fixed.forEach((p, i) => {
    places[`p${i}`] = [p.ptr, 0];
  });
  step.forward.prepare.run(1, places);
  step.forward.program.run(T, places);
  return [ys, ...states.map((s) => row(s, T)), frames, packed, ...states, ...xs];
}

/** Row i of [n, …], as a view. */
function row(t: Tensor, i: number): Tensor {
  const shape: Shape = t.shape.slice(1);
  return new Tensor(t.storage, t.dtype, shape, stridesOf(shape), t.offset + i * sizeOf(shape));
}

/** Where the cotangents of the outputs lie, walked from the last step to the first, and those of the step before. */
function outputCotangents(dys: Tensor | null, ys: Tensor, reverse: boolean): Places {
  const T = ys.dim(0);
  const padded = zeros([T + 1, ...ys.shape.slice(1)], ys.dtype);
  if (dys !== null) copyInto(rows(padded, reverse ? 0 : 1, T), dys);
  const stride = rowBytes(padded);
  return reverse
    ? { dy: [padded.ptr, stride], dyBefore: [padded.ptr + stride, stride] }
    : { dy: [padded.ptr + T * stride, -stride], dyBefore: [padded.ptr + (T - 1) * stride, -stride] };
}

/** Rows first … first + count of [n, …], as a view. */
function rows(t: Tensor, first: number, count: number): Tensor {
  return new Tensor(t.storage, t.dtype, [count, ...t.shape.slice(1)], t.strides, t.offset + first * (t.strides[0] as number));
}

/** The cotangent of a carried tensor after the last step, in memory of its own. */
function lastCotangent(like: Tensor, d: Tensor | null, dy: Tensor | null): Tensor {
  const own = zeros(like.shape, like.dtype);
  if (dy !== null) copyInto(own, dy);
  if (d !== null) addInPlace(own, d);
  return own;
}

/** Runs all steps; the products that are left out of them follow, for as many steps at once as is good. */
function runBackward(back: CapturedBackward, T: number, places: Places): void {
  const together = back.deferred.length > 0 ? Math.min(T, stepsTogether(back.deferred)) : T;
  const historyBytes = back.bytes[HISTORY] ?? 0;
  const history = bytes(historyBytes * together);
  for (let t = 0; t < T; t += together) {
    const steps = Math.min(together, T - t);
    const now: Places = { ...after(places, t), [HISTORY]: [history.ptr, historyBytes] };
    back.program.run(steps, now);
    for (const product of back.deferred) addProducts(steps, product, now);
  }
}

/** Where the regions are after so many steps. */
function after(places: Places, steps: number): Places {
  return Object.fromEntries(Object.entries(places).map(([name, [base, stride]]) => [name, [base + steps * stride, stride]]));
}

/** Gradients by the captured backward step, run from the last step to the first. */
function backward(cotangents: readonly (Tensor | null)[], { inputs, outputs, params, needs }: Evaluation<ScanParams>): (Tensor | null)[] {
  const { scan, step } = params;
  const back = step.backward;
  if (back === null) throw new StateError("scan: expected a step captured with its gradient, got one captured for inference");
  const { sequences, carry, fixed } = sort(inputs, scan);
  const [dys = null, ...dLast] = cotangents;
  const ys = outputs[0] as Tensor;
  const T = ys.dim(0);
  const n = carry.length;
  const frames = outputs[1 + n] as Tensor;
  const packed = outputs[2 + n] as Tensor;
  const states = outputs.slice(3 + n, 3 + 2 * n);
  const xs = outputs.slice(3 + 2 * n, 3 + 2 * n + sequences.length);
  const dyLast = dys && row(dense(dys), scan.reverse ? 0 : T - 1);
  const dCarry = carry.map((c, i) => lastCotangent(c, dLast[i] ?? null, back.tied === i ? dyLast : null));
  const dxs = xs.map((x, i) => (back.inputs[i] ? empty(x.shape, x.dtype) : null));
  const sums = fixed.map((p) => (p.requiresGrad ? zeros(p.shape, p.dtype) : null));
  const frameBytes = step.forward.bytes[FRAME] ?? 0;
  const places: Places = {
    ...outputCotangents(dys, ys, scan.reverse),
    y: NOWHERE,
    [FRAME]: [frames.ptr + (T - 1) * frameBytes, -frameBytes],
    [SCRATCH]: [workspace(back, SCRATCH).ptr, 0],
    [PACKED]: [packed.ptr, 0],
    [PACKED_BACK]: [workspace(back, PACKED_BACK).ptr, 0],
    [HISTORY]: NOWHERE,
  };
  xs.forEach((x, i) => {
    places[`x${i}`] = walk(x, !scan.reverse);
    const dx = dxs[i];
    places[`dx${i}`] = dx ? walk(dx, !scan.reverse) : NOWHERE;
  });
  states.forEach((s, i) => {
    places[`s${i}`] = walk(s, true, 1);
    places[`n${i}`] = walk(s, true);
    places[`d${i}`] = [(dCarry[i] as Tensor).ptr, 0];
  });
  fixed.forEach((p, i) => {
    places[`p${i}`] = [p.ptr, 0];
    places[`g${i}`] = sums[i] ? [(sums[i] as Tensor).ptr, 0] : NOWHERE;
  });
  back.prepare.run(1, places);
  runBackward(back, T, places);
  const gradients = [...dxs, ...dCarry, ...sums];
  return gradients.map((g, i) => (needs[i] && g !== null && isFloat(g.dtype) ? g : null));
}

/** The scan of given inputs in place of those it was called with; fixed tensors are read by the step itself. */
function withInputs(scan: Scan, inputs: readonly Tensor[]): Scan {
  const { sequences, carry } = sort(inputs, scan);
  return { ...scan, sequences, carry };
}

function listed({ ys, carry }: ScanResult): Tensor[] {
  return [ys, ...carry];
}

/** The same gradients by differentiating the eager scan, so that they can be differentiated again. */
function composedBackward(cotangents: readonly (Tensor | null)[], { inputs, params: { scan } }: Evaluation<ScanParams>): (Tensor | null)[] {
  const moving = scan.sequences.length + scan.carry.length;
  const tracked = inputs.map((x, i) => (i < moving && isFloat(x.dtype) ? track(x) : x));
  const outputs = listed(enableGrad(() => scanEagerly(withInputs(scan, tracked))));
  const wanted = outputs.map((y, i) => [y, cotangents[i] ?? null] as const).filter(([, g]) => g !== null);
  return gradients(
    wanted.map(([y]) => y),
    tracked,
    wanted.map(([, g]) => g as Tensor),
    { createGraph: true },
  );
}

const scanOp: Primitive<ScanParams> = {
  name: "scan",
  forward,
  vjp: (cotangents, at) => (isGradEnabled() ? composedBackward(cotangents, at) : backward(cotangents, at)),
  jvp: (tangents, { inputs, outputs, params: { scan } }) => {
    const pushed = withLevel((level) => {
      const boxed = inputs.map((x, i) => (tangents[i] ? box(level, x, tangents[i] as Tensor) : x));
      return listed(scanEagerly(withInputs(scan, boxed))).map((y) => unbox(level, y).tangent);
    });
    return outputs.map((_, i) => pushed[i] ?? null);
  },
};
