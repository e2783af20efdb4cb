/** Streaming: one step, one call, nothing allocated, and a state that is bytes whenever it is wanted. */

import { noGrad } from "../autodiff/tape.ts";
import { arrayOf, type DType, type TypedArray } from "../base/dtype.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { type CapturedStep, captureStep, PACKED, SCRATCH } from "../replay/capture.ts";
import { show } from "../tensor/shape.ts";
import { copyInto } from "../tensor/strided.ts";
import { empty, keep, scope, Tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";
import type { Recurrence } from "./recurrence.ts";
import { restoreState, type State, stateTensors } from "./state.ts";
import { stateFromBytes, stateToBytes } from "./state-bytes.ts";

export interface StreamOptions {
  /** Sequences advanced together (default 1). */
  readonly batch?: number;
  /** What the recurrence reads: the dtype of x (that of its parameters unless given). */
  readonly dtype?: DType;
}

/**
 * A recurrence fed step by step with a state of its own.
 *
 * The step is captured once (weights packed, memory planned), so that each call is one call into WebAssembly; in the
 * deterministic build the outputs equal those of the whole sequence to the bit. After training goes on, `refresh()`.
 *
 * @example
 * const stream = new Stream(lstm);
 * const y = stream.step(Float32Array.of(1, 0, 0)); // [outputSize] values, overwritten by the next step
 * const saved = stream.toBytes();                  // and later, anywhere: stream.fromBytes(saved)
 */
export class Stream<S extends State> {
  /** Why the step runs operation by operation instead of by replay; null if it is replayed. */
  readonly whyEager: string | null;
  readonly #recurrence: Recurrence<S>;
  readonly #like: S;
  readonly #x: Tensor;
  /** Where the state is now. */
  #state: readonly Tensor[];
  readonly #y: TypedArray;
  readonly #run: () => void;
  readonly #prepare: () => void;
  readonly #yTensor: Tensor;
  #xView: TypedArray;
  #yView: TypedArray;

  /** @throws StateError when a step of the recurrence is not one the library can run (bidirectional layers) */
  constructor(recurrence: Recurrence<S>, { batch = 1, dtype }: StreamOptions = {}) {
    if (!(Number.isInteger(batch) && batch >= 1)) throw new ArgumentError(`Stream: expected a batch of at least 1, got ${batch}`);
    this.#recurrence = recurrence;
    const fixed = [...new Set(recurrence.stateDict().values())];
    const own = (t: Tensor): Tensor => {
      const copy = keep(empty(t.shape, t.dtype));
      copyInto(copy, t);
      return copy;
    };
    this.#like = scope(() => recurrence.initialState(batch));
    this.#state = stateTensors(this.#like).map(own);
    this.#x = keep(empty([batch, recurrence.inputSize], dtype ?? fixed[0]?.dtype ?? "float32"));
    const step = (x: Tensor, carry: readonly Tensor[]) => {
      const [y, next] = recurrence.step(x, restoreState(this.#like, carry));
      return { y, carry: stateTensors(next) };
    };
    const captured = captureStep({ step: ([x], carry) => step(x as Tensor, carry), inputs: [this.#x], carry: this.#state, fixed }, false);
    this.whyEager = typeof captured === "string" ? captured : null;
    const runner = typeof captured === "string" ? this.#eagerly(step) : this.#replayed(captured, fixed);
    this.#run = runner.run;
    this.#prepare = runner.prepare;
    this.#yTensor = runner.y;
    this.#y = arrayOf(runner.y.dtype, runner.y.size);
    this.#xView = view(this.#x.dtype, this.#x.ptr, this.#x.size);
    this.#yView = view(runner.y.dtype, runner.y.ptr, runner.y.size);
    this.#prepare();
  }

  /**
   * Advances by one step.
   * @param x [batch · inputSize] values
   * @returns [batch · outputSize] values, in an array that the next step overwrites
   */
  step(x: ArrayLike<number> | Tensor): TypedArray {
    this.#write(x);
    this.#run();
    if (this.#yView.length === 0) this.#yView = view(this.#yTensor.dtype, this.#yTensor.ptr, this.#yTensor.size);
    this.#y.set(this.#yView);
    return this.#y;
  }

  #write(x: ArrayLike<number> | Tensor): void {
    const n = x instanceof Tensor ? x.size : x.length;
    if (n !== this.#x.size) {
      throw new ShapeError(`step: expected ${this.#x.size} values for x ${show(this.#x.shape)}, got ${n}`);
    }
    if (x instanceof Tensor) {
      copyInto(this.#x, new Tensor(x.storage, x.dtype, this.#x.shape, x.isContiguous ? this.#x.strides : x.strides, x.offset));
      return;
    }
    // A grown memory detaches its views.
    if (this.#xView.length === 0) this.#xView = view(this.#x.dtype, this.#x.ptr, this.#x.size);
    this.#xView.set(x);
  }

  /** The state, for a step elsewhere; copies. */
  get state(): S {
    return restoreState(
      this.#like,
      this.#state.map((t) => {
        const copy = empty(t.shape, t.dtype);
        copyInto(copy, t);
        return copy;
      }),
    );
  }

  set state(state: S) {
    const given = stateTensors(state);
    const expected = this.#state.map((t) => show(t.shape)).join(" ");
    const got = given.map((t) => show(t.shape)).join(" ");
    if (expected !== got) throw new ShapeError(`state: expected tensors ${expected}, got ${got}`);
    given.forEach((t, i) => {
      copyInto(this.#state[i] as Tensor, t);
    });
  }

  /** Back to the initial state. */
  reset(): void {
    scope(() => {
      this.state = noGrad(() => this.#recurrence.initialState(this.#x.dim(0)));
    });
  }

  /** Takes the parameters' present values, after they were trained or loaded. */
  refresh(): void {
    this.#prepare();
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

  #replayed({ y: { shape, dtype }, forward, constants }: CapturedStep, fixed: readonly Tensor[]): Runner {
    const y = keep(empty(shape, dtype));
    const bytes = (kind: string): Tensor => keep(empty([Math.max(1, (forward.bytes[kind] ?? 0) / 8)], "float64"));
    const [here, there] = [this.#state, this.#state.map((t) => keep(empty(t.shape, t.dtype)))];
    const [scratch, packed] = [bytes(SCRATCH), bytes(PACKED)];
    const placesOf = (from: readonly Tensor[], to: readonly Tensor[]): Places => {
      const places: Places = { x0: [this.#x.ptr, 0], y: [y.ptr, 0], frame: [0, 0] };
      places[SCRATCH] = [scratch.ptr, 0];
      places[PACKED] = [packed.ptr, 0];
      from.forEach((t, i) => {
        places[`s${i}`] = [t.ptr, 0];
        places[`n${i}`] = [(to[i] as Tensor).ptr, 0];
      });
      fixed.forEach((p, i) => {
        places[`p${i}`] = [p.ptr, 0];
      });
      return places;
    };
    // The state goes to and fro between two places, so that it need not be copied back.
    const forth = forward.program.bind(placesOf(here, there));
    const back = forward.program.bind(placesOf(there, here));
    const places = placesOf(here, there);
    // What the bound programs address must live as long as the stream.
    const held = [y, ...here, ...there, scratch, packed, constants, fixed];
    return {
      y,
      prepare: () => forward.prepare.run(1, places),
      run: () => {
        if (held.length === 0) return;
        if (this.#state === here) {
          forth();
          this.#state = there;
        } else {
          back();
          this.#state = here;
        }
      },
    };
  }

  #eagerly(step: (x: Tensor, carry: readonly Tensor[]) => { y: Tensor; carry: readonly Tensor[] }): Runner {
    const sample = scope(() => noGrad(() => step(this.#x, this.#state).y));
    const y = keep(empty(sample.shape, sample.dtype));
    return {
      y,
      prepare: () => {},
      run: () =>
        scope(() => {
          const out = noGrad(() => step(this.#x, this.#state));
          copyInto(y, out.y);
          // All new values exist before the first old one goes: they may be views of each other.
          const copies = out.carry.map((t) => {
            const copy = empty(t.shape, t.dtype);
            copyInto(copy, t);
            return copy;
          });
          copies.forEach((t, i) => {
            copyInto(this.#state[i] as Tensor, t);
          });
        }),
    };
  }
}

type Places = Record<string, readonly [base: number, stride: number]>;

interface Runner {
  readonly y: Tensor;
  readonly run: () => void;
  readonly prepare: () => void;
}
