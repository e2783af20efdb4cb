/**
 * Runs that repeat themselves: a graph's kernel calls for inputs of the same shapes and the same whole numbers, captured once and then
 * made in one call into WebAssembly. Weights are packed once, memory is planned, and nothing is allocated.
 */

import { type DType, isFloat } from "../base/dtype.ts";
import { MemoryLimitError } from "../base/errors.ts";
import { blocksOf, CaptureCache, captureStep } from "../replay/capture.ts";
import { Places } from "../replay/regions.ts";
import { type Shape, show } from "../tensor/shape.ts";
import { copyInto, copyOf } from "../tensor/strided.ts";
import { empty, keep, scope, Tensor } from "../tensor/tensor.ts";
import { view } from "../wasm/host.ts";
import { recording } from "../wasm/recorder.ts";
import type { Value } from "./values.ts";

/** A graph's outputs for its inputs, in kernel calls. */
export type Compute = (inputs: readonly Value[]) => Tensor[];

/** Whole numbers that a run's inputs may have together to be remembered: ids of a text are others each time. */
const MOST_WHOLE = 16;

/**
 * What decides, besides values of floats, which calls a run makes: shapes and whole numbers. Null where these are many.
 * Models whose calls depend on floats show it when they are captured, since the host reads those.
 */
function outlineOf(inputs: readonly Value[]): string | null {
  let whole = 0;
  const parts = inputs.map((value) => {
    if (value instanceof Tensor) return `${value.dtype}${show(value.shape)}`;
    whole += value.size;
    return whole > MOST_WHOLE ? "" : `${value.type}${show(value.shape)}${value.data.join()}`;
  });
  return whole > MOST_WHOLE ? null : parts.join(" ");
}

interface Form {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** Raw memory that outlives every scope. */
function room(bytes: number): Tensor {
  return keep(empty([Math.max(1, bytes)], "bool"));
}

/** A captured run, bound to memory of its own. */
class Replay {
  readonly #inputs: readonly Tensor[];
  /** Overwritten by the next run. */
  readonly #outputs: readonly Tensor[];
  readonly #run: () => void;
  /** What the bound program addresses. */
  readonly held: readonly Tensor[];

  private constructor(inputs: readonly Tensor[], outputs: readonly Tensor[], held: readonly Tensor[], run: () => void) {
    this.#inputs = inputs;
    this.#outputs = outputs;
    this.held = held;
    this.#run = run;
  }

  /**
   * Captures a run.
   * @param given inputs of its outline
   * @param like what such a run gives
   * @param fixed the model's constants
   * @returns or why it cannot be captured
   */
  static of(compute: Compute, given: readonly Value[], like: readonly Form[], fixed: readonly Tensor[]): Replay | string {
    const first = like.findIndex(({ dtype }) => isFloat(dtype));
    if (first < 0) return "its outputs are no floats";
    const inputs = given.filter((value) => value instanceof Tensor).map((t) => keep(copyOf(t)));
    const outputs = like.map(({ shape, dtype }) => keep(empty(shape, dtype)));
    const others = outputs.filter((_, i) => i !== first);
    const step = (xs: readonly Tensor[]) => {
      const floats = xs.values();
      const results = compute(given.map((value) => (value instanceof Tensor ? (floats.next().value as Tensor) : value)));
      // The other outputs are handed out as a state that nobody reads.
      return { y: results[first] as Tensor, carry: results.filter((_, i) => i !== first) };
    };
    const captured = captureStep({ step, owner: {}, fixed, wanted: null }, { inputs, carry: others }, new CaptureCache());
    if (typeof captured === "string") return captured;
    const { forward, constants, regions } = captured;
    const places = new Places(regions);
    const [scratch, packed, written] = [room(forward.bytes.scratch ?? 0), room(forward.bytes.packed ?? 0), room(constants.length)];
    if (constants.length > 0) view("bool", written.ptr, constants.length).set(constants);
    places.setTensor("scratch", 0, scratch);
    places.setTensor("packed", 0, packed);
    places.setTensor("constants", 0, written);
    places.setTensor("output", 0, outputs[first] as Tensor);
    for (const [i, t] of inputs.entries()) places.setTensor("input", i, t);
    for (const [i, t] of others.entries()) places.setTensor("next", i, t);
    for (const [i, { ptr, bytes }] of blocksOf(fixed).entries()) places.set("fixed", i, { base: ptr, stride: 0, bytes });
    scope(() => forward.prepare.runOnce(places));
    return new Replay(inputs, outputs, [scratch, packed, written, ...fixed], forward.program.bind(places));
  }

  /** Outputs for inputs of the outline, in memory of their own. */
  run(given: readonly Value[]): Tensor[] {
    let i = 0;
    for (const value of given) if (value instanceof Tensor) copyInto(this.#inputs[i++] as Tensor, value);
    this.#run();
    return this.#outputs.map(copyOf);
  }
}

/** Outlines that are remembered at a time. */
const MOST_OUTLINES = 4;

/** A captured run, what a run gave that came only once, or why it cannot be captured. */
type Known = Replay | readonly Form[] | string;

/** Why a run goes call by call by what is known of its outline; null if it is replayed. */
function whyEagerOf(known: Known | undefined): string | null {
  if (known instanceof Replay) return null;
  return typeof known === "string" ? known : "its inputs are new";
}

/** The captured runs of a model, by outline. A run is captured when its outline comes for the second time. */
export class Replays {
  /** Latest last. */
  readonly #known = new Map<string, Known>();
  readonly #compute: Compute;
  readonly #fixed: () => readonly Tensor[];
  /** Why the latest run went call by call; null if it was replayed. */
  whyEager: string | null = "it has not run yet";

  /** @param fixed the model's constants, all of them known after one run */
  constructor(compute: Compute, fixed: () => readonly Tensor[]) {
    this.#compute = compute;
    this.#fixed = fixed;
  }

  run(given: readonly Value[]): Tensor[] {
    const outline = outlineOf(given);
    if (outline === null || recording !== null) {
      this.whyEager = outline === null ? `it takes more than ${MOST_WHOLE} whole numbers` : "the call around it is being traced";
      return this.#compute(given);
    }
    let known = this.#known.get(outline);
    if (typeof known === "object" && !(known instanceof Replay)) known = this.#captured(given, known);
    this.whyEager = whyEagerOf(known);
    const outputs = known instanceof Replay ? known.run(given) : this.#compute(given);
    this.#remember(outline, known ?? outputs.map(({ dtype, shape }) => ({ dtype, shape })));
    return outputs;
  }

  #captured(given: readonly Value[], like: readonly Form[]): Replay | string {
    try {
      return Replay.of(this.#compute, given, like, this.#fixed());
    } catch (error) {
      if (error instanceof MemoryLimitError) return "there is no memory for it";
      throw error;
    }
  }

  #remember(outline: string, known: Known): void {
    this.#known.delete(outline);
    this.#known.set(outline, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_OUTLINES) break;
      this.#known.delete(oldest);
    }
  }
}
