/** Ways to use a recurrence (x_t, s_t) ↦ (y_t, s_{t+1}). Many to many is `scan`; the others are here. */

import { checkNumber, checkOneOf, checkOptions, checkSizes, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { reshape } from "../ops/broadcast.ts";
import { where } from "../ops/compare.ts";
import { takeRows } from "../ops/gather.ts";
import { cat, select, stack, unsqueeze } from "../ops/shape.ts";
import { checkRecurrence, checkSequence, type Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, type Tensor, tensor } from "../tensor/tensor.ts";

/**
 * Many to one: the output of each sequence's last real step.
 * @param ys [T,B,O] with zeros beyond each sequence's end, as from `scan`
 * @param lengths of each sequence; default T. A sequence of length 0 gives zeros
 * @returns [B,O]
 * @example const logits = head.forward(lastStep(rnn.scan(xs, undefined, { lengths })[0], lengths));
 */
export function lastStep(ys: Tensor, lengths?: readonly number[]): Tensor {
  checkTensor("lastStep", ys);
  if (ys.rank !== 3) throw new ShapeError(`lastStep: expected ys [T,B,O], got ${show(ys.shape)}`);
  const [T, B, O] = ys.shape as [number, number, number];
  checkSequence("lastStep", ys, O, lengths);
  if (lengths === undefined) return select(ys, 0, T - 1);
  // A sequence without steps reads row 0, which is beyond its end and so zero.
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
  /** Computes the next input [B,I] from an output [B,O]; default: the output itself. */
  readonly decode?: (y: Tensor, t: number) => Tensor;
}

/**
 * Free running: each output becomes the next input, x_{t+1} = decode(y_t). Gradients flow through it if `decode` is differentiable.
 * @param x [B,I], the first input
 * @returns ys [steps,B,O] and the last state
 * @throws ArgumentError for less than one step; ShapeError if inputs and outputs differ in size and `decode` is missing
 * @example const [ys] = freeRun(net, start, 100, { decode: (y) => oneHot(argmax(y, { axis: 1 }), y.dim(1)) });
 */
export function freeRun<S extends State>(
  recurrence: Recurrence<S>,
  x: Tensor,
  steps: number,
  options: FreeRunOptions<S> = {},
): [ys: Tensor, last: S] {
  checkOptions("freeRun", options, ["state", "decode"]);
  checkRecurrence("freeRun", recurrence);
  checkTensor("freeRun", x);
  const { state = recurrence.initialState(x.dim(0)), decode } = options;
  checkSteps("freeRun", steps);
  checkDecode("freeRun", recurrence, decode);
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

export interface ScheduledSamplingOptions<S extends State> extends FreeRunOptions<S> {
  /** ε in [0, 1], the probability of the teacher's input: 1 is teacher forcing, 0 is free running. */
  readonly truth: number;
  /** Whether to toss a coin for every step of every sequence (default), or one per sequence. */
  readonly coin?: "token" | "sequence";
  /** Source of the coins; default: the default generator. */
  readonly generator?: Generator;
}

/**
 * Scheduled sampling: with probability ε a step reads the teacher's input, otherwise the recurrence's own last output, decoded:
 *
 *   x_t = inputs_t with probability ε, else decode(y_{t−1})      for every sequence of the batch separately
 *
 * No gradient flows through y_{t−1} into x_t. With ε = 1 this is `scan` to the bit, with ε = 0 `freeRun` from the first input. If inputs contain more
 * than the fed-back output, `decode` must supply the rest too. It takes one pass, step by step, at the speed of an eager scan.
 * The loss is no consistent estimator of a likelihood (Huszár 2015): compare models by their losses with ε = 1.
 * @param inputs the teacher's inputs [T,B,I]; the first is always used
 * @returns ys [T,B,O] and the last state
 * @throws ArgumentError for ε outside [0, 1]; ShapeError if inputs and outputs differ in size and `decode` is missing
 * @see Bengio, Vinyals, Jaitly and Shazeer, "Scheduled sampling for sequence prediction with recurrent neural networks", 2015, section 2.4
 * @example const [ys] = scheduledSampling(net, inputs, { truth: inverseSigmoidDecay(300)(update), generator });
 */
export function scheduledSampling<S extends State>(
  recurrence: Recurrence<S>,
  inputs: Tensor,
  options: ScheduledSamplingOptions<S>,
): [ys: Tensor, last: S] {
  const {
    truth,
    coin = "token",
    generator = defaultGenerator(),
    state,
    decode,
  } = optionsOf("scheduledSampling", options, ["truth", "coin", "generator", "state", "decode"]);
  checkRecurrence("scheduledSampling", recurrence);
  checkTensor("scheduledSampling", inputs);
  const op = "scheduledSampling";
  checkNumber(op, "truth", truth, { least: 0, most: 1 });
  checkOneOf(op, "coin", coin, ["token", "sequence"]);
  checkSequence(op, inputs, recurrence.inputSize);
  checkDecode(op, recurrence, decode);
  if (truth === 1) return recurrence.scan(inputs, state);
  const [T, B] = inputs.shape as [number, number];
  const toss = (): Tensor | null => (truth === 0 ? null : generator.bernoulli([B, 1], truth, "bool"));
  const once = coin === "sequence" ? toss() : null;
  const mixed = (y: Tensor, t: number): Tensor => {
    const heads = coin === "sequence" ? once : toss();
    const own = decode?.(y.detach(), t) ?? y.detach();
    return heads === null ? own : where(heads, select(inputs, 0, t + 1), own);
  };
  return freeRun(recurrence, select(inputs, 0, 0), T, { decode: mixed, ...(state !== undefined && { state }) });
}

/** Outputs can only serve as inputs directly if they have the same size. */
function checkDecode(op: string, { inputSize, outputSize }: Pick<Recurrence, "inputSize" | "outputSize">, decode: unknown): void {
  if (decode === undefined && inputSize !== outputSize)
    throw new ShapeError(`${op}: expected decode for outputs of ${outputSize} values and inputs of ${inputSize}, got none`);
}

function checkSteps(op: string, steps: number): void {
  checkSizes(op, { steps });
}
