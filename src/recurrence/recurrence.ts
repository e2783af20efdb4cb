/**
 * A recurrent network is a function (x_t, s_t) ↦ (y_t, s_{t+1}).
 *
 * A cell implements `step`; everything else (whole sequences, variable lengths, stacking, streaming,
 * gradient algorithms) is written against this interface.
 */

import { noGrad } from "../autodiff/tape.ts";
import { checkLengths, checkMethods, checkObject, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { Module } from "../nn/module.ts";
import { fillBeyond, runningMask } from "../nn/padding.ts";
import { reshape } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { CaptureCache } from "../replay/capture.ts";
import { type Scan, scanCaptured, scanEagerly, whyEager } from "../replay/captured-scan.ts";
import type { Step } from "../replay/trace.ts";
import type { MemoryPlan } from "../tensor/dry-run.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, scope, Tensor } from "../tensor/tensor.ts";
import { recording } from "../wasm/recorder.ts";
import { type PlanOptions, planScan } from "./plan.ts";
import { mapState, restoreState, type State, stateTensors, tensorsLike } from "./state.ts";

export interface ScanOptions {
  /** Real steps of each sequence of the batch, 0 ≤ length ≤ T. After them the state stays and the output is zero. */
  readonly lengths?: readonly number[];
  /** Runs from each sequence's last real step to its first. */
  readonly reverse?: boolean;
}

/** The names of `ScanOptions`. @internal */
export const SCAN = ["lengths", "reverse"] as const;

/** A recurrent network: a function from an input and a state to an output and the next state. Cells, layers, stacks and decoders are recurrences. */
// NoInfer: S is inferred from the result. A `step` that may be called without a state would make it S | undefined.
export interface Recurrence<S extends State = State> extends Module {
  readonly inputSize: number;
  readonly outputSize: number;
  /**
   * Number of units, for cells whose units do not see each other's state. In such cells, a tensor of the state with one
   * element per unit holds the units' own states, a parameter's row r acts on unit r mod units, and other tensors of the state depend on no
   * parameter. That makes real-time recurrent learning cheap.
   */
  readonly independentUnits?: number | undefined;
  /** Whether steps and scans also read int32 x [B] and xs [T,B]: indices of one-hot vectors (default no). */
  readonly readsIndices?: boolean;
  /** The state before the first step, for a batch. */
  initialState(batch: number): S;
  /** One time step, from x [B,I] and a state to y [B,O] and the next state. Pure. */
  step(x: Tensor, state: NoInfer<S>): [y: Tensor, next: S];
  /** A whole sequence, from xs [T,B,I] to ys [T,B,O] and the last state. */
  scan(xs: Tensor, state?: NoInfer<S>, options?: ScanOptions): [ys: Tensor, last: S];
}

/** Whether a module is a recurrence. @internal */
export function isRecurrence(module: Module): module is Recurrence {
  return "scan" in module && "step" in module && "initialState" in module;
}

/**
 * Whether a recurrence still runs the step of this class of the library. A subclass may override its methods, and then what holds for the class's step does not
 * hold for the subclass.
 * @param methods the methods that make up the step @internal
 */
export function movesAs(recurrence: object, Class: { readonly prototype: object }, methods: readonly string[] = ["step"]): boolean {
  return methods.every((name) => methodOf(recurrence, name) === Class.prototype[name as never]);
}

/** An object's method, its own or its class's. Temporary replacements (src/insight/watch.ts, src/learning) must be non-enumerable to go unnoticed. */
function methodOf(object: object, name: string): unknown {
  const replaced = Object.hasOwn(object, name) && !hasOwnMethod(object, name);
  return (replaced ? Object.getPrototypeOf(object) : object)[name];
}

/** Whether an object overrides a method of its class by one of its own. Replacements that are not enumerable do not count. @internal */
export function hasOwnMethod(object: object, name: string): boolean {
  return Object.prototype.propertyIsEnumerable.call(object, name);
}

/** Requires a recurrence: something that runs step by step from an initial state. @throws DTypeError */
export function checkRecurrence(op: string, value: unknown): void {
  checkMethods(op, "a recurrence", value, ["initialState", "step"]);
}

/** Checks that `xs` is [T,B,I] with T ≥ 1, and that the lengths fit it. */
export function checkSequence(op: string, xs: Tensor, inputSize: number, lengths?: readonly number[]): void {
  checkTensor(op, xs);
  const [T, B, I] = xs.shape;
  if (xs.rank !== 3 || I !== inputSize) throw new ShapeError(`${op}: expected xs [T,B,${inputSize}], got ${show(xs.shape)}`);
  if (T === 0) throw new ShapeError(`${op}: expected xs with at least one step, got ${show(xs.shape)}`);
  if (lengths !== undefined) checkLengths(op, lengths, B as number, T as number);
}

/** What a scan reads: xs [T,B,I], or int32 [T,B] where the recurrence reads indices. @internal */
export function checkScanned(cell: Recurrence, xs: Tensor, lengths?: readonly number[]): void {
  checkTensor("scan", xs);
  if (cell.readsIndices !== true || xs.dtype !== "int32") {
    checkSequence("scan", xs, cell.inputSize, lengths);
    return;
  }
  if (xs.rank !== 2) throw new ShapeError(`scan: expected int32 xs [T,B], got ${show(xs.shape)}`);
  checkSequence("scan", reshape(xs, [...xs.shape, 1]), 1, lengths);
}

/** A state's structure, and the batch axis of each tensor: the first, except in layers, whose states are PyTorch's [L,B,H]. */
type BatchAxes = number | readonly BatchAxes[] | { readonly [name: string]: BatchAxes };

/** The axes found so far, with the form of their states: a cell may get other parts, and so states of another form. */
const knownAxes = new WeakMap<object, { readonly axes: BatchAxes; readonly form: string }>();

/** Names and ranks of a state's tensors. */
function formOf(state: State | undefined): string {
  if (state instanceof Tensor) return `${state.rank}`;
  // The parts of a text are texts again.
  if (typeof state !== "object") return typeof state;
  const parts = Object.entries(state ?? {}).map(([name, part]) => `${name}:${formOf(part)}`);
  return `(${parts.sort().join()})`;
}

/** Anything with an initial state. */
type Startable = Pick<Recurrence<State>, "initialState">;

/** Finds the axis of each tensor of a state that grows with the batch. */
function batchAxes(cell: Startable, state: State): BatchAxes {
  const known = knownAxes.get(cell);
  if (known !== undefined && known.form === formOf(state)) return known.axes;
  const found = scope(() =>
    noGrad(() => {
      const one = cell.initialState(1);
      const grown = (a: Tensor, b: Tensor) =>
        Math.max(
          0,
          b.shape.findIndex((n, axis) => n !== a.shape[axis]),
        );
      return { axes: mapState(grown as never, one, cell.initialState(2)) as unknown as BatchAxes, form: formOf(one) };
    }),
  );
  knownAxes.set(cell, found);
  return found.axes;
}

/** A state with its tensors in the order of the cell's own structure. Names identify them, whatever their order. */
function inOrder(axes: BatchAxes, state: State | undefined): State {
  if (typeof axes === "number") {
    if (state instanceof Tensor) return state;
    throw new ShapeError(
      `scan: expected a state of the structure that initialState has, got ${state === undefined ? "a part less" : "another"}`,
    );
  }
  if (state !== undefined) checkObject("scan", "a state's part", state);
  if (Array.isArray(axes)) return axes.map((part, i) => inOrder(part, (state as readonly State[] | undefined)?.[i]));
  const named = state as { readonly [name: string]: State } | undefined;
  return Object.fromEntries(Object.entries(axes).map(([name, part]) => [name, inOrder(part, named?.[name])]));
}

/** The batch axis of each tensor of the cell's state, in order of structure. */
export function batchAxesOf(cell: Startable, state: State): number[] {
  const flat = (axes: BatchAxes): number[] => (typeof axes === "number" ? [axes] : Object.values(axes).flatMap(flat));
  return flat(batchAxes(cell, state));
}

/** The state from which a scan starts; default: the initial one. @throws ShapeError, DTypeError for one of another structure */
export function startOf<S extends State>(cell: Recurrence<S>, xs: Tensor, state: S | null | undefined): S {
  checkTensor("scan", xs);
  return state === undefined || state === null ? cell.initialState(xs.dim(1)) : (inOrder(batchAxes(cell, state), state) as S);
}

/** Reshapes one value per sequence to broadcast over the other axes of `like`. */
function alongBatch(mask: Tensor, like: Tensor, axis = 0): Tensor {
  return reshape(
    mask,
    like.shape.map((_, i) => (i === axis ? mask.dim(0) : 1)),
  );
}

/** The cell's step over flat lists of tensors. With a mask, finished sequences keep their state and output zeros. */
function flatStep<S extends State>(cell: Recurrence<S>, like: S, masked: boolean): Step {
  const axes = masked ? batchAxes(cell, like) : null;
  return ([x, running], carry) => {
    const before = restoreState(like, carry);
    const [y, after] = cell.step(x as Tensor, before);
    // By name, since a step may list its tensors in another order than the previous state.
    const next = mapState((_, t) => t as Tensor, before, after);
    if (axes === null) return { y, carry: stateTensors(next) };
    const mask = running as Tensor;
    const kept = (a: Tensor, b: Tensor, axis: number) => where(alongBatch(mask, a, axis), a, b);
    const held = mapState(kept as never, next, before, axes as never);
    return { y: where(alongBatch(mask, y), y, 0), carry: stateTensors(held) };
  };
}

/** A scan as a step over tensors. @internal */
export function scanParts<S extends State>(cell: Recurrence<S>, xs: Tensor, state: S, options: ScanOptions): Scan {
  const { lengths, reverse = false } = optionsOf("scan", options, SCAN);
  checkScanned(cell, xs, lengths);
  const ragged = lengths?.some((n) => n < xs.dim(0)) ?? false;
  return {
    step: flatStep(cell, state, ragged),
    sequences: ragged ? [fillBeyond(xs, lengths), runningMask(lengths as readonly number[], xs.dim(0))] : [xs],
    carry: stateTensors(state),
    owner: cell,
    fixed: [...new Set(cell.stateDict().values())],
    reverse,
  };
}

/** Runs `step` over a sequence, operation by operation. This is the definition that every fused form must match. */
export function scanSteps<S extends State>(cell: Recurrence<S>, xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
  checkRecurrence("scanSteps", cell);
  const start = startOf(cell, xs, state);
  const { ys, carry } = scanEagerly(scanParts(cell, xs, start, options));
  return [ys, restoreState(start, carry)];
}

/** @throws ShapeError, DTypeError, where x is no [B,I] or the state differs from an initial one in structure, shapes or dtypes */
function checkStep(cell: Recurrence, x: unknown, state: unknown): void {
  checkTensor("step", x);
  if (x.rank !== 2 || x.dim(1) !== cell.inputSize) throw new ShapeError(`step: expected x [B,${cell.inputSize}], got ${show(x.shape)}`);
  tensorsLike(cell.initialState(x.dim(0)), state);
}

/** What a step's error should say: what is wrong with its arguments, if it is that. */
function explained(cell: Recurrence, x: unknown, state: unknown, error: unknown): unknown {
  const mayBeTheirs = error instanceof TypeError || error instanceof ShapeError;
  if (!mayBeTheirs || recording !== null) return error;
  try {
    scope(() => noGrad(() => checkStep(cell, x, state)));
    return error;
  } catch (wrong) {
    return wrong;
  }
}

type AnyStep = (this: Recurrence, x: Tensor, state: State, ...more: unknown[]) => [Tensor, State];

const guarded = new WeakSet<object>();

/**
 * Has the steps of a class, and of those that it extends, check their arguments when they fail: a cell's step is the equation of its paper, and the first
 * operation to meet a wrong argument knows another name for it. Steps that succeed check nothing.
 */
function guardSteps(prototype: object): void {
  if (prototype === Cell.prototype || guarded.has(prototype)) return;
  guarded.add(prototype);
  guardSteps(Object.getPrototypeOf(prototype));
  const own = Object.getOwnPropertyDescriptor(prototype, "step");
  if (typeof own?.value !== "function") return;
  const step = own.value as AnyStep;
  const value: AnyStep = function (x, state, ...more) {
    try {
      return step.call(this, x, state, ...more);
    } catch (error) {
      throw explained(this, x, state, error);
    }
  };
  Object.defineProperty(prototype, "step", { ...own, value });
}

/**
 * Base class of cells: a subclass defines `initialState` and `step`, and `scan` runs the step over
 * sequences by capture and replay (see src/replay/capture.ts), or eagerly if it cannot be captured.
 */
export abstract class Cell<S extends State = State> extends Module implements Recurrence<S> {
  abstract readonly inputSize: number;
  abstract readonly outputSize: number;
  abstract initialState(batch: number): S;
  abstract step(x: Tensor, state: S): [y: Tensor, next: S];

  readonly #captures: CaptureCache = new CaptureCache();

  constructor() {
    super();
    guardSteps(new.target.prototype);
  }

  /**
   * From xs [T,B,I] to ys [T,B,O] and the last state, equal to those of `scanSteps` to the bit. Every scan calls the step twice to trace it,
   * then replays it. A step that differs between the two calls, sets fields of its module, or cannot be replayed is called T times.
   */
  scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    const start = startOf(this, xs, state);
    const { ys, carry } = scanCaptured(scanParts(this, xs, start, options), this.#captures);
    return [ys, restoreState(start, carry)];
  }

  /** The bytes that a scan over [time, batch, inputSize], or a training step on it, will need. */
  plan(options: PlanOptions): MemoryPlan {
    return planScan(this, options);
  }

  /**
   * Why `scan` runs eagerly on such a sequence; null if it replays (sequences of up to two steps leave nothing to replay).
   * Calls the step twice to find out, and restores fields that it sets.
   */
  whyEager(xs: Tensor, state?: S, options: ScanOptions = {}): string | null {
    return whyEager(scanParts(this, xs, startOf(this, xs, state), options), this.#captures);
  }
}
