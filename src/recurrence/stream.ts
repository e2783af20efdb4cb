/** Streaming: one call per step without allocation, and a state that can be saved as bytes at any time. */

import { noGrad } from "../autodiff/tape.ts";
import { checkWhole, optionsOf } from "../base/checks.ts";
import { arrayOf, type DType, isFloat, type TypedArray } from "../base/dtype.ts";
import { DTypeError, ShapeError, StateError } from "../base/errors.ts";
import { blocksOf, CaptureCache, type CapturedStep, captureStep } from "../replay/capture.ts";
import { Places } from "../replay/regions.ts";
import type { Step } from "../replay/trace.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyInto, copyOf } from "../tensor/strided.ts";
import { empty, keep, scope, Tensor } from "../tensor/tensor.ts";
import { isCurrent, view } from "../wasm/host.ts";
import { checkRecurrence, type Recurrence } from "./recurrence.ts";
import { checkForm, mapState, restoreState, type State, stateTensors, tensorsLike } from "./state.ts";
import { stateFromBytes, stateToBytes } from "./state-bytes.ts";

export interface StreamOptions {
  /** Number of sequences that advance together (default 1). */
  readonly batch?: number;
  /** The dtype of x; default that of the recurrence's parameters. */
  readonly dtype?: DType;
}

/**
 * Runs a recurrence step by step and holds its state.
 *
 * The stream captures the step (packs weights, plans memory), so each call is one call into WebAssembly. In the
 * deterministic build its outputs equal those of `step` to the bit, and those of `scan` too, except for cells whose
 * scan sums in another order (`SRU`, `MLSTM`).
 *
 * A stream is a snapshot: it keeps the weights, options and modes that the recurrence had when the stream was made,
 * until `refresh()`. A step that cannot be captured (see `whyEager`) runs as ordinary operations and follows its
 * module. Making or refreshing a stream calls the step twice to capture it, and restores fields that it sets.
 *
 * @example
 * const stream = new Stream(lstm);
 * const y = stream.step(Float32Array.of(1, 0, 0)); // [outputSize] values, overwritten by the next step
 * const saved = stream.toBytes();                  // and later, anywhere: stream.fromBytes(saved)
 */
export class Stream<S extends State> {
  readonly #recurrence: Recurrence<S>;
  readonly #batch: number;
  readonly #dtype: DType | undefined;
  readonly #captures: CaptureCache = new CaptureCache();
  readonly #like: S;
  /** The initial state, as of the last refresh. */
  readonly #initial: readonly Tensor[];
  #x!: Input;
  /** The tensors that hold the present state. */
  #state: readonly Tensor[];
  #runner!: Runner;

  /** @throws StateError for a recurrence that cannot run step by step (bidirectional layers) */
  constructor(recurrence: Recurrence<S>, options: StreamOptions = {}) {
    const { batch = 1, dtype } = optionsOf("Stream", options, ["batch", "dtype"]);
    checkRecurrence("Stream", recurrence);
    checkWhole("Stream", "batch", batch, { least: 1 });
    this.#recurrence = recurrence;
    this.#batch = batch;
    this.#dtype = dtype;
    this.#like = this.#initialState();
    this.#initial = stateTensors(this.#like).map(kept);
    this.#state = this.#initial.map(kept);
    this.refresh();
  }

  /** Why the step runs operation by operation; null if it is replayed. */
  get whyEager(): string | null {
    return this.#runner.whyEager;
  }

  /**
   * Advances by one step.
   * @param x values of x [B,I]: numbers in row-major order, or a tensor of this shape or of one axis
   * @returns [batch · outputSize] values, in an array that the next step overwrites
   * @throws ShapeError, DTypeError for any other x; leaves the state unchanged
   */
  step(x: ArrayLike<number> | Tensor): TypedArray {
    this.#x.write(x);
    this.#state = this.#runner.run(this.#state);
    return this.#runner.y.read();
  }

  /** A copy of the state. Assign one to continue from there. */
  get state(): S {
    return restoreState(this.#like, this.#state.map(copyOf));
  }

  /** @throws ShapeError, DTypeError for a missing tensor or one of another shape or dtype; leaves the state unchanged */
  set state(state: S) {
    const given = tensorsLike(this.#like, state);
    // Read all values before writing any: a released tensor throws here.
    scope(() => {
      given.map(copyOf).forEach((t, i) => {
        copyInto(this.#state[i] as Tensor, t);
      });
    });
  }

  /** Returns to the snapshot's initial state. */
  reset(): void {
    scope(() => {
      this.state = this.#runner instanceof EagerRunner ? this.#initialState() : restoreState(this.#like, this.#initial);
    });
  }

  /**
   * Takes a new snapshot of the recurrence: parameters that were trained, loaded, cast or replaced, options, modes. Keeps the state.
   * @throws StateError if the state now has another form; make a new stream in this case
   */
  refresh(): void {
    const like = this.#initialState();
    this.#checkState(like);
    const fixed = [...new Set(this.#recurrence.stateDict().values())];
    const shape = [this.#batch, this.#recurrence.inputSize];
    const dtype = this.#dtype ?? fixed.find((t) => isFloat(t.dtype))?.dtype ?? "float32";
    const x = this.#x?.holds(shape, dtype) ? this.#x : new Input(shape, dtype);
    const spec = { step: this.#flatStep(), owner: this.#recurrence, fixed, wanted: null };
    const captured = noGrad(() => captureStep(spec, { inputs: [x.tensor], carry: this.#state }, this.#captures));
    this.#runner = typeof captured === "string" ? new EagerRunner(captured, spec.step, x) : this.#replayed(captured, x, fixed);
    this.#x = x;
    stateTensors(like).forEach((t, i) => {
      copyInto(this.#initial[i] as Tensor, t);
    });
  }

  /** The replay of a captured step. Reuses the present one, with new values of the fixed tensors, if the step is still the same. */
  #replayed(captured: CapturedStep, x: Input, fixed: readonly Tensor[]): ReplayRunner {
    const now = this.#runner;
    const same = now instanceof ReplayRunner && now.captured === captured && now.x === x;
    const runner = same ? now : new ReplayRunner(captured, x, this.#state, fixed);
    runner.take(fixed);
    return runner;
  }

  /** The state as bytes, with a version and a checksum. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return scope(() => stateToBytes(this.state));
  }

  /** Continues from bytes. @throws FormatError; leaves the state unchanged */
  fromBytes(bytes: Uint8Array): void {
    scope(() => {
      this.state = stateFromBytes(bytes, this.state);
    });
  }

  #initialState(): S {
    return scope(() => noGrad(() => this.#recurrence.initialState(this.#batch)));
  }

  #checkState(like: S): void {
    const describe = (tensors: readonly Tensor[]) => tensors.map((t) => `${t.dtype}${show(t.shape)}`).join(" ");
    const [expected, got] = [describe(this.#state), describe(stateTensors(like))];
    if (expected !== got) throw new StateError(`refresh: expected a state of ${expected}, as when the stream was made, got ${got}`);
  }

  #flatStep(): Step {
    return ([x], carry) => {
      const before = restoreState(this.#like, carry);
      const [y, next] = this.#recurrence.step(x as Tensor, before);
      // By name, since a step may list its state in another order.
      return { y, carry: stateTensors(mapState((_, t) => t as Tensor, before, next)) };
    };
  }
}

/** A copy that outlives every scope. */
function kept(t: Tensor): Tensor {
  return keep(copyOf(t));
}

/** Raw memory that outlives every scope. */
function room(bytes: number): Tensor {
  return keep(empty([Math.max(1, Math.ceil(bytes / 8))], "float64"));
}

/** A tensor's elements as an array, made anew after the memory has grown or been replaced. */
class Window {
  readonly tensor: Tensor;
  #view: TypedArray;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
    this.#view = view(tensor.dtype, tensor.ptr, tensor.size);
  }

  get elements(): TypedArray {
    if (!isCurrent(this.#view)) this.#view = view(this.tensor.dtype, this.tensor.ptr, this.tensor.size);
    return this.#view;
  }
}

/** The place from which the step reads x. */
class Input {
  readonly tensor: Tensor;
  readonly #window: Window;

  constructor(shape: readonly number[], dtype: DType) {
    this.tensor = keep(empty(shape, dtype));
    this.#window = new Window(this.tensor);
  }

  holds(shape: readonly number[], dtype: DType): boolean {
    return this.tensor.dtype === dtype && sameShape(this.tensor.shape, shape);
  }

  write(x: ArrayLike<number> | Tensor): void {
    if (x instanceof Tensor) copyInto(this.tensor, this.#asMatrix(x));
    else this.#writeNumbers(x);
  }

  #writeNumbers(x: ArrayLike<number>): void {
    const { size, shape, dtype } = this.tensor;
    if (x?.length !== size) throw new ShapeError(`step: expected ${size} values for x ${show(shape)}, got ${x?.length ?? String(x)}`);
    checkValues(x, dtype);
    this.#window.elements.set(x);
  }

  /** x as [B,I]; splits a single axis into rows. */
  #asMatrix(x: Tensor): Tensor {
    const { shape, size } = this.tensor;
    const [stride] = x.strides;
    const rows =
      x.rank === 1 && x.size === size && stride !== undefined
        ? new Tensor(x.storage, x.dtype, shape, [stride * (shape[1] as number), stride], x.offset)
        : x;
    if (rows.size !== size) throw new ShapeError(`step: expected ${size} values for x ${show(shape)}, got ${show(x.shape)}`);
    checkForm("step", "x", rows, this.tensor);
    return rows;
  }
}

/** @throws DTypeError for values that are no numbers, or not representable in this dtype */
function checkValues(x: ArrayLike<number>, dtype: DType): void {
  // A typed array holds only numbers or only bigints, so one check covers all.
  const first = ArrayBuffer.isView(x) && isFloat(dtype) ? Math.min(1, x.length) : x.length;
  for (let i = 0; i < first; i++) {
    const value: unknown = x[i];
    if (typeof value !== "number") throw new DTypeError(`step: expected numbers as x, got ${typeof value} at position ${i}`);
    if (!isFloat(dtype) && !isWhole(value, dtype))
      throw new DTypeError(`step: expected ${dtype} values as x, got ${value} at position ${i}`);
  }
}

function isWhole(value: number, dtype: DType): boolean {
  return dtype === "bool" ? value === 0 || value === 1 : value === (value | 0);
}

/** The output as an array, which the caller may read until the next step. */
class Output {
  readonly tensor: Tensor;
  readonly #window: Window;
  readonly #values: TypedArray;

  constructor(shape: readonly number[], dtype: DType) {
    this.tensor = keep(empty(shape, dtype));
    this.#window = new Window(this.tensor);
    this.#values = arrayOf(dtype, this.tensor.size);
  }

  read(): TypedArray {
    this.#values.set(this.#window.elements);
    return this.#values;
  }
}

/** Runs one step. */
interface Runner {
  readonly whyEager: string | null;
  /** Takes the tensors of a state to those of the next one; the output is in `y`. */
  run(state: readonly Tensor[]): readonly Tensor[];
  readonly y: Output;
}

/** A captured step, bound to its own memory. */
class ReplayRunner implements Runner {
  readonly whyEager = null;
  readonly captured: CapturedStep;
  readonly x: Input;
  readonly y: Output;
  // The state alternates between two places, so it need not be copied back.
  readonly #here: readonly Tensor[];
  readonly #there: readonly Tensor[];
  readonly #forth: () => void;
  readonly #back: () => void;
  readonly #packed: Tensor;
  /** Copies of fixed tensors that the step itself reads; null for those that it reads only in packed form. */
  readonly #copies: readonly (Tensor | null)[];
  /** Keeps alive the memory that bound programs address. */
  readonly #held: readonly Tensor[];

  constructor(captured: CapturedStep, x: Input, state: readonly Tensor[], fixed: readonly Tensor[]) {
    const { y, forward, constants, regions } = captured;
    this.captured = captured;
    this.x = x;
    this.y = new Output(y.shape, y.dtype);
    this.#here = state;
    this.#there = state.map(kept);
    this.#packed = room(forward.bytes.packed ?? 0);
    this.#copies = blocksOf(fixed).map(({ bytes }, i) => (forward.program.names(regions.of("fixed", i)) ? room(bytes) : null));
    const [scratch, written] = [room(forward.bytes.scratch ?? 0), room(constants.length)];
    if (constants.length > 0) view("bool", written.ptr, constants.length).set(constants);
    this.#held = [scratch, written];
    this.#forth = forward.program.bind(this.#places(this.#here, this.#there));
    this.#back = forward.program.bind(this.#places(this.#there, this.#here));
  }

  #places(from: readonly Tensor[], to: readonly Tensor[]): Places {
    const places = this.#unmoved(this.#copies);
    places.setTensor("input", 0, this.x.tensor);
    places.setTensor("output", 0, this.y.tensor);
    from.forEach((t, i) => {
      places.setTensor("state", i, t);
      places.setTensor("next", i, to[i] as Tensor);
    });
    return places;
  }

  /** Places of everything that no step changes: blocks of fixed tensors, constants, packed weights; and work space. */
  #unmoved(blocks: readonly (Tensor | null)[]): Places {
    const places = new Places(this.captured.regions);
    const [scratch, written] = this.#held as [Tensor, Tensor];
    places.setTensor("scratch", 0, scratch);
    places.setTensor("constants", 0, written);
    places.setTensor("packed", 0, this.#packed);
    blocks.forEach((block, i) => {
      if (block !== null) places.setTensor("fixed", i, block);
    });
    return places;
  }

  /** Takes new values of the fixed tensors: packs some, copies the others. */
  take(fixed: readonly Tensor[]): void {
    const blocks = blocksOf(fixed);
    const places = this.#unmoved([]);
    blocks.forEach(({ ptr, bytes }, i) => {
      places.set("fixed", i, { base: ptr, stride: 0, bytes });
    });
    scope(() => this.captured.forward.prepare.runOnce(places));
    this.#copies.forEach((copy, i) => {
      const { ptr, bytes } = blocks[i] as { ptr: number; bytes: number };
      if (copy !== null) view("bool", copy.ptr, bytes).set(view("bool", ptr, bytes));
    });
  }

  run(state: readonly Tensor[]): readonly Tensor[] {
    if (state === this.#here) {
      this.#forth();
      return this.#there;
    }
    this.#back();
    return this.#here;
  }
}

/** A step that runs as ordinary operations. */
class EagerRunner implements Runner {
  readonly whyEager: string;
  readonly #step: Step;
  readonly #x: Input;
  #y: Output | null = null;

  constructor(whyEager: string, step: Step, x: Input) {
    this.whyEager = whyEager;
    this.#step = step;
    this.#x = x;
  }

  get y(): Output {
    if (this.#y === null) throw new StateError("step: expected a step that was taken, got none");
    return this.#y;
  }

  run(state: readonly Tensor[]): readonly Tensor[] {
    scope(() => {
      const { y, carry } = noGrad(() => this.#step([this.#x.tensor], state));
      carry.forEach((t, i) => {
        checkForm("step", `the step's state tensor ${i}`, t, state[i] as Tensor);
      });
      // Compute all new values before releasing an old one: they may be views of each other.
      const next = carry.map(copyOf);
      if (this.#y === null || !sameShape(this.#y.tensor.shape, y.shape)) this.#y = new Output(y.shape, y.dtype);
      copyInto(this.#y.tensor, y);
      next.forEach((t, i) => {
        copyInto(state[i] as Tensor, t);
      });
    });
    return state;
  }
}
