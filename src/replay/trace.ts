/**
 * Steps traced: run with kernel calls noted instead of made, so that nothing is computed and everything is known.
 *
 * A trace tells all that a step does: each call with its numbers, where in memory it reads and writes, what JavaScript
 * wrote, and the same of the sweep back over it (sweep.ts). What a step depends on besides its tensors (options, modes, shapes and dtypes of
 * parameters) shows in it, because it was traced with what it depends on now.
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
  /** For each input: whether it needs a gradient; null if no gradients are needed at all. */
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
const placeOp = closedOp<void>({ name: "place", forward: ([x]) => copyOf(x as Tensor), vjp: (g) => g, jvp: (t) => t });

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

  /** A recording of what follows, whose calls are never made; what it needs of the steps' results is an obstacle. */
  trial(): Recording {
    return new Recording((reason) => {
      throw new Obstacle(reason);
    }, this.#recording);
  }

  /** Makes a fresh tensor a leaf until the step is taken. One with a tape behind it needs a gradient, whoever is known to want one. */
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
