/** Whole-sequence recurrences in which each unit sees only its own past state. */

import { type FusedOp, fusedOp } from "../../autodiff/fused.ts";
import { apply, type Primitive } from "../../autodiff/primitive.ts";
import { checkLengths, checkOptions } from "../../base/checks.ts";
import { ShapeError } from "../../base/errors.ts";
import { zeros } from "../../tensor/create.ts";
import { show } from "../../tensor/shape.ts";
import { copyInto, dense } from "../../tensor/strided.ts";
import { checkTensor, empty, Tensor, tensor } from "../../tensor/tensor.ts";
import * as code from "../../wasm/codes.gen.ts";
import { call } from "../../wasm/host.ts";
import { diagonalBackward, diagonalForward } from "../../wasm/kernels.gen.ts";
import { add, mul, sub } from "../arithmetic.ts";
import { broadcastTo, sumTo } from "../broadcast.ts";
import { where } from "../compare.ts";
import { relu, sigmoid, tanh } from "../math.ts";
import { contiguous, stack, unstack } from "../shape.ts";
import { checkInput, pointer } from "./rows.ts";

/** "logistic" is 1/(1 + e⁻ˣ), "linear" the identity. */
export type DiagonalActivation = "linear" | "logistic" | "tanh" | "relu";

export interface DiagonalOptions {
  /** φ. */
  readonly activation: DiagonalActivation;
  /** Steps of each sequence, at most T; afterwards its state stays. */
  readonly lengths?: readonly number[] | null;
}

interface Squashing {
  readonly apply: (x: Tensor) => Tensor;
  readonly code: number;
  /** The argument's cotangent from the result's and the value. */
  readonly slope: number;
}

const squashings: Readonly<Record<DiagonalActivation, Squashing>> = {
  linear: { apply: (x) => x, code: 0, slope: 0 },
  logistic: { apply: sigmoid, code: code.SIGMOID, slope: code.SIGMOID_GRAD },
  tanh: { apply: tanh, code: code.TANH, slope: code.TANH_GRAD },
  relu: { apply: relu, code: code.RELU, slope: code.GATE },
};

/** The lengths in memory for a kernel, or null. */
function lengthsOf({ lengths }: DiagonalOptions): Tensor | null {
  return lengths ? tensor(Int32Array.from(lengths)) : null;
}

/** u [H] or [B,H] as rows [B,H] in memory. */
function rowOf(u: Tensor, h0: Tensor): Tensor {
  return dense(broadcastTo(u, h0.shape)).detach();
}

const diagonal: FusedOp<DiagonalOptions> = {
  name: "diagonalSequence",

  forward([g, u, h0, z], options, _keep) {
    const [T, B, H] = (g as Tensor).shape as [number, number, number];
    const { dtype } = g as Tensor;
    const hs = empty([T + 1, B, H], dtype);
    copyInto(new Tensor(hs.storage, dtype, [B, H]), h0 as Tensor);
    const gates = z ? empty([T, B, H], dtype) : null;
    const [row, lengths] = [rowOf(u as Tensor, h0 as Tensor), lengthsOf(options)];
    const squashing = squashings[options.activation].code;
    const ends = pointer(lengths);
    call(diagonalForward, dtype, T, B, H, squashing, ends, (g as Tensor).ptr, row.ptr, pointer(z), hs.ptr, pointer(gates));
    return gates ? [hs, gates] : [hs];
  },

  backward([dhs], { inputs, outputs, params, needs }) {
    const [g, u, h0, z] = inputs as [Tensor, Tensor, Tensor, Tensor?];
    const [hs, gates] = outputs as [Tensor, Tensor?];
    const [T, B, H] = g.shape as [number, number, number];
    const { dtype } = g;
    const [dh, dg, work] = [zeros([B, H], dtype), empty(g.shape, dtype), empty([B, H], dtype)];
    const dz = z ? empty(g.shape, dtype) : null;
    const given = contiguous(dhs as Tensor);
    const [row, lengths] = [rowOf(u, h0), lengthsOf(params)];
    const places = [hs.ptr, pointer(gates), given.ptr, dh.ptr, dg.ptr, pointer(dz), work.ptr] as const;
    call(diagonalBackward, dtype, T, B, H, squashings[params.activation].slope, pointer(lengths), row.ptr, pointer(z), ...places);
    const before = new Tensor(hs.storage, dtype, g.shape);
    return [dg, needs[1] ? sumTo(mul(dg, before), u.shape) : null, dh, dz].slice(0, inputs.length);
  },

  composed([g, u, h0, z], { activation, lengths }) {
    const squash = squashings[activation].apply;
    const candidates = z ? unstack(z, 0) : null;
    const states = [h0 as Tensor];
    for (const [t, now] of unstack(g as Tensor, 0).entries()) {
      const h = states[t] as Tensor;
      const running = lengths ? runningAt(lengths, t) : null;
      const real = (x: Tensor) => (running ? where(running, x, 0) : x);
      const a = squash(add(mul(u as Tensor, h), real(now)));
      const candidate = candidates && real(candidates[t] as Tensor);
      const next = candidate ? add(mul(sub(h, candidate), a), candidate) : a;
      states.push(running ? where(running, next, h) : next);
    }
    return [stack(states)];
  },
};

/** Whether each sequence has a step t: bool [B,1]. */
function runningAt(lengths: readonly number[], t: number): Tensor {
  return tensor(
    Uint8Array.from(lengths, (n) => Number(t < n)),
    { shape: [lengths.length, 1], dtype: "bool" },
  );
}

export const diagonalOp: Primitive<DiagonalOptions> = fusedOp(diagonal);

/**
 * A diagonal recurrence: a = φ(g + u∘h), and h' = a, or h' = a∘h + (1 − a)∘z if z is given.
 * @param g the inputs' part [T,B,H] @param u recurrent weights [H] @param h0 initial state [B,H] @param z candidate to mix in [T,B,H]
 * @returns all states [T+1,B,H], h0 first
 * @throws ShapeError, DTypeError, ArgumentError for arguments that do not fit
 * @see Li, Li, Cook, Zhu and Gao, "Independently recurrent neural network (IndRNN): building a longer and deeper RNN", 2018, eq. 2
 */
export function diagonalSequence(g: Tensor, u: Tensor, h0: Tensor, options: DiagonalOptions, z?: Tensor): Tensor {
  checkOptions("diagonalSequence", options, ["activation", "lengths"]);
  checkTensor("diagonalSequence", g);
  const op = "diagonalSequence";
  const [T, B, H] = g.shape as [number, number, number];
  if (g.rank !== 3) throw new ShapeError(`${op}: expected g [T,B,H], got ${show(g.shape)}`);
  checkInput(op, "g", g, g.shape, g.dtype);
  checkInput(op, "u", u, [H], g.dtype);
  checkInput(op, "h0", h0, [B, H], g.dtype);
  if (z) checkInput(op, "z", z, g.shape, g.dtype);
  const { lengths } = options;
  if (lengths !== undefined && lengths !== null) checkLengths(op, lengths, B, T);
  return apply(diagonalOp, z ? [g, u, h0, z].map(contiguous) : [g, u, h0].map(contiguous), options);
}
