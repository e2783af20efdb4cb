/** Which recurrences algorithms that work forward in time are for, and how gradients are compared. */

import { expect } from "vitest";
import type { Learner } from "../../src/learning/index.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { select } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";

/** Scans that are no steps in time, each with the reason: the influence of parameters on a state cannot be carried along them. */
export const NOT_FORWARD: Readonly<Record<string, string>> = {
  LSTM: "reads in both directions",
  GRU: "reads in both directions",
  Bidirectional: "reads in both directions",
  Reversed: "reads backwards",
  DetachEvery: "cuts the state off between steps",
  'DeepIndRNN, "sequence"': "normalises over the batch",
  'DeepIndRNN, "step"': "normalises over the batch",
  "DeepIndRNN, norm before": "normalises over the batch",
  'ResidualIndRNN, "sequence"': "normalises over the batch",
  DenseIndRNN: "normalises over the batch",
  'CTRNN, "bogacki-shampine"': "takes steps by the error of the whole batch",
  RecurrentDropoutLSTM: "draws random numbers",
  Zoneout: "draws random numbers",
  "StackedRNN, skip": "draws random numbers",
  "StackedRNN, residual": "draws random numbers",
};

/** The largest absolute value. */
export function largest(t: Tensor | null): number {
  return t === null ? 0 : Array.from(t.data()).reduce((most, v) => Math.max(most, Math.abs(v)), 0);
}

/** Gradients that are equal to within a tolerance, relative to the largest. */
export function expectEqual(got: readonly (Tensor | null)[], expected: readonly (Tensor | null)[], tolerance = 1e-9): void {
  const scale = Math.max(1, ...expected.map(largest));
  expected.forEach((e, i) => {
    const [a, b] = [got[i]?.data() ?? [], e?.data() ?? []];
    for (let k = 0; k < Math.max(a.length, b.length); k++) {
      const difference = Math.abs((a[k] ?? 0) - (b[k] ?? 0));
      expect(!(difference <= tolerance * scale), `gradient ${i}, element ${k}: ${a[k]} and ${b[k]}`).toBe(false);
    }
  });
}

/** The derivative of the outputs' squares. */
export const squareError = (y: Tensor): Tensor => mul(y, 2);

/** Takes the steps `from` … `to` − 1 of xs [T,B,I] with that error; all outputs in a row. */
export function runSteps(learner: Learner, xs: Tensor, from: number, to: number): number[] {
  const ys: number[] = [];
  for (let t = from; t < to; t++) ys.push(...learner.step(select(xs, 0, t), squareError).data());
  return ys;
}

export function gradientsNow(cell: Recurrence): number[] {
  return cell.parameters().flatMap((p) => Array.from(p.grad?.data() ?? []));
}
