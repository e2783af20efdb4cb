/** What a machine does with its memory, step by step. */

import { noGrad } from "../src/autodiff/tape.ts";
import { select } from "../src/ops/shape.ts";
import { scope, type Tensor } from "../src/tensor/tensor.ts";

/** What can be watched: any recurrence. */
interface Machine<S> {
  step(x: Tensor, state: S): readonly [Tensor, S];
  initialState(batch: number): S;
}

/** A part of the state after each step of one sequence [T,1,I]: a row for each number, a column for each step. */
export function watch<S>(machine: Machine<S>, xs: Tensor, of: (state: S) => Tensor): number[][] {
  return scope(() =>
    noGrad(() => {
      let state = machine.initialState(1);
      const columns: number[][] = [];
      for (let t = 0; t < xs.dim(0); t++) {
        state = machine.step(select(xs, 0, t), state)[1];
        columns.push(Array.from(of(state).data(), Number));
      }
      return (columns[0] as number[]).map((_, i) => columns.map((column) => column[i] as number));
    }),
  );
}
