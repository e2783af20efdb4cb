/** Scans that do not go step by step, against those that do: of one step, and of a subclass with a step of its own. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { enableGrad } from "../../src/autodiff/tape.ts";
import { IndRNN, LRU, MinGRU, QRNN, SRU } from "../../src/cells/index.ts";
import { flip } from "../../src/ops/shape.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { onesLike } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { every, type Make } from "./every.ts";

type Scan = "scan" | "steps";

/** What flows back from the outputs of T steps to each parameter: null where nothing does. */
function flow(make: Make, scan: Scan, T: number, options: object): (readonly number[] | null)[] {
  const cell = make({ generator: new Generator(4), dtype: "float64" });
  const xs = new Generator(5).normal([T, 2, cell.inputSize], 0, 1, "float64");
  const [ys] = enableGrad(() => (scan === "scan" ? cell.scan(xs, undefined, options) : scanSteps(cell, xs, undefined, options)));
  const found = ys.node !== null ? gradients([ys], cell.parameters(), [onesLike(ys)]) : cell.parameters().map(() => null);
  return found.map((g) => g && Array.from(g.data(), Number));
}

const stepwise = Object.keys(every).filter((name) => name !== "Bidirectional" && !/^(RNN|LSTM|GRU)$/.test(name));

describe("a scan of one step", () => {
  it.each(stepwise)("has the gradients of the step, and none where it has none: %s", (name) => {
    for (const options of [{}, { reverse: true }, { lengths: [1, 0] }]) {
      const [got, expected] = (["scan", "steps"] as const).map((scan) => flow(every[name] as Make, scan, 1, options)) as ReturnType<
        typeof flow
      >[];
      expect(got?.map((g) => g === null)).toEqual(expected?.map((g) => g === null));
      got?.forEach((g, i) => {
        g?.forEach((value, j) => {
          expect(value).toBeCloseTo(expected?.[i]?.[j] as number, 10);
        });
      });
    }
  });
});

const options = { inputSize: 3, hiddenSize: 3 };
/** The states of units exchanged: a step that mixes what the cell keeps apart. */
const exchanged = <S>(state: S): S => {
  const turn = (t: Tensor) => flip(t, 1);
  if (state && typeof state === "object" && !("shape" in state)) {
    return Object.fromEntries(Object.entries(state).map(([name, t]) => [name, Array.isArray(t) ? t : turn(t as Tensor)])) as S;
  }
  return turn(state as unknown as Tensor) as unknown as S;
};

const mixing: Readonly<Record<string, Make>> = {
  IndRNN: (o) => new (class extends IndRNN { override step(x: Tensor, h: Tensor) { return super.step(x, exchanged(h)); } })({ ...options, ...o }),
  MinGRU: (o) => new (class extends MinGRU { override step(x: Tensor, h: Tensor) { return super.step(x, exchanged(h)); } })({ ...options, ...o }),
  SRU: (o) => new (class extends SRU { override step(x: Tensor, c: Tensor) { return super.step(x, exchanged(c)); } })({ ...options, ...o }),
  QRNN: (o) => new (class extends QRNN { override step(x: Tensor, s: Parameters<QRNN["step"]>[1]) { return super.step(x, exchanged(s)); } })({ ...options, ...o }) as never,
  LRU: (o) => new (class extends LRU { override step(x: Tensor, s: Parameters<LRU["step"]>[1]) { return super.step(x, exchanged(s)); } })({ ...options, ...o }) as never,
  LSTMCell: (o) => new (class extends LSTMCell { override step(x: Tensor, s?: Parameters<LSTMCell["step"]>[1]) { return super.step(x, exchanged(s ?? this.initialState(x.dim(0)))); } })({ ...options, ...o }) as never,
}; // biome-ignore format: a table

describe("a subclass with a step of its own", () => {
  it.each(Object.keys(mixing))("is scanned by it: %s", (name) => {
    const [got, expected] = (["scan", "steps"] as const).map((scan) => flow(mixing[name] as Make, scan, 4, {}));
    expect(got).toEqual(expected);
  });

  it("is scanned by it where the step is the object's own", () => {
    const make: Make = (o) => {
      const cell = new MinGRU({ ...options, ...o });
      return Object.assign(cell, { step: (x: Tensor, h: Tensor) => MinGRU.prototype.step.call(cell, x, exchanged(h)) });
    };
    expect(flow(make, "scan", 4, {})).toEqual(flow(make, "steps", 4, {}));
    expect(flow(make, "scan", 4, {})).not.toEqual(flow((o) => new MinGRU({ ...options, ...o }), "scan", 4, {}));
  });

  it.each(Object.keys(mixing).filter((name) => name !== "LSTMCell"))("does not have the independent units of its base: %s", (name) => {
    expect(mixing[name]?.({ generator: new Generator(1) }).independentUnits).toBeUndefined();
    expect(
      (every[name] ?? every[`${name}, "fo"`] ?? every[`${name}, "relu"`])?.({ generator: new Generator(1) }).independentUnits,
    ).toBeGreaterThan(0);
  });
});
