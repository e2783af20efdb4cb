/** What drives a memory: a recurrence that is fed the input and what was read last. */

import { checkOneOf, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { LAYER, type LayerOptions, Linear, layerOptions } from "../nn/layers.ts";
import { tanh } from "../ops/math.ts";
import { Cell, checkRecurrence, type Recurrence } from "../recurrence/recurrence.ts";
import { LSTMCell } from "../recurrence/rnn-cells.ts";
import type { State } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The sizes that a memory asks of its controller. */
export interface ControllerSizes extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
}

export interface MemoryOptions extends LayerOptions {
  readonly inputSize: number;
  readonly outputSize: number;
  /** H, units of the controller. */
  readonly hiddenSize: number;
  /** "lstm" (default), "feedforward" (a layer of tanh units), or a function that makes any recurrence: `(sizes) => new GRUCell(sizes)`. */
  readonly controller?: "lstm" | "feedforward" | ((sizes: ControllerSizes) => Recurrence);
}

/** The names of `MemoryOptions`. */
export const MEMORY = ["inputSize", "outputSize", "hiddenSize", "controller", ...LAYER] as const;

/** The controller that options ask for, with room beside the input for what is read. @throws ArgumentError, DTypeError */
export function controllerOf(op: string, options: MemoryOptions, readSize: number): Recurrence {
  const { inputSize: I, outputSize, hiddenSize, controller = "lstm" } = options;
  checkSizes(op, { inputSize: I, outputSize, hiddenSize });
  const inputSize = I + readSize;
  const sizes = { inputSize, hiddenSize, ...layerOptions(options) };
  if (typeof controller !== "function") {
    checkOneOf(op, "controller", controller, ["lstm", "feedforward"]);
    return (controller === "lstm" ? new LSTMCell(sizes) : new FeedforwardController(sizes)) as Recurrence<State> as Recurrence;
  }
  const made = controller(sizes);
  checkRecurrence(op, made);
  if (made.inputSize !== inputSize) throw new ArgumentError(`${op}: expected a controller with ${inputSize} inputs, got ${made.inputSize}`);
  const dtype = options.dtype ?? "float32";
  const other = made.parameters().find((p) => p.dtype !== dtype);
  if (other !== undefined) throw new DTypeError(`${op}: expected a controller of ${dtype}, got a parameter of ${other.dtype}`);
  return made;
}

/**
 * A controller without a state of its own: h = tanh(W x + b). All that a machine knows of the past is then in its memory.
 *
 * `map` holds W [H,I] and b [H] from U(±1/√I).
 * @param options x [B,I] to h [B,H]; the state is empty
 * @throws ArgumentError for sizes below 1
 * @see Graves, Wayne and Danihelka, "Neural Turing machines", 2014, section 3.4
 * @example new FeedforwardController({ inputSize: 9, hiddenSize: 100 }).step(x, []);
 */
export class FeedforwardController extends Cell<readonly []> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly map: Linear;

  constructor(options: ControllerSizes) {
    super();
    const { inputSize, hiddenSize } = optionsOf("FeedforwardController", options, ["inputSize", "hiddenSize", ...LAYER]);
    checkSizes("FeedforwardController", { inputSize, hiddenSize });
    this.inputSize = inputSize;
    this.outputSize = hiddenSize;
    this.map = new Linear(inputSize, hiddenSize, layerOptions(options));
  }

  initialState(): readonly [] {
    return [];
  }

  step(x: Tensor, state: readonly []): [y: Tensor, next: readonly []] {
    return [tanh(this.map.forward(x)), state];
  }
}
