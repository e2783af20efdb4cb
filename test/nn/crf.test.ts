/** The linear-chain conditional random field and its decoder, against enumeration of all label sequences. */

import { describe, expect, it } from "vitest";
import { track } from "../../src/autodiff/alias.ts";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { viterbi } from "../../src/decoding/index.ts";
import { LinearChainCRF } from "../../src/nn/crf.ts";
import { cast } from "../../src/ops/cast.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";

const C = 3;

function field(seed: number, dtype: "float32" | "float64" = "float64"): LinearChainCRF {
  const generator = new Generator(seed);
  const crf = new LinearChainCRF({ numTags: C, dtype, generator });
  for (const p of crf.parameters()) generator.fillNormal(p, 0, 1);
  return crf;
}

interface Scored {
  readonly labels: number[];
  readonly score: number;
}

/** Every label sequence over the given steps of sequence b with its score, from the definition. */
function all(crf: LinearChainCRF, emissions: Tensor, b: number, steps: readonly number[]): Scored[] {
  const e = emissions.toArray() as number[][][];
  const move = crf.transitions.toArray() as number[][];
  const [start, end] = [crf.startTransitions.toArray() as number[], crf.endTransitions.toArray() as number[]];
  return Array.from({ length: C ** steps.length }, (_, i) => {
    const labels = steps.map((_, t) => Math.floor(i / C ** t) % C);
    let score = steps.length === 0 ? 0 : (start[labels[0] as number] as number) + (end[labels.at(-1) as number] as number);
    labels.forEach((y, t) => {
      score += e[steps[t] as number]?.[b]?.[y] as number;
      if (t > 0) score += move[labels[t - 1] as number]?.[y] as number;
    });
    return { labels, score };
  });
}

const logZ = (scored: readonly Scored[]): number => Math.log(scored.reduce((total, { score }) => total + Math.exp(score), 0));
const close = (a: number, b: number, tolerance = 1e-12): boolean => Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(b));

const [T, B] = [4, 3];
const lengths = [T, 2, 0];
/** Holes at the front, in the middle and everywhere. */
const on = [
  [1, 0, 0],
  [0, 1, 0],
  [1, 1, 0],
  [1, 0, 1],
];
const mask = tensor(Uint8Array.from(on.flat()), { shape: [T, B], dtype: "bool" });
const forms = {
  all: { options: {}, steps: [0, 1, 2].map(() => [0, 1, 2, 3]) },
  lengths: { options: { lengths }, steps: lengths.map((n) => [0, 1, 2, 3].slice(0, n)) },
  mask: { options: { mask }, steps: [0, 1, 2].map((b) => [0, 1, 2, 3].filter((t) => on[t]?.[b] === 1)) },
  both: { options: { mask, lengths: new Int32Array([3, 4, 3]) }, steps: [[0, 2], [1, 2], []] },
} as const;

describe("LinearChainCRF", () => {
  const emissions = new Generator(5).normal([T, B, C], 0, 1.5, "float64");
  const tags = new Generator(6).integers([T, B], 0, C);
  const said = (b: number, steps: readonly number[]): number[] => steps.map((t) => (tags.toArray() as number[][])[t]?.[b] as number);

  it.each(Object.entries(forms))("is the enumeration of all label sequences: %s", (_, { options, steps }) => {
    const crf = field(1);
    const losses = crf.forward(emissions, tags, { ...options, reduction: "none" }).toArray() as number[];
    const marginals = crf.marginals(emissions, options).toArray() as number[][][];
    const partition = crf.logPartition(emissions, options).toArray() as number[];
    steps.forEach((own, b) => {
      const scored = all(crf, emissions, b, own);
      const z = logZ(scored);
      const mine = scored.find(({ labels }) => labels.join() === said(b, own).join()) as Scored;
      expect(close(losses[b] as number, z - mine.score)).toBe(true);
      expect(close(partition[b] as number, own.length === 0 ? 0 : z)).toBe(true);
      for (let t = 0; t < T; t++) {
        for (let c = 0; c < C; c++) {
          const at = own.indexOf(t as never);
          const p = at < 0 ? 0 : scored.filter(({ labels }) => labels[at] === c).reduce((sum, { score }) => sum + Math.exp(score - z), 0);
          expect(close(marginals[t]?.[b]?.[c] as number, p)).toBe(true);
        }
      }
    });
  });

  it.each(Object.entries(forms))("has the gradient of the enumeration: %s", (_, { options, steps }) => {
    const crf = field(2);
    const tracked = track(emissions.detach());
    const loss = crf.forward(tracked, tags, { ...options, reduction: "sum" });
    const inputs = [tracked, crf.transitions, crf.startTransitions, crf.endTransitions];
    const found = gradients([loss], inputs, [onesLike(loss)]).map((g) => Array.from((g as Tensor).data()));
    // Counts of what a label sequence uses, expected over all of them less those of the target.
    const expected = inputs.map((t) => new Array<number>(t.size).fill(0));
    const count = (b: number, own: readonly number[], labels: readonly number[], weight: number): void => {
      const [e, move, start, end] = expected as [number[], number[], number[], number[]];
      labels.forEach((y, i) => {
        e[((own[i] as number) * B + b) * C + y] = (e[((own[i] as number) * B + b) * C + y] as number) + weight;
        if (i > 0) move[(labels[i - 1] as number) * C + y] = (move[(labels[i - 1] as number) * C + y] as number) + weight;
      });
      if (labels.length === 0) return;
      start[labels[0] as number] = (start[labels[0] as number] as number) + weight;
      end[labels.at(-1) as number] = (end[labels.at(-1) as number] as number) + weight;
    };
    steps.forEach((own, b) => {
      const scored = all(crf, emissions, b, own);
      const z = logZ(scored);
      for (const { labels, score } of scored) count(b, own, labels, Math.exp(score - z));
      count(b, own, said(b, own), -1);
    });
    expected.forEach((values, i) => {
      values.forEach((v, k) => {
        expect(!(Math.abs((found[i]?.[k] as number) - v) <= 1e-9)).toBe(false);
      });
    });
  });

  it("is differentiated twice, and in forward mode", () => {
    const crf = field(3);
    const loss = (e: Tensor): Tensor => crf.forward(e, tags, { lengths });
    expect(() => checkGrads(loss, [emissions])).not.toThrow();
  });

  it("reads nothing where there is padding, in float32 too", () => {
    const crf = field(4, "float32");
    const values = new Generator(5).normal([T, B, C], 0, 1.5);
    const spoiled = tensor(
      (values.toArray() as number[][][]).map((rows, t) =>
        rows.map((row, b) => row.map((v) => (t < (lengths[b] as number) ? v : Number.NaN))),
      ),
    );
    const wrong = tensor(
      (tags.toArray() as number[][]).map((row, t) => row.map((y, b) => (t < (lengths[b] as number) ? y : -100))),
      { dtype: "int32" },
    );
    const tracked = track(spoiled);
    const loss = crf.forward(tracked, wrong, { lengths });
    const [g] = gradients([loss], [tracked], [onesLike(loss)]);
    expect(Array.from((g as Tensor).data()).every(Number.isFinite)).toBe(true);
    expect(loss.item()).toBe(crf.forward(values, tags, { lengths }).item());
    expect(viterbi(crf, spoiled, { lengths })).toEqual(viterbi(crf, values, { lengths }));
    const double = field(4);
    for (const [i, p] of double.parameters().entries()) assign(p, crf.parameters()[i]?.data() as Float32Array);
    const exact = double.forward(cast(values, "float64"), tags, { lengths }).item();
    expect(close(loss.item(), exact, 1e-5)).toBe(true);
  });

  it("refuses what does not fit", () => {
    const crf = field(1);
    expect(() => new LinearChainCRF({ numTags: 0 })).toThrow(ArgumentError);
    expect(() => crf.forward(zeros([T, B, C + 1], "float64"), tags)).toThrow(ShapeError);
    expect(() => crf.forward(zeros([T, B, C]), tags)).toThrow(DTypeError);
    expect(() => crf.forward(emissions, zeros([T, B]))).toThrow(DTypeError);
    expect(() => crf.forward(emissions, zeros([T, B + 1], "int32"))).toThrow(ShapeError);
    expect(() => crf.forward(emissions, tensor(new Int32Array(T * B).fill(C), { shape: [T, B] }))).toThrow(/got 3 at step 0 of sequence 0/);
    expect(() => crf.forward(emissions, tags, { lengths: [5, 1, 1] })).toThrow(ArgumentError);
    expect(() => crf.forward(emissions, tags, { mask: zeros([T, B]) })).toThrow(DTypeError);
    expect(() => crf.forward(emissions, tags, { mask: zeros([B, T], "bool") })).toThrow(ShapeError);
    expect(() => viterbi(crf, tensor(new Float64Array(T * B * C).fill(Number.NaN), { shape: [T, B, C] }))).toThrow(/below \+∞/);
    expect(() => viterbi(crf, emissions, { best: 0 })).toThrow(ArgumentError);
    expect(() => viterbi({ ...crf, transitions: zeros([2, 3]) } as never, emissions)).toThrow(ShapeError);
  });

  it("learns labels that only their neighbours tell apart", () => {
    // Labels go round 0, 1, 2; emissions say nothing but where the round starts.
    const crf = new LinearChainCRF({ numTags: 3, dtype: "float64", generator: new Generator(1) });
    const round = Array.from({ length: 6 }, (_, t) => [0, 1, 2].map((b) => (t + b) % 3));
    const e = tensor(
      round.map((row, t) => row.map((y) => [0, 1, 2].map((c) => (t === 0 && c === y ? 3 : 0)))),
      { dtype: "float64" },
    );
    const y = tensor(round, { dtype: "int32" });
    const optimizer = new SGD(crf.parameters(), { lr: 1 });
    for (let i = 0; i < 60; i++) {
      optimizer.zeroGrad();
      backward(crf.forward(e, y));
      optimizer.step();
    }
    expect(viterbi(crf, e).map(([best]) => best?.labels)).toEqual([0, 1, 2].map((b) => round.map((row) => row[b])));
  });
});

describe("viterbi", () => {
  it.each(Object.entries(forms))("gives the best labellings in order: %s", (_, { options, steps }) => {
    const crf = field(7);
    const emissions = new Generator(8).normal([T, B, C], 0, 1, "float64");
    for (const best of [1, 5, 1000]) {
      const found = viterbi(crf, emissions, { ...options, best });
      steps.forEach((own, b) => {
        const scored = all(crf, emissions, b, own).sort((x, y) => y.score - x.score);
        const z = logZ(scored);
        expect(found[b]?.map(({ labels }) => labels)).toEqual(scored.slice(0, best).map(({ labels }) => labels));
        found[b]?.forEach(({ score, logProbability }, i) => {
          expect(close(score, scored[i]?.score as number) && close(logProbability, score - z)).toBe(true);
        });
      });
    }
  });

  it("never says what cannot be", () => {
    const never = Number.NEGATIVE_INFINITY;
    const chain = {
      transitions: tensor([
        [never, 0],
        [0, never],
      ]),
      startTransitions: tensor([0, never]),
      endTransitions: tensor([0, 0]),
    };
    const [found] = viterbi(chain, zeros([3, 1, 2]), { best: 8 });
    expect(found).toEqual([{ labels: [0, 1, 0], score: 0, logProbability: 0 }]);
    expect(viterbi(chain, tensor([[[never, 0]]]))).toEqual([[]]);
  });
});

describe("no steps at all", () => {
  it.each([{}, { lengths: [0, 0] }, { mask: tensor([], { shape: [0, 2], dtype: "bool" }) }])(
    "have loss 0 without a slope, with %j",
    (options) => {
      const crf = field(3);
      const emissions = track(zeros([0, 2, C], "float64"));
      const losses = crf.forward(emissions, zeros([0, 2], "int32"), { ...options, reduction: "none" });
      expect([...losses.data()]).toEqual([0, 0]);
      expect([...crf.logPartition(emissions, options).data()]).toEqual([0, 0]);
      expect(crf.marginals(emissions, options).shape).toEqual([0, 2, C]);
      expect(viterbi(crf, emissions, options).map((list) => list.map(({ labels }) => labels))).toEqual([[[]], [[]]]);
      backward(crf.forward(emissions, zeros([0, 2], "int32"), options));
      for (const p of crf.parameters()) if (p.grad !== null) expect([...p.grad.data()].every((g) => g === 0)).toBe(true);
    },
  );
});

describe("options and emissions that are none", () => {
  it("are told by name", () => {
    const crf = field(4);
    const emissions = zeros([1, 1, C], "float64");
    const tags = zeros([1, 1], "int32");
    for (const options of [null, 5]) {
      expect(() => crf.forward(emissions, tags, options as never)).toThrow("forward: expected options as an object");
      expect(() => crf.logPartition(emissions, options as never)).toThrow("logPartition: expected options as an object");
      expect(() => crf.marginals(emissions, options as never)).toThrow(DTypeError);
      expect(() => viterbi(crf, emissions, options as never)).toThrow("viterbi: expected options as an object");
    }
    expect(() => crf.marginals(null as never)).toThrow(DTypeError);
  });
});
