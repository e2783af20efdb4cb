/** Neural stacks, queues and deques: lists that a controller pushes to and pops from by degrees. */

import { checkNumber, checkSizes, optionsOf } from "../base/checks.ts";
import { Linear, layerOptions } from "../nn/layers.ts";
import { sigmoid, tanh } from "../ops/math.ts";
import { cat, split } from "../ops/shape.ts";
import { Cell, type Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { type ContinuousList, type End, emptyList, popped, pushed, readAt } from "./continuous-list.ts";
import { controllerOf, MEMORY, type MemoryOptions } from "./controller.ts";

export interface NeuralListOptions extends MemoryOptions {
  /** W, numbers in a value. */
  readonly valueSize: number;
  /**
   * C, values that can be there at once: of one pushed beyond that, the one at the other end is lost. No push has strength 0, so each takes a row until
   * it is popped whole: T rows are enough for T steps, and 2T in a deque, which pushes twice.
   */
  readonly capacity: number;
  /** What the bias of pops starts at (default −1), so that more is pushed than popped. */
  readonly popBias?: number;
}

/** Values [B,C,W] from the top, their strengths [B,C], what was read last [B,W] (of a deque [B,2W], top and bottom), and the controller's state. */
export type NeuralListState<S extends State = State> = ContinuousList & { readonly read: Tensor; readonly controller: S };

/** What the three have in common; they differ in where they push, pop and read. */
abstract class NeuralList extends Cell<NeuralListState> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly valueSize: number;
  readonly capacity: number;
  readonly controller: Recurrence;
  readonly actions: Linear;
  readonly output: Linear;
  /** Where is popped and read, in order. */
  readonly #ends: readonly End[];
  /** Where is pushed, in order. */
  readonly #pushes: readonly End[];

  constructor(op: string, options: NeuralListOptions, ends: readonly End[], pushes: readonly End[]) {
    super();
    const { valueSize: W, capacity, popBias = -1 } = optionsOf(op, options, ["valueSize", "capacity", "popBias", ...MEMORY]);
    checkSizes(op, { valueSize: W, capacity });
    checkNumber(op, "popBias", popBias);
    this.controller = controllerOf(op, options, ends.length * W);
    this.inputSize = options.inputSize;
    this.outputSize = options.outputSize;
    this.valueSize = W;
    this.capacity = capacity;
    this.#ends = ends;
    this.#pushes = pushes;
    const H = this.controller.outputSize;
    const K = ends.length;
    this.actions = new Linear(H, K * (2 + W), layerOptions(options));
    this.output = new Linear(H, options.outputSize, layerOptions(options));
    const bias = this.actions.bias as Tensor;
    assign(bias, bias.data().fill(popBias, K, 2 * K));
  }

  /** Nothing there, nothing read. */
  initialState(batch: number): NeuralListState {
    const { valueSize: W, capacity: C } = this;
    const { dtype } = this.output.weight;
    const read = zeros([batch, this.#ends.length * W], dtype);
    return { ...emptyList([batch, C, W], dtype), read, controller: this.controller.initialState(batch) };
  }

  step(x: Tensor, { values, strengths, read, controller }: NeuralListState): [y: Tensor, next: NeuralListState] {
    const [h, next] = this.controller.step(cat([x, read], 1), controller);
    const K = this.#ends.length;
    const [d, u, v] = split(this.actions.forward(h), [K, K, K * this.valueSize], 1) as [Tensor, Tensor, Tensor];
    const pops = split(sigmoid(u), 1, 1);
    const left = this.#ends.reduce((s, end, i) => popped(s, pops[i] as Tensor, end), strengths);
    const [pushes, words] = [split(sigmoid(d), 1, 1), split(tanh(v), this.valueSize, 1)];
    const list = this.#pushes.reduce((l, end, i) => pushed(l, words[i] as Tensor, pushes[i] as Tensor, end), { values, strengths: left });
    const r = cat(
      this.#ends.map((end) => readAt(list, end)),
      1,
    );
    return [tanh(this.output.forward(h)), { ...list, read: r, controller: next }];
  }
}

/**
 * A neural stack: the values pushed last are popped and read first.
 *
 *   h = controller([x; r₋₁])    d, u = σ(W h + b)    v = tanh(W_v h + b_v)    y = tanh(W_o h + b_o)
 *   s_i = max(0, s_i − max(0, u − Σ s_j))    then v is pushed with strength d
 *   r = Σ_i min(s_i, max(0, 1 − Σ s_j)) v_i    Σ over the values j above i
 *
 * `actions` maps h to [d; u; v], `output` is W_o, b_o; the stack starts empty. It holds C values at once, for sequences of any length: rows whose strength is 0
 * are used again.
 * @param options x [B,I] to y [B,O]; state `NeuralListState`
 * @throws ArgumentError for sizes below 1, an unknown controller, and one whose inputs are not I + W
 * @see Grefenstette, Hermann, Suleyman and Blunsom, "Learning to transduce with unbounded memory", 2015, eq. 1-3
 * Deviates: a stack of C values in place of one that grows at every step; the bias of −1 is quoted from memory, as are equation numbers.
 * @example const stack = new NeuralStack({ inputSize: 10, outputSize: 10, hiddenSize: 32, valueSize: 16, capacity: 20 });
 */
export class NeuralStack extends NeuralList {
  constructor(options: NeuralListOptions) {
    super("NeuralStack", options, ["top"], ["top"]);
  }
}

/**
 * A neural queue: the values pushed first are popped and read first. All else is as in `NeuralStack`, with sums over the values j that came before i.
 * @param options x [B,I] to y [B,O]; state `NeuralListState`
 * @throws ArgumentError for sizes below 1, an unknown controller, and one whose inputs are not I + W
 * @see Grefenstette, Hermann, Suleyman and Blunsom, "Learning to transduce with unbounded memory", 2015, section 3.2
 * Deviates: as `NeuralStack` does.
 * @example const queue = new NeuralQueue({ inputSize: 10, outputSize: 10, hiddenSize: 32, valueSize: 16, capacity: 20 });
 */
export class NeuralQueue extends NeuralList {
  constructor(options: NeuralListOptions) {
    super("NeuralQueue", options, ["bottom"], ["top"]);
  }
}

/**
 * A neural deque: a list with pushes, pops and readings at both ends. In a step it pops from the top, then from the bottom, pushes onto both, and reads both.
 *
 * `actions` maps h to [d; u; v], each for the top and then for the bottom; what is read is [r_top; r_bottom] [B,2W]. All else is as in `NeuralStack`.
 * @param options x [B,I] to y [B,O]; state `NeuralListState`
 * @throws ArgumentError for sizes below 1, an unknown controller, and one whose inputs are not I + 2W
 * @see Grefenstette, Hermann, Suleyman and Blunsom, "Learning to transduce with unbounded memory", 2015, section 3.3
 * Deviates: as `NeuralStack` does.
 * @example const deque = new NeuralDeque({ inputSize: 10, outputSize: 10, hiddenSize: 32, valueSize: 16, capacity: 40 });
 */
export class NeuralDeque extends NeuralList {
  constructor(options: NeuralListOptions) {
    super("NeuralDeque", options, ["top", "bottom"], ["top", "bottom"]);
  }
}
