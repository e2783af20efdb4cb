/**
 * Traces steps: runs their JavaScript while kernel calls are noted instead of made. That computes nothing and records everything.
 *
 * A trace holds everything a step does: each call with its numbers, where it reads and writes, what JavaScript
 * wrote, and the same for the sweep back over it (sweep.ts). Whatever a step depends on besides its tensors (options, modes, shapes and dtypes of
 * parameters) shows in the trace, because the step was traced with their present values.
 */

import { closedOp } from "../autodiff/define-op.ts";
import { apply } from "../autodiff/primitive.ts";
import { Node } from "../autodiff/tape.ts";
import { isFloat } from "../base/dtype.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf } from "../tensor/strided.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { runKernel } from "../wasm/host.ts";
import { type Block, type RecordedCall, Recording } from "../wasm/recorder.ts";

/** One step, from its input tensors and the carried ones to the output and the next carried ones. Pure. */
export type Step = (inputs: readonly Tensor[], carry: readonly Tensor[]) => StepResult;

export interface StepResult {
  readonly y: Tensor;
  readonly carry: readonly Tensor[];
}

export interface StepSpec {
  readonly step: Step;
  /** The module to which the step belongs. A step that sets its fields is not pure. */
  readonly owner: object;
  /** Parameters and buffers that the step reads, each once. */
  readonly fixed: readonly Tensor[];
  /** For each input, whether it needs a gradient; null if no gradients are needed. */
  readonly wanted: readonly boolean[] | null;
}

/** The reason why a step cannot be replayed; thrown within this folder only. */
export class Obstacle extends Error {}

/** Noted calls, and the blocks allocated meanwhile. */
export interface Recorded {
  readonly calls: readonly RecordedCall[];
  readonly blocks: readonly Block[];
}

/** One forward step. */
export interface ForwardTrace extends Recorded {
  readonly inputs: readonly Tensor[];
  readonly carry: readonly Tensor[];
  /** The step's results. */
  readonly returned: StepResult;
  /** The results in memory of their own, for the caller and the next step. */
  readonly y: Tensor;
  readonly next: readonly Tensor[];
  /** The number of the first node that the step may record. */
  readonly firstNode: number;
}

/**
 * The sweep over one step, from dy (the cotangent of y) and dNext (of the next state) to dInputs, to dNext again (now of this state),
 * and into the totals of the fixed tensors.
 */
export interface BackwardTrace extends Recorded {
  readonly constants: ReadonlySet<Block>;
  readonly dy: Tensor;
  /** The cotangent of the output of the step before. */
  readonly dyBefore: Tensor;
  readonly dNext: readonly Tensor[];
  readonly dInputs: readonly Tensor[];
  /** For each input, whether a gradient reaches it. */
  readonly reached: readonly boolean[];
  /** The accumulated gradient of each fixed tensor that is trained. */
  readonly totals: readonly (Tensor | null)[];
  /** Index of the carried tensor that is also the output, if there is one. */
  readonly tied: number | null;
}

/** Copies values to memory of their own, on the tape. */
const placeOp = closedOp<void>({ name: "place", forward: ([x]) => copyOf(x as Tensor), vjp: (g) => g, jvp: (t) => t });

/** The steps that ran, in order, and their last state. */
export interface Taken {
  readonly ys: readonly Tensor[];
  readonly carry: readonly Tensor[];
}

/** Consecutive steps, traced one after another. */
export class Tracer {
  readonly steps: ForwardTrace[] = [];
  readonly #spec: StepSpec;
  readonly #recording: Recording;
  /** The nodes of tensors that act as leaves while steps are traced. */
  readonly #behind = new Map<Tensor, Node | null>();
  #made = 0;

  /**
   * @param real whether the steps will really run: noted calls are made as soon as JavaScript needs a value,
   * or by `take`. Steps of a trial never run: there, JavaScript needing a value is an obstacle at once.
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

  /** The results of the traced steps, once they have run. */
  get taken(): Taken {
    return { ys: this.steps.map(({ y }) => y), carry: (this.steps[this.steps.length - 1] as ForwardTrace).next };
  }

  /**
   * Traces the next step, from the last one's state (the first one from `start`).
   * @throws Obstacle if it cannot be replayed; even then a real step has run and is in `steps`
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

  /** Runs the traced steps: makes the noted calls, and connects the steps to the tape behind their inputs. */
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

  /** Starts a recording whose calls are never made; needing the steps' results is an obstacle. */
  trial(): Recording {
    return new Recording((reason) => {
      throw new Obstacle(reason);
    }, this.#recording);
  }

  /** Makes a fresh tensor a leaf until the step runs. A tensor with a node always needs a gradient, even if no one is known to want it. */
  #asLeaf(t: Tensor, wantsGradient: boolean): void {
    const { node } = t;
    this.#behind.set(t, node);
    t.node = null;
    t.requiresGrad = (wantsGradient || node !== null) && isFloat(t.dtype);
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
