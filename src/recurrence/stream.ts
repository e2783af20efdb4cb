/** Streaming: one call per step, nothing allocated, and a state that can be saved as bytes at any time. */

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
import { view } from "../wasm/host.ts";
import { checkRecurrence, type Recurrence } from "./recurrence.ts";
import { checkForm, mapState, restoreState, type State, stateTensors, tensorsLike } from "./state.ts";
import { stateFromBytes, stateToBytes } from "./state-bytes.ts";

export interface StreamOptions {
  /** Sequences advanced together (default 1). */
  readonly batch?: number;
  /** What the recurrence reads: the dtype of x (that of its parameters unless given). */
  readonly dtype?: DType;
}

/**
 * Runs a recurrence step by step and keeps its state.
 *
 * The step is captured (weights packed, memory planned), so that each call is one call into WebAssembly; in the
 * deterministic build the outputs equal those of step after step to the bit, and so those of the whole sequence, but for cells whose
 * scan sums in another order (`SRU`, `MLSTM`).
 *
 * A stream is a snapshot: it keeps the weights, options and modes that the recurrence had when the stream was made,
 * whatever becomes of them, until `refresh()`. A step that cannot be captured (`whyEager`) is run as it is instead, and follows its
 * module. To capture a step, it is called twice when the stream is made or refreshed; fields that it sets are put back.
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
  /** The state before the first step, as of the last refresh. */
  readonly #initial: readonly Tensor[];
  #x!: Input;
  /** Where the state is now. */
  #state: readonly Tensor[];
  #runner!: Runner;

  /** @throws StateError when a step of the recurrence is not one the library can run (bidirectional layers) */
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

  /** Why the step runs operation by operation instead of by replay; null if it is replayed. */
  get whyEager(): string | null {
    return this.#runner.whyEager;
  }

  /**
   * Advances by one step.
   * @param x values of x [B,I]: numbers in row-major order, or a tensor of this shape or of one axis
   * @returns [batch · outputSize] values, in an array that the next step overwrites
   * @throws ShapeError, DTypeError where x is something else; the state stays as it was
   */
  step(x: ArrayLike<number> | Tensor): TypedArray {
    this.#x.write(x);
    this.#state = this.#runner.run(this.#state);
    return this.#runner.y.read();
  }

  /** The state, for a step elsewhere; copies. */
  get state(): S {
    return restoreState(this.#like, this.#state.map(copyOf));
  }

  /** @throws ShapeError, DTypeError where a tensor is missing or of another form; the state stays as it was then */
  set state(state: S) {
    const given = tensorsLike(this.#like, state);
    // Read before any is written: what was released has no values, and is an error here.
    scope(() => {
      given.map(copyOf).forEach((t, i) => {
        copyInto(this.#state[i] as Tensor, t);
      });
    });
  }

  /** Back to the initial state: that of the snapshot. */
  reset(): void {
    scope(() => {
      this.state = this.#runner instanceof EagerRunner ? this.#initialState() : restoreState(this.#like, this.#initial);
    });
  }

  /**
   * Takes the recurrence as it is now: parameters that were trained, loaded, cast or replaced, options, modes. The state stays.
   * @throws StateError when the state has another form now: make a new stream then
   */
  refresh(): void {
    const like = this.#initialState();
    this.#checkState(like);
    const fixed = [...new Set(this.#recurrence.stateDict().values())];
    const shape = [this.#batch, this.#recurrence.inputSize];
    const dtype = this.#dtype ?? fixed[0]?.dtype ?? "float32";
    const x = this.#x?.holds(shape, dtype) ? this.#x : new Input(shape, dtype);
    const spec = { step: this.#flatStep(), owner: this.#recurrence, fixed, wanted: null };
    const captured = noGrad(() => captureStep(spec, { inputs: [x.tensor], carry: this.#state }, this.#captures));
    this.#runner = typeof captured === "string" ? new EagerRunner(captured, spec.step, x) : this.#replayed(captured, x, fixed);
    this.#x = x;
    stateTensors(like).forEach((t, i) => {
      copyInto(this.#initial[i] as Tensor, t);
    });
  }

  /** The replay of a captured step: the present one, with the fixed tensors' new values, where it is still the same step. */
  #replayed(captured: CapturedStep, x: Input, fixed: readonly Tensor[]): ReplayRunner {
    const now = this.#runner;
    const same = now instanceof ReplayRunner && now.captured === captured && now.x === x;
    const runner = same ? now : new ReplayRunner(captured, x, this.#state, fixed);
    runner.take(fixed);
    return runner;
  }

  /** The state as bytes: versioned, with a checksum. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return scope(() => stateToBytes(this.state));
  }

  /** Continues from bytes. @throws FormatError, and the state stays as it was */
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
      // By name: a step may list its state in another order.
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

/** The place of a tensor's elements as an array: a grown memory detaches what was made before. */
class Window {
  readonly tensor: Tensor;
  #view: TypedArray;

  constructor(tensor: Tensor) {
    this.tensor = tensor;
    this.#view = view(tensor.dtype, tensor.ptr, tensor.size);
  }

  get elements(): TypedArray {
    if (this.#view.length === 0) this.#view = view(this.tensor.dtype, this.tensor.ptr, this.tensor.size);
    return this.#view;
  }
}

/** Where the step reads x. */
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

  /** x as [B,I]; one axis is cut into rows. */
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

/** @throws DTypeError for what is no number, or none of this dtype */
function checkValues(x: ArrayLike<number>, dtype: DType): void {
  // Elements of a typed array are all numbers or all bigints.
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

/** What the step puts out, as an array that is the caller's to read until the next step. */
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
  /** From a state to the tensors that hold the next one; the output is read from `y`. */
  run(state: readonly Tensor[]): readonly Tensor[];
  readonly y: Output;
}

/** A captured step, bound to memory of its own. */
class ReplayRunner implements Runner {
  readonly whyEager = null;
  readonly captured: CapturedStep;
  readonly x: Input;
  readonly y: Output;
  // The state goes to and fro between two places, so that it need not be copied back.
  readonly #here: readonly Tensor[];
  readonly #there: readonly Tensor[];
  readonly #forth: () => void;
  readonly #back: () => void;
  readonly #packed: Tensor;
  /** Memory of fixed tensors that the step itself reads, copied; null for what it reads only in its packed form. */
  readonly #copies: readonly (Tensor | null)[];
  /** What bound programs address lives as long as they. */
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

  /** Places of what no step changes: fixed tensors in blocks of memory, constants, what is packed, and work space. */
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

  /** Takes the values of fixed tensors: packs some, copies the others. */
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

/** A step that is called as it is. */
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
      // All new values exist before the first old one goes: they may be views of each other.
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
