/** Stack-augmented recurrent networks: stacks of numbers that move by a probability. */

import { checkFlag, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid } from "../ops/math.ts";
import { cat, slice, split, unsqueeze } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { full, zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { perHead } from "./addressing.ts";

export interface StackRNNOptions extends LayerOptions {
  readonly inputSize: number;
  /** H, hidden units. */
  readonly hiddenSize: number;
  /** How many stacks there are (default 1). */
  readonly stacks?: number;
  /** C, numbers that a stack holds: one pushed beyond that loses the one at the bottom. */
  readonly capacity: number;
  /** k, how many numbers from the top the hidden units see (default 2). */
  readonly depth?: number;
  /** Whether a stack can stay as it is, beside push and pop (default false). */
  readonly noop?: boolean;
  /** Whether hidden units see those of the step before (default true); if not, all memory is in the stacks. */
  readonly recurrent?: boolean;
}

/** Hidden units h [B,H] and stacks s [B,P,C] from the top. */
export type StackRNNState = { readonly h: Tensor; readonly stacks: Tensor };

/** What an empty place holds. */
const EMPTY = -1;

/**
 * A simple recurrent network with P stacks of numbers:
 *
 *   h = σ(U x + R h₋₁ + P s₋₁[0 … k−1])    a = softmax(A h) over push, pop and, with `noop`, staying, for each stack
 *   s[0] = a_push σ(D h) + a_pop s₋₁[1] + a_stay s₋₁[0]    s[i] = a_push s₋₁[i−1] + a_pop s₋₁[i+1] + a_stay s₋₁[i]
 *
 * `weightIh` U [H,I], `weightHh` R [H,H] (null unless `recurrent`), `weightStack` P [H,Pk], `weightAction` A [P·actions,H], the actions of one stack
 * together, `weightPush` D [P,H], all from U(±1/√H). Empty places hold −1; h starts at zero.
 * @param options x [B,I] to h [B,H]; state `StackRNNState`
 * @throws ArgumentError for sizes below 1, and a depth beyond the capacity
 * @see Joulin and Mikolov, "Inferring algorithmic patterns with stack-augmented recurrent nets", 2015, eq. 3-6
 * Deviates: stacks hold C numbers; initial weights are those of PyTorch's cells; equation numbers are quoted from memory.
 * @example const net = new StackRNN({ inputSize: 2, hiddenSize: 10, stacks: 1, capacity: 50 });
 */
export class StackRNN extends Cell<StackRNNState> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly stacks: number;
  readonly capacity: number;
  readonly depth: number;
  readonly noop: boolean;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter | null;
  readonly weightStack: Parameter;
  readonly weightAction: Parameter;
  readonly weightPush: Parameter;

  constructor(options: StackRNNOptions) {
    super();
    const names = ["inputSize", "hiddenSize", "stacks", "capacity", "depth", "noop", "recurrent", ...LAYER] as const;
    const { inputSize: I, hiddenSize: H, stacks: P = 1, capacity, depth = 2 } = optionsOf("StackRNN", options, names);
    const { noop = false, recurrent = true } = options;
    checkSizes("StackRNN", { inputSize: I, hiddenSize: H, stacks: P, capacity, depth });
    if (depth > capacity) throw new ArgumentError(`StackRNN: expected depth of at most the capacity ${capacity}, got ${depth}`);
    checkFlag("StackRNN", "noop", noop);
    checkFlag("StackRNN", "recurrent", recurrent);
    const draw = (...shape: number[]) => uniformParameter(shape, 1 / Math.sqrt(H), options);
    this.inputSize = I;
    this.hiddenSize = H;
    this.outputSize = H;
    this.stacks = P;
    this.capacity = capacity;
    this.depth = depth;
    this.noop = noop;
    this.weightIh = draw(H, I);
    this.weightHh = recurrent ? draw(H, H) : null;
    this.weightStack = draw(H, P * depth);
    this.weightAction = draw(P * (noop ? 3 : 2), H);
    this.weightPush = draw(P, H);
  }

  /** No activity, empty stacks. */
  initialState(batch: number): StackRNNState {
    const { dtype } = this.weightIh;
    return { h: zeros([batch, this.hiddenSize], dtype), stacks: full([batch, this.stacks, this.capacity], EMPTY, dtype) };
  }

  step(x: Tensor, { h: before, stacks }: StackRNNState): [y: Tensor, next: StackRNNState] {
    const { capacity: C, stacks: P, depth } = this;
    const B = stacks.dim(0);
    const top = reshape(slice(stacks, 2, 0, depth), [B, P * depth]);
    const seen = add(linear(x, this.weightIh), linear(top, this.weightStack));
    const h = sigmoid(this.weightHh === null ? seen : add(seen, linear(before, this.weightHh)));
    const actions = split(softmax(perHead(linear(h, this.weightAction), P), -1), 1, 2);
    const value = unsqueeze(sigmoid(linear(h, this.weightPush)), 2);
    const empty = full([B, P, 1], EMPTY, stacks.dtype);
    const results = [cat([value, slice(stacks, 2, 0, C - 1)], 2), cat([slice(stacks, 2, 1, C), empty], 2), stacks];
    const next = actions.map((a, i) => mul(a, results[i] as Tensor)).reduce((a, b) => add(a, b));
    return [h, { h, stacks: next }];
  }
}
