/** The neural network pushdown automaton: a higher-order network that pushes its input onto a continuous stack. */

import { checkOneOf, checkSizes, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import { Parameter } from "../nn/module.ts";
import { add, mul, neg, square, sub } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { bilinear } from "../ops/linear.ts";
import { relu, sigmoid, tanh } from "../ops/math.ts";
import { cat, select, split, unsqueeze } from "../ops/shape.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { zeros } from "../tensor/create.ts";
import { defaultGenerator } from "../tensor/random.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { checkTensor, type Tensor, tensor } from "../tensor/tensor.ts";
import { type ContinuousList, emptyList, popped, pushed, readAt } from "./continuous-list.ts";

export interface PushdownAutomatonOptions extends LayerOptions {
  /** K, number of symbols. */
  readonly inputSize: number;
  /** N, state units. */
  readonly hiddenSize: number;
  /** C, symbols that can lie on the stack at once: one pushed beyond that loses the one at the bottom. */
  readonly capacity: number;
  /** 3 (default) multiplies state, input and reading; 2 multiplies the state by either. */
  readonly order?: 2 | 3;
}

/** State units S [B,N]; the stack, its symbols [B,C,K] from the top and their thickness [B,C]. */
export type PushdownState = { readonly units: Tensor; readonly stack: ContinuousList };

/**
 * A network of state units beside a stack on which symbols lie with a thickness between 0 and 1:
 *
 *   S_i(t+1) = σ(b_i + Σ W_ijkl S_j(t) I_k(t) R_l(t))    A(t+1) = tanh(b_A + Σ W_Ajkl S_j(t) I_k(t) R_l(t))
 *
 * or with `order: 2`, over the sums Σ W_ijk S_j [I; R]_k. A > 0 pushes the symbol I with thickness A; A < 0 takes a thickness of −A from the top, or what
 * there is. R [B,K+1] is what lies within a depth of 1 from the top, by thickness; its last number is how much of that depth is empty. I(t) [B,K] is
 * one-hot. S_0 is the unit that accepts; the output is [S; length], where the length is the thickness of all that lies on the stack.
 *
 * weight = W [N+1,N,K(K+1)], or of order 2 [N+1,N,2K+1], from U(±1), its last row that of A; bias = [b; b_A] [N+1] zero. S(0) = (1, 0, …, 0), and the
 * stack starts empty.
 * @param options x [B,K] to y [B,N+1]; state `PushdownState`
 * @throws ArgumentError for sizes below 1 and another order
 * @see Das, Giles and Sun, "Learning context-free grammars: capabilities and limitations of a recurrent neural network with an external stack
 * memory", 1992; Sun, Giles, Chen and Lee, "The neural network pushdown automaton: model, stack and learning simulations", 1993
 * Deviates: equations are quoted from memory; R has a number for emptiness, since products with an empty reading would all be 0; gradients are exact,
 * also through the stack; C symbols at once.
 * `extractPushdown` of tapeloop/automata reads a discrete machine out of a trained one.
 * @example const automaton = new PushdownAutomaton({ inputSize: 2, hiddenSize: 3, capacity: 20 });
 */
export class PushdownAutomaton extends Cell<PushdownState> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly capacity: number;
  readonly order: 2 | 3;
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(options: PushdownAutomatonOptions) {
    super();
    const {
      inputSize: K,
      hiddenSize: N,
      capacity,
      order = 3,
    } = optionsOf("PushdownAutomaton", options, ["inputSize", "hiddenSize", "capacity", "order", ...LAYER]);
    const { dtype = "float32", generator = defaultGenerator() } = options;
    checkSizes("PushdownAutomaton", { inputSize: K, hiddenSize: N, capacity });
    checkOneOf("PushdownAutomaton", "order", String(order), ["2", "3"]);
    this.inputSize = K;
    this.hiddenSize = N;
    this.outputSize = N + 1;
    this.capacity = capacity;
    this.order = order;
    this.weight = new Parameter(generator.uniform([N + 1, N, order === 3 ? K * (K + 1) : 2 * K + 1], -1, 1, dtype));
    this.bias = new Parameter(zeros([N + 1], dtype));
  }

  /** The first unit at 1, an empty stack. */
  initialState(batch: number): PushdownState {
    const { hiddenSize: N, inputSize: K, capacity: C } = this;
    const { dtype } = this.weight;
    const stack = emptyList([batch, C, K], dtype);
    const first = Float64Array.from({ length: batch * N }, (_, i) => Number(i % N === 0));
    return { units: tensor(first, { shape: [batch, N], dtype }), stack };
  }

  /** I [B,K]. */
  step(x: Tensor, { units, stack }: PushdownState): [y: Tensor, next: PushdownState] {
    const r = cat([readAt(stack, "top"), relu(sub(1, lengthOf(stack)))], 1);
    const [next, action] = this.move(x, units, r);
    const left = { ...stack, strengths: popped(stack.strengths, relu(neg(action)), "top") };
    const after = pushed(left, x, relu(action), "top");
    return [cat([next, lengthOf(after)], 1), { units: next, stack: after }];
  }

  /** S(t+1) [B,N] and A(t+1) [B,1] from I(t) [B,K], S(t) [B,N] and R(t) [B,K+1]: a step but for what it does to the stack. */
  move(x: Tensor, units: Tensor, reading: Tensor): [units: Tensor, action: Tensor] {
    const sums = bilinear(units, this.order === 3 ? outerRows(x, reading) : cat([x, reading], 1), this.weight, this.bias);
    const [s, a] = split(sums, [this.hiddenSize, 1], 1) as [Tensor, Tensor];
    return [sigmoid(s), tanh(a)];
  }
}

/** The thickness of all that lies on a stack, [B,1]. */
function lengthOf({ strengths }: ContinuousList): Tensor {
  return sum(strengths, { axis: 1, keepDim: true });
}

/** All products of a number of a [B,K] and one of b [B,L]: [B,K·L]. */
function outerRows(a: Tensor, b: Tensor): Tensor {
  return reshape(mul(unsqueeze(a, 2), unsqueeze(b, 1)), [a.dim(0), a.dim(1) * b.dim(1)]);
}

/**
 * What a string costs by the output [B,N+1] after its last symbol, [B]: a string of the language should end with S_0 = 1 and an empty stack, any
 * other with S_0 below the stack's length.
 *
 *   ½((1 − S_0)² + length²), or ½ max(0, S_0 − length)²
 *
 * @param last outputs of a `PushdownAutomaton` at the ends of strings
 * @param legal 1 for strings of the language, 0 for others, [B]
 * @throws ShapeError for other shapes
 * @see Das, Giles and Sun, 1992; quoted from memory
 * @example const loss = mean(pushdownLoss(select(ys, 0, T - 1), legal));
 */
export function pushdownLoss(last: Tensor, legal: Tensor): Tensor {
  checkTensor("pushdownLoss", last);
  checkTensor("pushdownLoss", legal);
  if (last.rank !== 2 || last.dim(1) < 2 || !sameShape(legal.shape, [last.dim(0)])) {
    throw new ShapeError(`pushdownLoss: expected last [B,N+1] and legal [B], got ${show(last.shape)} and ${show(legal.shape)}`);
  }
  const accepts = select(last, 1, 0);
  const length = select(last, 1, last.dim(1) - 1);
  const good = mul(add(square(sub(1, accepts)), square(length)), 0.5);
  const bad = mul(square(relu(sub(accepts, length))), 0.5);
  return add(mul(legal, good), mul(sub(1, legal), bad));
}
