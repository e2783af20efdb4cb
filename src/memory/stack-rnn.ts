/** Stack-augmented recurrent networks: stacks, or lists with a head, of numbers that move by a probability. */

import { checkFlag, checkOneOf, checkSizes, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid } from "../ops/math.ts";
import { cat, flip, slice, split, unsqueeze } from "../ops/shape.ts";
import { softmax } from "../ops/softmax.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { full, zeros } from "../tensor/create.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { perHead } from "./addressing.ts";

export interface StackRNNOptions extends LayerOptions {
  readonly inputSize: number;
  /** H, hidden units. */
  readonly hiddenSize: number;
  /** "stack" (default) pushes and pops at one end; "list" has a head between its ends, which moves and inserts. */
  readonly memory?: "stack" | "list";
  /** How many stacks or lists there are (default 1). */
  readonly stacks?: number;
  /** C, numbers that each holds: what moves beyond an end is lost. */
  readonly capacity: number;
  /** k, how many numbers the hidden units see (default 2): from the top of a stack; of a list, from the head to the left. */
  readonly depth?: number;
  /** Whether a stack or list can stay as it is (default false). */
  readonly noop?: boolean;
  /** Whether hidden units see those of the step before (default true); if not, all memory is in the stacks. */
  readonly recurrent?: boolean;
}

/** Hidden units h [B,H], and stacks s [B,P,C] from the top or lists from the left. */
export type StackRNNState = { readonly h: Tensor; readonly stacks: Tensor };

/** What an empty place holds. */
const EMPTY = -1;

/**
 * A simple recurrent network with P stacks of numbers:
 *
 *   h = σ(U x + R h₋₁ + P s₋₁[0 … k−1])    a = softmax(A h) over push, pop and, with `noop`, staying, for each stack
 *   s[0] = a_push σ(D h) + a_pop s₋₁[1] + a_stay s₋₁[0]    s[i] = a_push s₋₁[i−1] + a_pop s₋₁[i+1] + a_stay s₋₁[i]
 *
 * or with doubly linked lists, whose numbers move past a head at c = ⌊C/2⌋, with a over insert, left, right and, with `noop`, staying:
 *
 *   h = σ(U x + R h₋₁ + P s₋₁[c, c−1 … c−k+1])
 *   s[i] = a_right s₋₁[i+1] + a_left s₋₁[i−1] + a_stay s₋₁[i] + a_insert (s₋₁[i+1] for i < c, σ(D h) for i = c, s₋₁[i] for i > c)
 *
 * `weightIh` U [H,I], `weightHh` R [H,H] (null unless `recurrent`), `weightStack` P [H,Pk], `weightAction` A [P·actions,H], the actions of one stack
 * together, `weightPush` D [P,H], all from U(±1/√H). Empty places hold −1; h starts at zero.
 * @param options x [B,I] to h [B,H]; state `StackRNNState`
 * @throws ArgumentError for sizes below 1, a depth beyond the capacity or the left end of a list, and another memory
 * @see Joulin and Mikolov, "Inferring algorithmic patterns with stack-augmented recurrent nets", 2015, eq. 3-6, and "Doubly-linked lists" after these
 * Deviates: stacks and lists hold C numbers; what hidden units see of a list is left open by the paper; initial weights are those of PyTorch's
 * cells; equation numbers are quoted from memory.
 * @example const net = new StackRNN({ inputSize: 2, hiddenSize: 10, stacks: 1, capacity: 50 });
 */
export class StackRNN extends Cell<StackRNNState> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly memory: "stack" | "list";
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
    const names = ["inputSize", "hiddenSize", "memory", "stacks", "capacity", "depth", "noop", "recurrent", ...LAYER] as const;
    const { inputSize: I, hiddenSize: H, stacks: P = 1, capacity, depth = 2 } = optionsOf("StackRNN", options, names);
    const { memory = "stack", noop = false, recurrent = true } = options;
    checkSizes("StackRNN", { inputSize: I, hiddenSize: H, stacks: P, capacity, depth });
    checkOneOf("StackRNN", "memory", memory, ["stack", "list"]);
    if (depth > capacity) throw new ArgumentError(`StackRNN: expected depth of at most the capacity ${capacity}, got ${depth}`);
    if (memory === "list" && depth > headOf(capacity) + 1) {
      throw new ArgumentError(`StackRNN: expected depth of at most ${headOf(capacity) + 1} in a list of ${capacity}, got ${depth}`);
    }
    checkFlag("StackRNN", "noop", noop);
    checkFlag("StackRNN", "recurrent", recurrent);
    const draw = (...shape: number[]) => uniformParameter(shape, 1 / Math.sqrt(H), options);
    this.inputSize = I;
    this.hiddenSize = H;
    this.outputSize = H;
    this.memory = memory;
    this.stacks = P;
    this.capacity = capacity;
    this.depth = depth;
    this.noop = noop;
    this.weightIh = draw(H, I);
    this.weightHh = recurrent ? draw(H, H) : null;
    this.weightStack = draw(H, P * depth);
    this.weightAction = draw(P * ((memory === "list" ? 3 : 2) + Number(noop)), H);
    this.weightPush = draw(P, H);
  }

  /** No activity, empty stacks or lists. */
  initialState(batch: number): StackRNNState {
    const { dtype } = this.weightIh;
    return { h: zeros([batch, this.hiddenSize], dtype), stacks: full([batch, this.stacks, this.capacity], EMPTY, dtype) };
  }

  step(x: Tensor, { h: before, stacks }: StackRNNState): [y: Tensor, next: StackRNNState] {
    const { stacks: P } = this;
    const seen = add(linear(x, this.weightIh), linear(this.#seen(stacks), this.weightStack));
    const h = sigmoid(this.weightHh === null ? seen : add(seen, linear(before, this.weightHh)));
    const actions = split(softmax(perHead(linear(h, this.weightAction), P), -1), 1, 2);
    const value = unsqueeze(sigmoid(linear(h, this.weightPush)), 2);
    const results = this.memory === "list" ? listMoves(stacks, value) : stackMoves(stacks, value);
    const next = actions.map((a, i) => mul(a, results[i] as Tensor)).reduce((a, b) => add(a, b));
    return [h, { h, stacks: next }];
  }

  /** [B,P·k] */
  #seen(stacks: Tensor): Tensor {
    const { capacity: C, stacks: P, depth } = this;
    const end = headOf(C) + 1;
    const seen = this.memory === "list" ? flip(slice(stacks, 2, end - depth, end), 2) : slice(stacks, 2, 0, depth);
    return reshape(seen, [stacks.dim(0), P * depth]);
  }
}

/** Where the head of a list stands. */
function headOf(capacity: number): number {
  return Math.floor(capacity / 2);
}

/** Numbers [B,P,C] from i = 0 on, after `first` [B,P,1]: the last is lost. */
function after(first: Tensor, s: Tensor): Tensor {
  return cat([first, slice(s, 2, 0, s.dim(2) - 1)], 2);
}

/** Numbers [B,P,C] without the first, then an empty place. */
function withoutFirst(s: Tensor): Tensor {
  return cat([slice(s, 2, 1, s.dim(2)), emptyPlace(s)], 2);
}

function emptyPlace(s: Tensor): Tensor {
  return full([s.dim(0), s.dim(1), 1], EMPTY, s.dtype);
}

/** Stacks after a push, a pop, and as they are. */
function stackMoves(s: Tensor, value: Tensor): Tensor[] {
  return [after(value, s), withoutFirst(s), s];
}

/** Lists after an insertion, a move of the head to the left, one to the right, and as they are. */
function listMoves(s: Tensor, value: Tensor): Tensor[] {
  const C = s.dim(2);
  const end = headOf(C) + 1;
  const inserted = cat([slice(s, 2, 1, end), value, slice(s, 2, end, C)], 2);
  return [inserted, after(emptyPlace(s), s), withoutFirst(s), s];
}
