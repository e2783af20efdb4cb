/**
 * Connectionist temporal classification as an operation: losses from log-probabilities.
 *
 * A. Graves, S. Fernández, F. Gomez, J. Schmidhuber 2006, Connectionist Temporal Classification: Labelling Unsegmented
 * Sequence Data with Recurrent Neural Networks; the recursion is in logarithms instead of rescaled probabilities.
 */

import { track } from "../autodiff/alias.ts";
import { composedRules } from "../autodiff/composed.ts";
import { apply, type Primitive } from "../autodiff/primitive.ts";
import { gradients } from "../autodiff/sweep.ts";
import { enableGrad } from "../autodiff/tape.ts";
import { BYTES } from "../base/dtype.ts";
import { full, onesLike } from "../tensor/create.ts";
import { empty, scratch, type Tensor, tensor } from "../tensor/tensor.ts";
import { call } from "../wasm/host.ts";
import { ctcForward, ctcOccupancy } from "../wasm/kernels.gen.ts";
import { add, mul, neg } from "./arithmetic.ts";
import { sum } from "./broadcast.ts";
import { clamp, less, where } from "./compare.ts";
import { gather } from "./gather.ts";
import { logSumExp } from "./reduce.ts";
import { cat, contiguous, expand, slice, stack, unsqueeze, unstack } from "./shape.ts";

/** The checked labels of a batch. @internal */
export interface Labels {
  readonly blank: number;
  /** [N,S] int32, padded with blanks. */
  readonly targets: Tensor;
  /** [N] int32. */
  readonly inputLengths: Tensor;
  readonly targetLengths: Tensor;
}

/** Elements of a row of the recursion; see assembly/ctc.ts. */
function rowSize(labels: number): number {
  return 2 * labels + 6;
}

type Sizes = [T: number, N: number, C: number];

function run(kernel: typeof ctcForward, x: Tensor, labels: Labels, alpha: Tensor, result: Tensor, workRows: number): void {
  const { blank, targets, inputLengths, targetLengths } = labels;
  const [T, N, C] = x.shape as Sizes;
  const S = targets.dim(1);
  const source = contiguous(x);
  const work = scratch(8 * workRows * rowSize(S));
  const lengths = [inputLengths.ptr, targetLengths.ptr] as const;
  call(kernel, "int32", BYTES[x.dtype], T, N, C, S, blank, source.ptr, targets.ptr, ...lengths, alpha.ptr, result.ptr, work);
}

/** Losses [N], and the forward variables for the derivative. */
const ctcOp: Primitive<Labels> = {
  name: "ctc",
  closed: true,
  forward([x], labels) {
    const [T, N] = (x as Tensor).shape as Sizes;
    const alpha = empty([N, T, rowSize(labels.targets.dim(1))], "float64");
    const losses = empty([N], (x as Tensor).dtype);
    run(ctcForward, x as Tensor, labels, alpha, losses, 2);
    return [losses, alpha];
  },
  vjp([g], { inputs: [x], outputs: [, alpha], params }) {
    if (!g) return [null];
    const occupancy = apply(occupancyOp, [x as Tensor], { labels: params, alpha: alpha as Tensor });
    return [neg(mul(unsqueeze(g, -1), occupancy))];
  },
  jvp([t], { inputs: [x], outputs: [, alpha], params }) {
    if (!t) return [null, null];
    const occupancy = apply(occupancyOp, [x as Tensor], { labels: params, alpha: alpha as Tensor });
    return [neg(sum(mul(t, occupancy), { axis: [1, 3] })), null];
  },
};

interface Occupancy {
  readonly labels: Labels;
  readonly alpha: Tensor;
}

/** Expected number of times each class is read at each step, [T,N,C]: minus the gradient of the losses. */
const occupancyOp: Primitive<Occupancy> = {
  name: "ctcOccupancy",
  closed: true,
  forward([x], { labels, alpha }) {
    const occupancy = empty((x as Tensor).shape, (x as Tensor).dtype);
    run(ctcOccupancy, x as Tensor, labels, alpha, occupancy, 4);
    return [occupancy];
  },
  ...composedRules(([x], { labels }: Occupancy) => {
    const tracked = track(x as Tensor);
    const losses = enableGrad(() => composedCtc(tracked, labels));
    const [dx] = gradients([losses], [tracked], [onesLike(losses)], { createGraph: true });
    return [neg(dx as Tensor)];
  }),
};

/** Replaces log 0 where derivatives must stay finite: e^(−10³⁰) is 0, and differences are 0. */
const NONE = -1e30;

function mask(shape: readonly number[], on: (n: number, s: number) => boolean): Tensor {
  const [N, S] = shape as [number, number];
  const values = new Uint8Array(N * S);
  for (let n = 0; n < N; n++) for (let s = 0; s < S; s++) values[n * S + s] = on(n, s) ? 1 : 0;
  return tensor(values, { shape, dtype: "bool" });
}

/** Loss of each sequence [N] from log-probabilities [T,N,C]. It is +∞ with gradient 0 if no alignment exists. @internal */
export function ctc(logProbs: Tensor, labels: Labels): Tensor {
  return apply(ctcOp, [logProbs], labels);
}

/** The same losses in differentiable operations, for derivatives of higher order; 0 where the loss is infinite. @internal */
export function composedCtc(logProbs: Tensor, labels: Labels): Tensor {
  const [T, N] = logProbs.shape as Sizes;
  const { inputLengths, targetLengths, targets, blank } = labels;
  const S = targets.dim(1);
  const L = 2 * S + 1;
  const label = targets.data();
  const [steps, lengths] = [inputLengths.data(), targetLengths.data()];
  const labelOf = (n: number, s: number) => (s % 2 === 0 ? blank : (label[n * S + (s - 1) / 2] as number));
  const read = tensor(
    Int32Array.from({ length: N * L }, (_, i) => labelOf(Math.floor(i / L), i % L)),
    { shape: [1, N, L] },
  );
  const emissions = clamp(gather(logProbs, 2, contiguous(expand(read, [T, N, L]))), NONE);
  const none = (width: number) => full([N, width], NONE, logProbs.dtype);
  const maySkip = mask([N, L], (n, s) => s % 2 === 1 && s > 1 && labelOf(n, s) !== labelOf(n, s - 2));
  const shifted = (row: Tensor, by: number) => cat([none(Math.min(by, L)), slice(row, 1, 0, Math.max(L - by, 0))], 1);
  const advance = (row: Tensor, emission: Tensor) => {
    const jump = where(maySkip, shifted(row, 2), none(L));
    return add(logSumExp(stack([row, shifted(row, 1), jump]), { axis: 0 }), emission);
  };

  const isFirst = mask([N, L], (n, s) => s < 2 && s <= 2 * (lengths[n] as number));
  const isEmpty = mask([N, L], (_, s) => s === 0);
  let row = where(isEmpty, 0, none(L));
  unstack(emissions).forEach((emission, t) => {
    const running = mask([N, 1], (n) => t < (steps[n] as number));
    const next = t === 0 ? where(isFirst, emission, none(L)) : advance(row, emission);
    row = where(running, next, row);
  });
  const isEnd = mask([N, L], (n, s) => s === 2 * (lengths[n] as number) || s === 2 * (lengths[n] as number) - 1);
  const losses = neg(logSumExp(where(isEnd, row, none(L)), { axis: 1 }));
  return where(less(losses, -NONE / 2), losses, 0);
}

export const primitives: Readonly<Record<string, Primitive<never>>> = { ctc: ctcOp, ctcOccupancy: occupancyOp };
