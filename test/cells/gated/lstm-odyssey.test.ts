import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import {
  OdysseyLSTM,
  type OdysseyLSTMOptions,
  type OdysseyParts,
  type OdysseyVariant,
  odysseyVariants,
} from "../../../src/cells/gated/lstm-odyssey.ts";
import { Linear } from "../../../src/nn/layers.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { type Equations, holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, part, plus, times, type Vector } from "../../oracle/numbers.ts";
import { accept, expectClose, GOLDEN, GOLDEN_TOLERANCE, learn, runGolden, SIZES } from "../acceptance.ts";

const cell = (options: Partial<OdysseyLSTMOptions> = {}) =>
  new OdysseyLSTM({ ...SIZES, dtype: "float64", generator: new Generator(2), ...options });

const H = SIZES.hiddenSize;
const names = Object.keys(odysseyVariants) as OdysseyVariant[];

/** Larger weights than the first ones, so that every part matters. */
function stirred(options: Partial<OdysseyLSTMOptions>): OdysseyLSTM {
  const net = cell(options);
  const g = new Generator(9);
  for (const p of net.parameters()) assign(p, g.uniform(p.shape, -1, 1, "float64"));
  return net;
}

/** Section II with the changes of section III; blocks of rows as documented, their functions f (logistic) g and h. */
function greff({ i: inputGate, f: forgetGate, o: outputGate, coupled, g, h, peepholes, recurrence }: Changes): Equations {
  const present = { i: inputGate, f: forgetGate && !coupled, z: true, o: outputGate };
  const rows = (["i", "f", "z", "o"] as const).filter((row) => present[row]);
  const gates = (["i", "f", "o"] as const).filter((gate) => present[gate]);
  return (p, x, [y, c, before]) => {
    const sums = plus(times(p.matrix("weight_ih", SIZES.inputSize), x), times(p.matrix("weight_hh", H), y as Vector), p.vector("bias"));
    const block = (name: string, list: Vector, names: readonly string[]) => part(list, names.indexOf(name), names.length);
    const gate = (name: "i" | "f" | "o", cell: Vector) => {
      if (!present[name]) return new Array<number>(H).fill(1);
      let sum = block(name, sums, rows);
      if (peepholes)
        sum = plus(
          sum,
          each((w, v) => w * v, p.matrix("weight_peephole", H)[gates.indexOf(name)] as Vector, cell),
        );
      if (recurrence) sum = plus(sum, block(name, times(p.matrix("weight_gates", gates.length * H), before as Vector), gates));
      return sum.map(logistic);
    };
    const z = block("z", sums, rows).map(g);
    const i = gate("i", c as Vector);
    const f = coupled ? i.map((v) => 1 - v) : gate("f", c as Vector);
    const c1 = each((zi, ii, old, fi) => zi * ii + old * fi, z, i, c as Vector, f);
    const o = gate("o", c1);
    const y1 = each((v, oi) => h(v) * oi, c1, o);
    const open = { i, f, o };
    return [y1, [y1, c1, ...(recurrence ? [gates.flatMap((name) => open[name])] : [])]];
  };
}

interface Changes {
  readonly i: boolean;
  readonly f: boolean;
  readonly o: boolean;
  readonly coupled: boolean;
  readonly g: (v: number) => number;
  readonly h: (v: number) => number;
  readonly peepholes: boolean;
  readonly recurrence: boolean;
}

const vanilla: Changes = { i: true, f: true, o: true, coupled: false, g: Math.tanh, h: Math.tanh, peepholes: true, recurrence: false };
const itself = (v: number) => v;
/** What section III changes. */
const changes: Record<OdysseyVariant, Partial<Changes>> = {
  V: {},
  NIG: { i: false },
  NFG: { f: false },
  NOG: { o: false },
  NIAF: { g: itself },
  NOAF: { h: itself },
  CIFG: { coupled: true },
  NP: { peepholes: false },
  FGR: { recurrence: true },
};

describe("OdysseyLSTM", () => {
  it.each(names)("has the gradients of its equations, and steps that equal its scan: %s", (name) => accept(stirred(odysseyVariants[name])));

  it.each(names)("is sections II and III from any state, values and derivatives: %s", (name) =>
    holdAgainst(cell(odysseyVariants[name]), greff({ ...vanilla, ...changes[name] })),
  );

  it.each<[OdysseyParts, Partial<Changes>]>([
    [
      { inputGate: false, gateRecurrence: true, inputActivation: "logistic" },
      { i: false, recurrence: true, g: logistic },
    ],
    [
      { forgetGate: "coupled", gateRecurrence: true, outputActivation: "logistic" },
      { coupled: true, recurrence: true, h: logistic },
    ],
    [
      { inputGate: false, forgetGate: false, outputGate: false, gateRecurrence: true },
      { i: false, f: false, o: false, peepholes: false },
    ],
  ])("mixes changes: %j", (parts, changed) => holdAgainst(cell(parts), greff({ ...vanilla, ...changed })));

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
