import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { OdysseyLSTM, type OdysseyLSTMOptions, type OdysseyVariant, odysseyVariants } from "../../../src/cells/gated/lstm-odyssey.ts";
import { Linear } from "../../../src/nn/layers.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { logistic, plus, rows, times } from "../../oracle/numbers.ts";
import { accept, expectClose, GOLDEN, GOLDEN_TOLERANCE, learn, runGolden, SIZES } from "../acceptance.ts";

const cell = (options: Partial<OdysseyLSTMOptions> = {}) =>
  new OdysseyLSTM({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });

const names = Object.keys(odysseyVariants) as OdysseyVariant[];

/** Larger weights than the first ones, so that every part matters. */
function stirred(options: Partial<OdysseyLSTMOptions>): OdysseyLSTM {
  const net = cell(options);
  const g = new Generator(9);
  for (const p of net.parameters()) assign(p, g.uniform(p.shape, -1, 1, "float64"));
  return net;
}

/** The paper's section II, with section III's change for the variant; blocks of rows as documented. */
function oracle(variant: OdysseyVariant, net: OdysseyLSTM, xs: number[][]): number[] {
  const H = net.outputSize;
  const order = ["i", "f", "z", "o"].filter(
    (r) => !({ NIG: "i", NFG: "f", NOG: "o", CIFG: "f" } as Record<string, string>)[variant]?.includes(r),
  );
  const gates = order.filter((r) => r !== "z").sort((a, b) => "ifo".indexOf(a) - "ifo".indexOf(b));
  const [W, R, b] = [rows(net.weightIh), rows(net.weightHh), Array.from(net.bias.data())];
  const p = net.weightPeephole ? rows(net.weightPeephole) : null;
  const Rg = net.weightGates ? rows(net.weightGates) : null;
  let y = new Array<number>(H).fill(0);
  let c = y;
  let previous = new Array<number>(gates.length * H).fill(0);
  for (const x of xs) {
    const sums = plus(times(W, x), times(R, y), b);
    const recurrent = Rg ? times(Rg, previous) : null;
    const gate = (name: string, cells: number[]) => {
      const [row, at] = [order.indexOf(name), gates.indexOf(name)];
      if (row < 0) return new Array<number>(H).fill(1);
      return Array.from({ length: H }, (_, k) =>
        logistic((sums[row * H + k] as number) + (p ? (p[at]?.[k] as number) * (cells[k] as number) : 0) + (recurrent?.[at * H + k] ?? 0)),
      );
    };
    const z = Array.from({ length: H }, (_, k) => {
      const sum = sums[order.indexOf("z") * H + k] as number;
      return variant === "NIAF" ? sum : Math.tanh(sum);
    });
    const i = gate("i", c);
    const f = variant === "CIFG" ? i.map((v) => 1 - v) : gate("f", c);
    c = c.map((v, k) => (z[k] as number) * (i[k] as number) + v * (f[k] as number));
    const o = gate("o", c);
    y = c.map((v, k) => (variant === "NOAF" ? v : Math.tanh(v)) * (o[k] as number));
    previous = [...i, ...f, ...o];
  }
  return [...y, ...c];
}

describe("OdysseyLSTM", () => {
  it.each(names)("has the gradients of its equations, and steps that equal its scan: %s", (name) => accept(stirred(odysseyVariants[name])));

  it.each(names)("is the paper's recurrence: %s", (name) => {
    const net = stirred(odysseyVariants[name]);
    const xs = new Generator(3).uniform([6, 1, 3], -1, 1, "float64");
    const [, { h, c }] = net.scan(xs);
    const inputs = Array.from({ length: 6 }, (_, t) => Array.from(xs.data()).slice(3 * t, 3 * t + 3));
    expectClose([...h.data(), ...c.data()], oracle(name, net, inputs), 1e-12);
  });

  // From ../golden.test.ts.
  const golden: [string, Partial<OdysseyLSTMOptions>, number[], number[]][] = [
    ["LSTM", { peepholes: false }, [0.136258, 0.249471], [0.296283, 0.407056]],
    ["LSTM with peepholes", {}, [0.146996, 0.269063], [0.307097, 0.44634]],
    ["coupled gates", { forgetGate: "coupled", peepholes: false }, [0.208575, 0.307808], [0.483898, 0.519747]],
    ["no forget gate", { forgetGate: false, peepholes: false }, [0.270162, 0.418086], [0.690567, 0.774479]],
  ];
  describe.each(["float32", "float64"] as const)("%s", (dtype) => {
    it.each(golden)("reaches the golden vector: %s", (_, options, h, c) => {
      const net = cell({ ...GOLDEN, dtype, ...options });
      fillPublished(net, options.forgetGate === undefined ? [0, 1, 2, 3, 4, 5, 6, 7] : [0, 1, 4, 5, 6, 7]);
      const { state } = runGolden(net, dtype);
      expectClose(state[0] as Tensor, h, GOLDEN_TOLERANCE[dtype]);
      expectClose(state[1] as Tensor, c, GOLDEN_TOLERANCE[dtype]);
    });
  });

  it("starts with the forget bias asked for, and in no other block", () => {
    expect(Array.from(cell({ forgetBias: 1 }).bias.data())).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(() => cell({ inputGate: false, forgetGate: "coupled" })).toThrow("OdysseyLSTM: expected an input gate");
  });

  it.each(names)("learns to add two marked numbers: %s", (name) => {
    const net = new OdysseyLSTM({ inputSize: 2, hiddenSize: 8, generator: new Generator(1), ...odysseyVariants[name] });
    const head = new Linear(8, 1, { generator: new Generator(2) });
    const optimizer = new Adam([...net.parameters(), ...head.parameters()], { lr: 2e-2 });
    const g = new Generator(3);
    const [steps, batch] = [6, 32];
    const error = learn(250, () => {
      const xs = g.uniform([steps, batch, 2], -1, 1).data();
      const marks = g.uniform([2, batch]).data();
      const targets = Array.from({ length: batch }, (_, k) => {
        const first = Math.floor(3 * (marks[k] as number));
        const second = 3 + Math.floor(3 * (marks[batch + k] as number));
        for (let t = 0; t < steps; t++) xs[2 * (t * batch + k) + 1] = t === first || t === second ? 1 : 0;
        return (xs[2 * (first * batch + k)] as number) + (xs[2 * (second * batch + k)] as number);
      });
      const [, { h }] = net.scan(tensor(xs, { shape: [steps, batch, 2] }));
      const loss = mseLoss(head.forward(h), tensor(targets, { shape: [batch, 1], dtype: "float32" }));
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss;
    });
    // The best constant leaves 2/3, either number alone 1/3.
    expect(error).toBeLessThan(0.1);
  });
});

/** Weights of a published LSTM of two cells, rows i f g o and two biases, as far as the rows exist here; then its peepholes. */
function fillPublished(net: OdysseyLSTM, kept: readonly number[]): void {
  const published = (s: number, width: number) =>
    kept.flatMap((row) => Array.from({ length: width }, (_, j) => 0.5 * Math.sin(1 + 0.7 * (row * width + j) + 1.3 * s)));
  assign(net.weightIh, published(0, 3));
  assign(net.weightHh, published(1, 2));
  assign(net.bias, plus(published(2, 1), published(3, 1)));
  if (net.weightPeephole) {
    assign(
      net.weightPeephole,
      [4, 5, 6].flatMap((s) => [0, 1].map((k) => 0.5 * Math.sin(1 + 0.7 * k + 1.3 * s))),
    );
  }
}
