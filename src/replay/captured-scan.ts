/**
 * Scans any cell over a whole sequence at the speed of a replay: captures the step and runs all steps, forward and backward,
 * in one call into WebAssembly each. A step that cannot be captured runs eagerly.
 *
 * Every scan traces its first two steps (see trace.ts). If they agree, the program compiled from the trace runs. If they
 * differ or cannot be replayed, their noted calls are made and the scan continues eagerly from there. Either way the step is
 * called in order, with the values that it would have had.
 */

import { addInPlace } from "../autodiff/accumulate.ts";
import { track } from "../autodiff/alias.ts";
import { box, unbox, withLevel } from "../autodiff/forward.ts";
import { observer } from "../autodiff/observer.ts";
import { applyAll, type Evaluation, type Primitive } from "../autodiff/primitive.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, isGradEnabled } from "../autodiff/tape.ts";
import { BYTES, isFloat } from "../base/dtype.ts";
import { StateError } from "../base/errors.ts";
import { stack, unstack } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import { type Shape, sizeOf, stridesOf } from "../tensor/shape.ts";
import { withTrialScope } from "../tensor/storage.ts";
import { copyInto, dense } from "../tensor/strided.ts";
import { empty, Tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";
import { recording } from "../wasm/recorder.ts";
import {
  blocksOf,
  CaptureCache,
  type CapturedBackward,
  type CapturedStep,
  type Compiled,
  captureStep,
  compiledStep,
  TRACED_STEPS,
} from "./capture.ts";
import { addProducts, stepsTogether } from "./deferred.ts";
import { FieldsBefore } from "./fields.ts";
import { reachedIn } from "./reach.ts";
import { type Place, Places, type RegionKind } from "./regions.ts";
import { derivative } from "./sweep.ts";
import { Obstacle, type Step, type StepSpec, type Taken, Tracer } from "./trace.ts";

/** A step over tensors: sequences are sliced along their first axis, and carried tensors go from step to step. */
export interface Scan {
  readonly step: Step;
  /** The module to which the step belongs. */
  readonly owner: object;
  /** Sequences [T, …], all of one length T. */
  readonly sequences: readonly Tensor[];
  readonly carry: readonly Tensor[];
  /** Parameters and buffers that the step reads, each once. */
  readonly fixed: readonly Tensor[];
  readonly reverse: boolean;
}

export interface ScanResult {
  /** [T, …] */
  readonly ys: Tensor;
  readonly carry: readonly Tensor[];
}

/** A sequence's slice at each step. */
type Slices = (t: number) => Tensor;

const lengthOf = ({ sequences }: Scan): number => (sequences[0] as Tensor).dim(0);

/** The position in the sequence of the i-th executed step. */
const timeOf = (scan: Scan, i: number): number => (scan.reverse ? lengthOf(scan) - 1 - i : i);

/** The definition: one step after another. */
export function scanEagerly(scan: Scan): ScanResult {
  return goOnEagerly(scan, scan.sequences.map(onTape), { ys: [], carry: scan.carry });
}

/** Runs the remaining steps. */
function goOnEagerly(scan: Scan, slices: readonly Slices[], taken: Taken): ScanResult {
  const T = lengthOf(scan);
  const ys = [...taken.ys];
  let { carry } = taken;
  for (let i = ys.length; i < T; i++) {
    const inputs = slices.map((slice) => slice(timeOf(scan, i)));
    const out = scan.step(inputs, carry);
    ys.push(out.y);
    carry = out.carry;
  }
  return { ys: stack(scan.reverse ? ys.reverse() : ys), carry };
}

/** Slices in one operation, for gradients. */
function onTape(sequence: Tensor): Slices {
  const all = unstack(sequence, 0);
  return (t) => all[t] as Tensor;
}

/** Slices without gradients: keeps nothing for steps that are not read. */
function slicesOf(sequence: Tensor, grad: boolean): Slices {
  if (grad && wantsGradient(sequence)) return onTape(sequence);
  const [shape, strides] = [sequence.shape.slice(1), sequence.strides.slice(1)];
  const stride = sequence.strides[0] as number;
  return (t) => new Tensor(sequence.storage, sequence.dtype, shape, strides, sequence.offset + t * stride);
}

const wantsGradient = (t: Tensor): boolean => t.requiresGrad || t.node !== null;

function specOf({ step, owner, fixed, sequences }: Scan, grad: boolean): StepSpec {
  return { step, owner, fixed, wanted: grad ? sequences.map(wantsGradient) : null };
}

/** Why a scan's step cannot be replayed with gradients; null if it can. Calls the step with tensors of arbitrary contents. */
export function whyEager(scan: Scan, cache: CaptureCache): string | null {
  const inputs = scan.sequences.map((s) => slicesOf(s, false)(0));
  const step = enableGrad(() => captureStep(specOf(scan, true), { inputs, carry: scan.carry }, cache, derivative));
  return typeof step === "string" ? step : null;
}

/** Runs a scan by replay if its step can be captured, else eagerly. */
export function scanCaptured(scan: Scan, cache: CaptureCache): ScanResult {
  const inputs = [...scan.sequences, ...scan.carry, ...scan.fixed];
  // If all steps would be traced, nothing is left to replay.
  if (recording !== null || observer !== null || lengthOf(scan) <= TRACED_STEPS || inputs.some((t) => t.dual !== null))
    return scanEagerly(scan);
  const grad = isGradEnabled() && inputs.some(wantsGradient);
  const slices = scan.sequences.map((s) => slicesOf(s, grad));
  const begun = begin(scan, slices, cache, grad);
  if ("ys" in begun) return goOnEagerly(scan, slices, begun);
  const outputs = withoutTape(applyAll(scanOp, inputs, { scan, step: begun }), scan, begun);
  return { ys: outputs[0] as Tensor, carry: outputs.slice(1, 1 + scan.carry.length) };
}

/** Takes results off the tape that depend on nothing that needs a gradient, as they do in an eager scan. */
function withoutTape(outputs: readonly Tensor[], scan: Scan, { backward }: CapturedStep): readonly Tensor[] {
  if (backward === null) return outputs;
  const depends = (hasOutput: boolean, last: readonly boolean[]): boolean => {
    const { inputs, carry, fixed } = reachedIn(lengthOf(scan), backward.dependence, hasOutput, last);
    return [...inputs, ...fixed].includes(true) || carry.some((reached, i) => reached && wantsGradient(scan.carry[i] as Tensor));
  };
  return outputs.map((y, i) => {
    const last = scan.carry.map((_, k) => k + 1 === i);
    return i > scan.carry.length || y.node === null || depends(i === 0, last) ? y : y.detach();
  });
}

/** Traces the first steps. Returns the program for all steps; or runs the traced ones and returns their results, for the rest to follow. */
function begin(scan: Scan, slices: readonly Slices[], cache: CaptureCache, grad: boolean): CapturedStep | Taken {
  const spec = specOf(scan, grad);
  const before = new FieldsBefore(scan.owner);
  const tracer = new Tracer(spec, true);
  return withTrialScope((release) => {
    try {
      for (let i = 0; i < TRACED_STEPS; i++) {
        const inputs = slices.map((slice) => slice(timeOf(scan, i)));
        tracer.trace(inputs, scan.carry);
      }
      const step = compiledStep(tracer, spec, before, cache, grad ? derivative : null);
      release();
      return step;
    } catch (e) {
      tracer.take();
      if (!(e instanceof Obstacle)) throw e;
      return tracer.taken;
    }
  });
}

interface ScanParams {
  readonly scan: Scan;
  readonly step: CapturedStep;
}

/** Sorts inputs into sequences, carried tensors and fixed tensors. */
function sort(inputs: readonly Tensor[], { sequences, carry }: Scan): { sequences: Tensor[]; carry: Tensor[]; fixed: Tensor[] } {
  const n = sequences.length;
  return { sequences: inputs.slice(0, n), carry: inputs.slice(n, n + carry.length), fixed: inputs.slice(n + carry.length) };
}

const bytesOf = (t: Tensor): number => t.size * BYTES[t.dtype];

/** The place of a sequence [T, …], walked forwards or backwards from a row. */
function walk(t: Tensor, reverse: boolean, first = 0): Place {
  const T = t.dim(0);
  const bytes = bytesOf(t) / T;
  return reverse ? { base: t.ptr + (T - 1 - first) * bytes, stride: -bytes, bytes } : { base: t.ptr + first * bytes, stride: bytes, bytes };
}

/** Raw memory. */
function room(bytes: number): Tensor {
  return empty([Math.max(1, Math.ceil(bytes / 8))], "float64");
}

/** Fresh memory for a region that does not move from step to step. */
function workspace({ bytes }: Compiled, kind: RegionKind): Tensor {
  return room(bytes[kind] ?? 0);
}

/** Places that both passes read: constants that JavaScript wrote, and fixed tensors, except those that this pass does not read. */
function sharedPlaces({ regions, constants }: CapturedStep, { prepare, program }: Compiled, fixed: readonly Tensor[]) {
  const places = new Places(regions);
  blocksOf(fixed).forEach((block, i) => {
    const region = regions.of("fixed", i);
    if (prepare.names(region) || program.names(region)) places.set("fixed", i, { base: block.ptr, stride: 0, bytes: block.bytes });
  });
  const held = room(constants.length);
  places.setTensor("constants", 0, held);
  if (constants.length > 0) view("bool", held.ptr, constants.length).set(constants);
  return { places, held };
}

/** The carried tensors of all steps, each [T+1, …]: row t is the state before step t, in order of execution. */
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
  const frame = step.forward.bytes.frame ?? 0;
  const [frames, packed, scratch] = [room(frame * T), workspace(step.forward, "packed"), workspace(step.forward, "scratch")];
  const { places, held } = sharedPlaces(step, step.forward, fixed);
  places.set("output", 0, walk(ys, scan.reverse));
  places.set("frame", 0, { base: frames.ptr, stride: frame, bytes: frame });
  places.setTensor("scratch", 0, scratch);
  places.setTensor("packed", 0, packed);
  xs.forEach((x, i) => {
    places.set("input", i, walk(x, scan.reverse));
  });
  states.forEach((s, i) => {
    places.set("state", i, walk(s, false));
    places.set("next", i, walk(s, false, 1));
  });
  step.forward.prepare.runOnce(places);
  const program = step.forward.program.load(places);
  program.run(T);
  for (const done of [program, scratch, held]) done.dispose();
  return [ys, ...states.map((s) => row(s, T)), frames, packed, ...states, ...xs];
}

/** Row i of [n, …], as a view. */
function row(t: Tensor, i: number): Tensor {
  const shape: Shape = t.shape.slice(1);
  return new Tensor(t.storage, t.dtype, shape, stridesOf(shape), t.offset + i * sizeOf(shape));
}

/** Places the cotangents of the outputs, walked from the last step to the first, and those of the step before. */
function placeOutputCotangents(places: Places, dys: Tensor | null, ys: Tensor, reverse: boolean): Tensor {
  const T = ys.dim(0);
  const padded = zeros([T + 1, ...ys.shape.slice(1)], ys.dtype);
  if (dys !== null) copyInto(rows(padded, reverse ? 0 : 1, T), dys);
  const bytes = bytesOf(ys) / T;
  const stride = reverse ? bytes : -bytes;
  const base = padded.ptr + (reverse ? 0 : T * bytes);
  places.set("outputGradient", 0, { base, stride, bytes });
  places.set("outputGradientBefore", 0, { base: base + stride, stride, bytes });
  return padded;
}

/** Rows first … first + count of [n, …], as a view. */
function rows(t: Tensor, first: number, count: number): Tensor {
  return new Tensor(t.storage, t.dtype, [count, ...t.shape.slice(1)], t.strides, t.offset + first * (t.strides[0] as number));
}

/** A copy of the cotangent of a carried tensor after the last step. */
function lastCotangent(like: Tensor, d: Tensor | null, dy: Tensor | null): Tensor {
  const own = zeros(like.shape, like.dtype);
  if (dy !== null) copyInto(own, dy);
  if (d !== null) addInPlace(own, d);
  return own;
}

/** Runs all steps. The deferred products follow, several steps at a time. */
function runBackward(back: CapturedBackward, T: number, places: Places): void {
  const together = back.deferred.length > 0 ? Math.min(T, stepsTogether(back.deferred)) : T;
  const bytes = back.bytes.history ?? 0;
  const history = room(bytes * together);
  const region = places.regions.of("history");
  places.set("history", 0, { base: history.ptr, stride: bytes, bytes });
  const program = back.program.load(places);
  for (let t = 0; t < T; t += together) {
    const steps = Math.min(together, T - t);
    // The program has moved its other regions along.
    places.set("history", 0, { base: history.ptr - t * bytes, stride: bytes, bytes });
    program.move(region, history.ptr);
    program.run(steps);
    for (const product of back.deferred) addProducts(t, steps, product, places);
  }
  program.dispose();
  history.dispose();
}

/** Computes gradients with the captured backward step, from the last step to the first. */
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
  const sums = fixed.map((p, i) => (back.fixed[i] ? zeros(p.shape, p.dtype) : null));
  const frame = step.forward.bytes.frame ?? 0;
  const [scratch, packedBack] = [workspace(back, "scratch"), workspace(back, "packedBack")];
  const { places, held } = sharedPlaces(step, back, fixed);
  const padded = placeOutputCotangents(places, dys, ys, scan.reverse);
  places.set("frame", 0, { base: frames.ptr + (T - 1) * frame, stride: -frame, bytes: frame });
  places.setTensor("scratch", 0, scratch);
  places.setTensor("packed", 0, packed);
  places.setTensor("packedBack", 0, packedBack);
  xs.forEach((x, i) => {
    places.set("input", i, walk(x, !scan.reverse));
    const dx = dxs[i];
    if (dx) places.set("inputGradient", i, walk(dx, !scan.reverse));
  });
  states.forEach((s, i) => {
    places.set("state", i, walk(s, true, 1));
    places.set("next", i, walk(s, true));
    places.setTensor("stateGradient", i, dCarry[i] as Tensor);
  });
  sums.forEach((sum, i) => {
    if (sum !== null) places.setTensor("fixedGradient", i, sum);
  });
  back.prepare.runOnce(places);
  runBackward(back, T, places);
  for (const done of [scratch, packedBack, held, padded]) done.dispose();
  const found = reachedIn(
    T,
    back.reach,
    dys !== null,
    carry.map((_, i) => Boolean(dLast[i])),
  );
  const reached = [...found.inputs, ...found.carry, ...found.fixed];
  const gradients = [...dxs, ...dCarry, ...sums];
  return gradients.map((g, i) => (needs[i] && reached[i] && g !== null && isFloat(g.dtype) ? g : null));
}

/** The same scan with other inputs; the step itself reads the fixed tensors. */
function withInputs(scan: Scan, inputs: readonly Tensor[]): Scan {
  const { sequences, carry } = sort(inputs, scan);
  return { ...scan, sequences, carry };
}

function listed({ ys, carry }: ScanResult): Tensor[] {
  return [ys, ...carry];
}

/** Checks that a step that runs again does what it did before. @throws StateError if an option or a mode has changed */
function checkUnchanged({ scan, step }: ScanParams): void {
  const known = new CaptureCache();
  known.add(step);
  const inputs = scan.sequences.map((s) => slicesOf(s, false)(0));
  const now = enableGrad(() => captureStep(specOf(scan, true), { inputs, carry: scan.carry }, known, derivative));
  if (now !== step) {
    throw new StateError("scan: expected the step that ran to be differentiated twice, got one that has changed since");
  }
}

/** Computes the same gradients by differentiating the eager scan, so that they can be differentiated again. */
function composedBackward(cotangents: readonly (Tensor | null)[], { inputs, params }: Evaluation<ScanParams>): (Tensor | null)[] {
  const { scan } = params;
  checkUnchanged(params);
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
