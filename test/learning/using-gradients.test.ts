/** An algorithm is a rule for scans: what passes it by is refused. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { StateError } from "../../src/base/errors.ts";
import { bptt, type GradientAlgorithm, rtrl, truncated, uoro, usingGradients } from "../../src/learning/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module } from "../../src/nn/module.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { SGD } from "../../src/optim/index.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import type { State } from "../../src/recurrence/state.ts";
import { onesLike } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { fit } from "../../src/train/index.ts";

const options = (seed: number) => ({ inputSize: 2, hiddenSize: 3, dtype: "float64", generator: new Generator(seed) }) as const;
const kinds: Readonly<Record<string, () => Recurrence>> = {
  GRUCell: () => new GRUCell(options(1)) as unknown as Recurrence,
  RNN: () => new RNN(options(2)) as unknown as Recurrence,
  LSTM: () => new LSTM(options(3)) as unknown as Recurrence,
};
const xs = new Generator(4).normal([5, 2, 2], 0, 1, "float64");

class Model extends Module {
  readonly rnn: Recurrence;
  readonly head = new Linear(3, 1, { dtype: "float64", generator: new Generator(5) });

  constructor(rnn: Recurrence) {
    super();
    this.rnn = rnn;
  }

  /** The sum of all outputs, by the scan or step by step from a state. */
  scanned(): Tensor {
    return sum(this.head.forward(this.rnn.scan(xs)[0]));
  }

  stepped(from: State = this.rnn.initialState(2)): Tensor {
    let [state, total] = [from, null as Tensor | null];
    for (let t = 0; t < 5; t++) {
      const [y, next] = this.rnn.step(select(xs, 0, t), state);
      const own = sum(this.head.forward(y));
      [state, total] = [next, total === null ? own : add(total, own)];
    }
    return total as Tensor;
  }
}

describe.each(Object.keys(kinds))("usingGradients over %s", (name) => {
  const made = (): Model => new Model((kinds[name] as () => Recurrence)());
  const others: readonly GradientAlgorithm[] = [rtrl(), truncated({ steps: [2, 1] }), uoro({ generator: new Generator(6) })];

  it.each(others)("refuses a model that takes its steps itself: $name", (algorithm) => {
    const model = made();
    expect(() => usingGradients(algorithm, model, () => model.stepped())).toThrow(StateError);
    expect(() => usingGradients(algorithm, model, () => model.stepped())).toThrow(`${algorithm.name}: expected ${name} to be run by scan`);
    // A scan without gradients is none.
    expect(() => usingGradients(algorithm, model, () => model.stepped(noGrad(() => model.rnn.scan(xs)[1])))).toThrow(StateError);
    expect(Object.hasOwn(model.rnn, "step")).toBe(false);
    expect(Object.hasOwn(model.rnn, "scan")).toBe(false);
    expect(Number.isFinite(usingGradients(algorithm, model, () => noGrad(() => model.stepped())).item())).toBe(true);
    const both = usingGradients(algorithm, model, () =>
      add(
        model.scanned(),
        noGrad(() => model.stepped()),
      ),
    );
    backward(both);
    expect(model.rnn.parameters().every((p) => p.grad !== null)).toBe(true);
    for (const p of model.rnn.parameters()) p.requiresGrad = false;
    expect(Number.isFinite(usingGradients(algorithm, model, () => model.stepped()).item())).toBe(true);
  });

  it("lets steps be under bptt, which they are", () => {
    const model = made();
    const of = (loss: Tensor): number[] =>
      gradients([loss], model.parameters(), [onesLike(loss)]).flatMap((g) => Array.from<number>((g as Tensor).data()));
    const expected = of(model.scanned());
    of(usingGradients(bptt(), model, () => model.stepped())).forEach((g, i) => {
      expect(!(Math.abs(g - (expected[i] as number)) <= 1e-12)).toBe(false);
    });
  });

  it("has fit refuse it, with the weights as they were", async () => {
    const model = made();
    const before = model.parameters().flatMap((p) => Array.from(p.data()));
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    const run = fit(model, [{ x: slice(xs, 0, 0, 2) }], { optimizer, gradients: rtrl(), maxSteps: 1, loss: (m) => m.stepped() });
    await expect(
      (async () => {
        for await (const _ of run);
      })(),
    ).rejects.toThrow(StateError);
    expect(model.parameters().flatMap((p) => Array.from(p.data()))).toEqual(before);
  });
});
