/**
 * Steps traced: run with kernel calls noted instead of made, so that nothing is computed and everything is known.
 *
 * A trace tells all that a step does: each call with its numbers, where in memory it reads and writes, what JavaScript
 * wrote, and the same of the sweep back over it. What a step depends on besides its tensors (options, modes, shapes and dtypes of
 * parameters) shows in it, because it was traced with what it depends on now.
 */

import { defineOp } from "../autodiff/define-op.ts";
import { apply } from "../autodiff/primitive.ts";
import { gradients } from "../autodiff/sweep.ts";
import { Node } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import { zeros } from "../tensor/create.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyInto, copyOf } from "../tensor/strided.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { runKernel } from "../wasm/host.ts";
import { type Block, type RecordedCall, Recording } from "../wasm/recorder.ts";

/** One step: tensors of this step and the carried ones to the output and the next carried ones. Pure. */
export type Step = (inputs: readonly Tensor[], carry: readonly Tensor[]) => StepResult;

export interface StepResult {
  readonly y: Tensor;
  readonly carry: readonly Tensor[];
}

export interface StepSpec {
  readonly step: Step;
  /** The module the step belongs to: a step that sets its fields is not pure. */
  readonly owner: object;
  /** Parameters and buffers the step reads, each once. */
  readonly fixed: readonly Tensor[];
  /** For each input: whether its gradient is wanted; null where no gradients are wanted at all. */
  readonly wanted: readonly boolean[] | null;
}

/** The reason why a step cannot be replayed; thrown within this folder only. */
export class Obstacle extends Error {}

/** Noted calls, and the blocks given out meanwhile. */
export interface Recorded {
  readonly calls: readonly RecordedCall[];
  readonly blocks: readonly Block[];
}

/** One forward step. */
export interface ForwardTrace extends Recorded {
  readonly inputs: readonly Tensor[];
  readonly carry: readonly Tensor[];
  /** What the step returned. */
  readonly returned: StepResult;
  /** The same in memory of their own: where the caller and the next step find it. */
  readonly y: Tensor;
  readonly next: readonly Tensor[];
  /** The number of the first node that the step could record. */
  readonly firstNode: number;
}

/**
 * The sweep over one step: from dy (cotangent of y) and dNext (of the next state) to dInputs, to dNext again (of the state)
 * and into the totals of the fixed tensors.
 */
export interface BackwardTrace extends Recorded {
  readonly constants: ReadonlySet<Block>;
  readonly dy: Tensor;
  /** The cotangent of the output of the step before. */
  readonly dyBefore: Tensor;
  readonly dNext: readonly Tensor[];
  readonly dInputs: readonly Tensor[];
  /** For each input: whether a gradient reaches it. */
  readonly reached: readonly boolean[];
  /** For each fixed tensor its total, if it is trained. */
  readonly totals: readonly (Tensor | null)[];
  /** The carried tensor that is also the output, if one is. */
  readonly tied: number | null;
}

/** The same values in memory of their own, on the tape. */
const placeOp = defineOp<void>({ name: "place", forward: ([x]) => copyOf(x as Tensor), vjp: (g) => g, jvp: (t) => t });

/** Steps that were taken, in order, and the state they left. */
export interface Taken {
  readonly ys: readonly Tensor[];
  readonly carry: readonly Tensor[];
}

/** Steps in a row, traced one after another. */
export class Tracer {
  readonly steps: ForwardTrace[] = [];
  readonly #spec: StepSpec;
  readonly #recording: Recording;
  /** What stands behind tensors that are leaves as long as steps are traced. */
  readonly #behind = new Map<Tensor, Node | null>();
  #made = 0;

  /**
   * @param real whether the steps are to be taken: what was noted is made as soon as the host needs a value,
   * and by `take`. Steps of a trial are never taken: there the host's need is an obstacle at once.
   */
  constructor(spec: StepSpec, real: boolean) {
    this.#spec = spec;
    this.#recording = new Recording((reason) => {
      if (!real) throw new Obstacle(reason);
      this.take();
    });
  }

  /** What JavaScript wrote. */
  get constants(): ReadonlySet<Block> {
    return this.#recording.constants;
  }

  /** What the traced steps gave, once they were taken. */
  get taken(): Taken {
    return { ys: this.steps.map(({ y }) => y), carry: (this.steps[this.steps.length - 1] as ForwardTrace).next };
  }

  /**
   * Traces the next step, from the state the last one left (the first: from `start`).
   * @throws Obstacle if it cannot be replayed; a real step is in `steps` even then, and was taken
   */
  trace(inputs: readonly Tensor[], start: readonly Tensor[]): void {
    const recording = this.#recording;
    const before = this.steps[this.steps.length - 1];
    const { wanted, step } = this.#spec;
    const [xs, carry] = recording.during(() => [inputs.map(placed), before?.next ?? start.map(placed)] as const);
    xs.forEach((x, i) => {
      this.#asLeaf(x, wanted?.[i] ?? false);
    });
    for (const s of carry) this.#asLeaf(s, wanted !== null);
    const [calls, blocks, firstNode] = [recording.calls.length, recording.blocks.length, Node.next];
    const returned = recording.during(() => step(xs, carry));
    const end = recording.blocks.length;
    const [y, next] = recording.during(() => [placed(returned.y), returned.carry.map(placed)] as const);
    this.steps.push({
      inputs: xs,
      carry,
      returned,
      y,
      next,
      firstNode,
      calls: recording.calls.slice(calls),
      blocks: recording.blocks.slice(blocks, end),
    });
    if (recording.obstacle !== null) throw new Obstacle(recording.obstacle);
    checkForm(returned, carry);
  }

  /** Takes the traced steps: makes the calls that were noted, and joins them to the tape behind their inputs. */
  take(): void {
    const { calls } = this.#recording;
    while (this.#made < calls.length) {
      const { id, args } = calls[this.#made++] as RecordedCall;
      runKernel(id, args);
    }
    for (const [t, node] of this.#behind) {
      t.node = node;
      t.requiresGrad = false;
    }
    this.#behind.clear();
  }

  /** Traces the sweep over a traced step. @throws Obstacle */
  sweep(forward: ForwardTrace): BackwardTrace {
    const recording = new Recording((reason) => {
      throw new Obstacle(reason);
    }, this.#recording);
    return traceSweep(recording, this.#spec, forward);
  }

  /** Makes a fresh tensor a leaf until the step is taken. */
  #asLeaf(t: Tensor, wantsGradient: boolean): void {
    this.#behind.set(t, t.node);
    t.node = null;
    t.requiresGrad = wantsGradient && isFloat(t.dtype);
  }
}

function placed(t: Tensor): Tensor {
  return apply(placeOp, [t], undefined);
}

function checkForm({ y, carry }: StepResult, before: readonly Tensor[]): void {
  if (carry.length !== before.length) throw new Obstacle(`its state changes from ${before.length} to ${carry.length} tensors`);
  carry.forEach((got, i) => {
    const expected = before[i] as Tensor;
    if (got.dtype === expected.dtype && sameShape(got.shape, expected.shape)) return;
    const change = `from ${expected.dtype}${show(expected.shape)} to ${got.dtype}${show(got.shape)}`;
    throw new Obstacle(`its state tensor ${i} changes ${change}`);
  });
  if (!isFloat(y.dtype)) throw new Obstacle(`its output is ${y.dtype}, not a float`);
}

/** Leaves the tape may end in: what the step was given. Anything else cannot be followed by a replay. */
function checkTape({ y, carry }: StepResult, given: ReadonlySet<Tensor>, firstNode: number): void {
  const seen = new Set<Node>();
  const stack = [y, ...carry].map((t) => t.node);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node === null || seen.has(node)) continue;
    seen.add(node);
    if (node.id < firstNode) throw new Obstacle("uses a tensor computed outside the step");
    for (const x of node.inputs) {
      if (x.node !== null) stack.push(x.node);
      else if (x.requiresGrad && !given.has(x)) throw new Obstacle("uses a trained tensor that is not a parameter of the module");
    }
  }
}

const alike = (t: Tensor): Tensor => empty(t.shape, t.dtype);

/**
 * Where y is one of the next state's tensors, its cotangent begins as dy and the following step's contributions are
 * added to it, as in an eager sweep: the total of that state tensor is seeded with dy of the step before.
 */
function traceSweep(recording: Recording, { fixed }: StepSpec, { inputs, carry, returned, firstNode }: ForwardTrace): BackwardTrace {
  const trained = fixed.filter((p) => p.requiresGrad);
  checkTape(returned, new Set([...inputs, ...carry, ...trained]), firstNode);
  const tie = returned.carry.indexOf(returned.y);
  const tied = tie < 0 ? null : tie;
  const [dy, dyBefore] = [alike(returned.y), alike(returned.y)];
  const [dNext, dInputs] = [carry.map(alike), inputs.map(alike)];
  const totals = fixed.map((p) => (p.requiresGrad ? alike(p) : null));
  const reached = inputs.map(() => false);
  recording.during(() => {
    const accumulators = new Map<Tensor, Tensor>();
    fixed.forEach((p, i) => {
      if (totals[i]) accumulators.set(p, totals[i]);
    });
    if (tied !== null) accumulators.set(carry[tied] as Tensor, copyOf(dyBefore));
    const roots = returned.carry.map((c, i) => [c, dNext[i] as Tensor] as const).filter(([c]) => isFloat(c.dtype));
    if (tied === null) roots.unshift([returned.y, dy]);
    const found = gradients(
      roots.map(([root]) => root),
      [...inputs, ...carry, ...trained],
      roots.map(([, g]) => g),
      { accumulators },
    );
    inputs.forEach((x, i) => {
      const g = found[i];
      if (!g || !x.requiresGrad) return;
      reached[i] = true;
      copyInto(dInputs[i] as Tensor, g);
    });
    replaceAll(dNext, found.slice(inputs.length, inputs.length + carry.length));
  });
  const { calls, blocks, constants } = recording;
  return { calls, blocks, constants, dy, dyBefore, dNext, dInputs, reached, totals, tied };
}

/** Overwrites every target by its new value (zeros for null), though new values may be views of other targets. */
function replaceAll(targets: readonly Tensor[], values: readonly (Tensor | null)[]): void {
  const blocks = new Set<Block>(targets.map((t) => t.storage));
  const settled = values.map((v, i) => {
    const target = targets[i] as Tensor;
    if (v === null) return zeros(target.shape, target.dtype);
    return !blocks.has(v.storage) || isSame(v, target) ? v : copyOf(v);
  });
  settled.forEach((v, i) => {
    const target = targets[i] as Tensor;
    if (!isSame(v, target)) copyInto(target, v);
  });
}

/** Whether two tensors of one shape are the same elements in memory. */
function isSame(a: Tensor, b: Tensor): boolean {
  return a.storage === b.storage && a.offset === b.offset && a.strides.every((s, i) => s === b.strides[i] || a.shape[i] === 1);
}
