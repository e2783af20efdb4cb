/** A batch of no sequences has outputs and states of none, and gradients of zero. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { requireGrad, scope, type Tensor } from "../../src/tensor/tensor.ts";
import { every, type Make } from "./every.ts";

const T = 3;
const shapes = (tensors: readonly Tensor[]) => tensors.map(({ shape, dtype }) => `${dtype}[${shape}]`);

describe("a batch of no sequences", () => {
  it.each(Object.keys(every))("of %s", (name) => {
    scope(() => {
      const cell = (every[name] as Make)({ generator: new Generator(1) });
      const one = stateTensors(cell.initialState(1));
      const none = stateTensors(cell.initialState(0));
      expect(none.map((s) => s.size)).toEqual(one.map(() => 0));
      if (!/^(LSTM|GRU|Bidirectional)$/.test(name)) {
        const [stepped, after] = cell.step(zeros([0, cell.inputSize]), cell.initialState(0));
        expect(stepped.shape).toEqual([0, cell.outputSize]);
        expect(shapes(stateTensors(after))).toEqual(shapes(none));
      }
      for (const options of [{}, { lengths: [] }, { reverse: true }]) {
        const xs = requireGrad(zeros([T, 0, cell.inputSize]));
        const [ys, last] = cell.scan(xs, undefined, options);
        expect(ys.shape).toEqual([T, 0, cell.outputSize]);
        expect(shapes(stateTensors(last))).toEqual(shapes(none));
        if (ys.node === null) continue;
        const loss = add(sum(ys), 0);
        for (const g of gradients([loss], [xs, ...cell.parameters()], [onesLike(loss)])) {
          expect(Array.from(g?.data() ?? []).every((v) => v === 0)).toBe(true);
        }
      }
    });
  });
});
