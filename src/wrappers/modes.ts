/** Ways to use a recurrence (x_t, s_t) ↦ (y_t, s_{t+1}): many to many is `scan`; the others are here. */

import { ArgumentError, ShapeError } from "../base/errors.ts";
import { reshape } from "../ops/broadcast.ts";
import { takeRows } from "../ops/gather.ts";
import { cat, select, stack, unsqueeze } from "../ops/shape.ts";
import { checkSequence, type Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { show } from "../tensor/shape.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";

/**
 * Many to one: the output of each sequence's last real step.
 * @param ys [T,B,O], zeros beyond each sequence's end, as `scan` gives them
 * @param lengths of each sequence; T unless given. A sequence of length 0 has zeros
 * @returns [B,O]
 * @example const logits = head.forward(lastStep(rnn.scan(xs, undefined, { lengths })[0], lengths));
 */
export function lastStep(ys: Tensor, lengths?: readonly number[]): Tensor {
  if (ys.rank !== 3) throw new ShapeError(`lastStep: expected ys [T,B,O], got ${show(ys.shape)}`);
  const [T, B, O] = ys.shape as [number, number, number];
  checkSequence("lastStep", ys, O, lengths);
  if (lengths === undefined) return select(ys, 0, T - 1);
  // A sequence without steps reads row 0, which lies beyond its end.
  const rows = Int32Array.from(lengths, (n, b) => Math.max(0, n - 1) * B + b);
  return takeRows(reshape(ys, [T * B, O]), tensor(rows));
}

/**
 * One to many: x at the first step, zeros after it.
 * @param x [B,I]
 * @returns ys [steps,B,O] and the last state
 * @throws ArgumentError for less than one step
 */
export function oneToMany<S extends State>(recurrence: Recurrence<S>, x: Tensor, steps: number, state?: S): [ys: Tensor, last: S] {
  checkSteps("oneToMany", steps);
  const first = unsqueeze(x, 0);
  return recurrence.scan(steps === 1 ? first : cat([first, zeros([steps - 1, ...x.shape], x.dtype)]), state);
}

export interface FreeRunOptions<S extends State> {
  readonly state?: S;
  /** The next input [B,I] from an output [B,O]; the output itself unless given. */
  readonly decode?: (y: Tensor, t: number) => Tensor;
}

/**
 * Free running: each output is the next input, x_{t+1} = decode(y_t). Gradients flow through it as far as `decode` lets them.
 * @param x [B,I], the first input
 * @returns ys [steps,B,O] and the last state
 * @throws ArgumentError for less than one step; ShapeError if inputs and outputs differ in size and there is no `decode`
 * @example const [ys] = freeRun(net, start, 100, { decode: (y) => oneHot(argmax(y, { axis: 1 })) });
 */
export function freeRun<S extends State>(
  recurrence: Recurrence<S>,
  x: Tensor,
  steps: number,
  { state = recurrence.initialState(x.dim(0)), decode }: FreeRunOptions<S> = {},
): [ys: Tensor, last: S] {
  checkSteps("freeRun", steps);
  const { inputSize, outputSize } = recurrence;
  if (decode === undefined && inputSize !== outputSize)
    throw new ShapeError(`freeRun: expected decode for outputs of ${outputSize} values and inputs of ${inputSize}, got none`);
  const ys: Tensor[] = [];
  let input = x;
  let held: S = state;
  for (let t = 0; t < steps; t++) {
    const [y, next] = recurrence.step(input, held);
    ys.push(y);
    held = next;
    if (t < steps - 1) input = decode?.(y, t) ?? y;
  }
  return [stack(ys), held];
}

function checkSteps(op: string, steps: number): void {
  if (!(Number.isInteger(steps) && steps >= 1)) throw new ArgumentError(`${op}: expected at least one step, got ${steps}`);
}
