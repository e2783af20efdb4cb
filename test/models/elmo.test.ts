import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { CharacterEncoder, Highway } from "../../src/models/character-encoder.ts";
import { BidirectionalLanguageModel, ELMo } from "../../src/models/elmo.ts";
import { Embedding, type Linear } from "../../src/nn/layers.ts";
import { square } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import type { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkParameter, expectClose } from "../cells/acceptance.ts";
import { logistic, plus, rows, times } from "../oracle/numbers.ts";

const generator = new Generator(31);
const options = { dtype: "float64", generator } as const;
const list = (t: Tensor | null) => Array.from((t as Tensor).data());
const relu = (x: number) => Math.max(0, x);

function encoderOf(outputSize = 3): CharacterEncoder {
  return new CharacterEncoder({
    characters: 6,
    embeddingSize: 2,
    filters: [
      [1, 3],
      [3, 2],
    ],
    outputSize,
    ...options,
  });
}

const affine = (layer: Linear, x: readonly number[]) => plus(times(rows(layer.weight), x), list(layer.bias));

/** Highway networks, equation 3, for one vector. */
function carried(layer: Highway, s: readonly number[]): number[] {
  const r = affine(layer.gate, s).map(logistic);
  return affine(layer.transform, s).map((h, i) => (r[i] as number) * relu(h) + (1 - (r[i] as number)) * (s[i] as number));
}

/** A word's vector in plain loops. */
function encoded(encoder: CharacterEncoder, word: readonly number[]): number[] {
  const table = rows(encoder.embedding.weight);
  const features = encoder.filters.flatMap(({ weight, bias, width }) => {
    const [w, b] = [list(weight), list(bias)];
    return b.map((offset, o) => {
      const sums = Array.from({ length: word.length - width + 1 }, (_, i) => {
        let total = offset;
        for (let c = 0; c < 2; c++) {
          for (let k = 0; k < width; k++) total += (w[(o * 2 + c) * width + k] as number) * (table[word[i + k] as number]?.[c] as number);
        }
        return total;
      });
      return relu(Math.max(...sums));
    });
  });
  return affine(
    encoder.projection,
    encoder.highways.reduce((s, layer) => carried(layer, s), features),
  );
}

const words = [
  [1, 2, 3, 0],
  [5, 5, 4, 1],
  [2, 0, 0, 0],
  [3, 1, 4, 2],
  [1, 1, 1, 1],
  [4, 0, 2, 5],
];
const ids = tensor(words.flat(), { shape: [3, 2, 4], dtype: "int32" });

describe("Highway and CharacterEncoder", () => {
  it("are the equations, in plain loops", () => {
    const encoder = encoderOf();
    const x = encoder.forward(ids);
    expect(x.shape).toEqual([3, 2, 3]);
    expectClose(
      x,
      words.flatMap((word) => encoded(encoder, word)),
      1e-12,
    );
  });

  it("carry nearly everything at first", () => {
    const layer = new Highway(3, options);
    expect(list(layer.gate.bias)).toEqual([-2, -2, -2]);
    assign(layer.gate.bias as Tensor, [-40, -40, -40]);
    const s = generator.normal([4, 3], 0, 1, "float64");
    expectClose(layer.forward(s), list(s), 1e-12);
  });

  it("have right gradients", () => {
    const encoder = encoderOf();
    for (const [name, p] of encoder.namedParameters()) checkParameter(name, p, () => sum(square(encoder.forward(ids))));
  });

  it("say what does not fit", () => {
    const encoder = encoderOf();
    expect(() => encoder.forward(tensor([[1, 2]], { dtype: "int32" }))).toThrow("expected ids of at least 3 characters a word, got [1,2]");
    expect(() => encoder.forward(tensor(1, { dtype: "int32" }))).toThrow("expected ids of at least 3 characters a word, got []");
    expect(encoder.forward(tensor([1, 2, 3], { dtype: "int32" })).shape).toEqual([3]);
    expect(() => encoder.forward(tensor([[1, 2, 3]], { dtype: "float64" }))).toThrow("expected int32 ids, got float64");
    expect(() => new CharacterEncoder({ characters: 3, embeddingSize: 2, filters: [], outputSize: 2 })).toThrow("at least one width");
  });
});

const [T, B, R, V] = [5, 2, 3, 7];
const model = () => new BidirectionalLanguageModel({ encoder: encoderOf(R), vocabSize: V, hiddenSize: 4, ...options });
const input = () => requireGrad(generator.uniform([T, B, R], -1, 1, "float64"));
const targets = tensor([3, 0, 1, 6, 2, 2, 5, 4, 0, 1], { shape: [T, B], dtype: "int32" });

/** At which steps xs matters to y. */
function reaches(y: Tensor, xs: Tensor): boolean[] {
  const [dx] = gradients([sum(square(y))], [xs], [ones([], "float64")]);
  return Array.from({ length: T }, (_, t) => list(select(dx as Tensor, 0, t)).some((v) => v !== 0));
}

describe("BidirectionalLanguageModel", () => {
  it("shows each predictor only what lies on its side, in every layer", () => {
    const net = model();
    const xs = input();
    const layers = net.layers(xs);
    expect(layers.map((h) => h.shape)).toEqual([1, 2, 3].map(() => [T, B, 2 * R]));
    expectClose(slice(layers[0] as Tensor, 2, R), list(xs), 0);
    for (const h of layers.slice(1)) {
      for (let t = 0; t < T; t++) {
        const past = Array.from({ length: T }, (_, s) => s <= t);
        const future = Array.from({ length: T }, (_, s) => s >= t);
        expect(reaches(slice(select(h, 0, t), 1, 0, R), xs)).toEqual(past);
        expect(reaches(slice(select(h, 0, t), 1, R), xs)).toEqual(future);
      }
    }
  });

  it("is two stacks of projected LSTMs with a residual second layer, written in plain loops", () => {
    const net = model();
    const xs = input();
    const [, first, second] = net.layers(xs) as [Tensor, Tensor, Tensor];
    const at = (x: Tensor, t: number) => list(select(select(x, 0, t), 0, 1));
    const order = Array.from({ length: T }, (_, t) => t);
    for (const [d, stack, steps] of [
      [0, net.forwardLayers, order],
      [1, net.backwardLayers, [...order].reverse()],
    ] as const) {
      const [lower, upper] = stack.layers as unknown as [LSTMCell, LSTMCell];
      const y1 = lstmp(
        lower,
        steps.map((t) => at(xs, t)),
      );
      const y2 = lstmp(upper, y1).map((y, i) => plus(y, y1[i] as number[]));
      steps.forEach((t, i) => {
        expectClose(at(first, t).slice(d * R, d * R + R), y1[i] as number[], 1e-12);
        expectClose(at(second, t).slice(d * R, d * R + R), y2[i] as number[], 1e-12);
      });
    }
  });

  it.each([T, 2])("has the loss of both directions over %i words", (T) => {
    const net = model();
    const xs = slice(input(), 0, 0, T);
    const top = net.layers(xs)[2] as Tensor;
    const surprise = (h: Tensor, word: number) => {
      const logits = affine(net.softmax, list(h));
      return Math.log(logits.reduce((total, l) => total + Math.exp(l), 0)) - (logits[word] as number);
    };
    const word = (t: number, b: number) => targets.data()[t * B + b] as number;
    let [left, right] = [0, 0];
    for (let b = 0; b < B; b++) {
      for (let t = 0; t + 1 < T; t++) {
        const at = (s: number) => select(select(top, 0, s), 0, b);
        left += surprise(slice(at(t), 0, 0, R), word(t + 1, b));
        right += surprise(slice(at(t + 1), 0, R), word(t, b));
      }
    }
    expectClose(net.loss(xs, slice(targets, 0, 0, T)), [(left + right) / (B * (T - 1))], 1e-12);
  });

  it("has the gradients of its loss", () => {
    const net = model();
    const short = slice(ids, 0, 0, 3);
    for (const [name, p] of net.namedParameters())
      checkParameter(name, p, () => net.loss(net.encoder.forward(short), slice(targets, 0, 0, 3)));
    expect([...net.stateDict().keys()].filter((name) => name.startsWith("softmax"))).toEqual(["softmax.weight", "softmax.bias"]);
  });

  it("reads sentences of different lengths as if each were alone", () => {
    const net = model();
    const xs = input();
    const lengths = [T, 3];
    const alone = lengths.map((n, b) =>
      net.loss(slice(slice(xs, 0, 0, n), 1, b, b + 1), slice(slice(targets, 0, 0, n), 1, b, b + 1)).item(),
    );
    const weighed = ((alone[0] as number) * (T - 1) + (alone[1] as number) * 2) / (T - 1 + 2);
    expectClose(net.loss(xs, targets, { lengths }), [weighed], 1e-12);
    const h = net.layers(xs, { lengths })[2] as Tensor;
    const single = net.layers(slice(slice(xs, 0, 0, 3), 1, 1))[2] as Tensor;
    expectClose(slice(slice(h, 0, 0, 3), 1, 1), list(single), 1e-12);
    // Beyond a sentence's end there is nothing, in the words' own layer too.
    for (const layer of net.layers(xs, { lengths })) expect(list(slice(slice(layer, 0, 3), 1, 1)).every((v) => v === 0)).toBe(true);
    expectClose(slice(net.layers(xs, { lengths })[0] as Tensor, 1, 0, 1), list(slice(net.layers(xs)[0] as Tensor, 1, 0, 1)), 0);
  });

  it("takes any encoder of words, and says what does not fit", () => {
    class Table extends Embedding {
      readonly outputSize = 3;
    }
    const net = new BidirectionalLanguageModel({ encoder: new Table(V, 3, options), vocabSize: V, hiddenSize: 4, ...options });
    expect(scope(() => net.loss(net.encoder.forward(targets), targets).item())).toBeGreaterThan(0);
    const xs = input();
    expect(() => net.loss(xs, slice(targets, 0, 1))).toThrow("loss: expected words [T,B]");
    expect(() => net.loss(slice(xs, 0, 0, 1), slice(targets, 0, 0, 1))).toThrow("at least two steps");
    expect(() => net.loss(xs, generator.uniform([T, B], 0, 1, "float64"))).toThrow("loss: expected int32 words, got float64");
    expect(() => new BidirectionalLanguageModel({ encoder: encoderOf(5), vocabSize: 3, hiddenSize: 5 })).toThrow(
      "less than 5 values, got 5",
    );
  });
});

describe("ELMo", () => {
  it("mixes layers: equation 1", () => {
    const mix = new ELMo(3, { dtype: "float64" });
    const layers = [0, 1, 2].map(() => generator.normal([T, B, 4], 0, 1, "float64"));
    const mean = list(layers[0] as Tensor).map((_, i) => layers.reduce((total, h) => total + (h.data()[i] as number), 0) / 3);
    expectClose(mix.forward(layers), mean, 1e-12);
    assign(mix.weights, [0.5, -1, 2]);
    assign(mix.scale, [1.7]);
    const e = [0.5, -1, 2].map(Math.exp);
    const share = e.map((v) => v / e.reduce((a, b) => a + b));
    const expected = mean.map((_, i) => 1.7 * layers.reduce((total, h, j) => total + (share[j] as number) * (h.data()[i] as number), 0));
    expectClose(mix.forward(layers), expected, 1e-12);
    for (const [name, p] of mix.namedParameters()) checkParameter(name, p, () => sum(square(mix.forward(layers))));
    expect(() => mix.forward(layers.slice(1))).toThrow("ELMo: expected 3 layers, got 2");
  });
});

/** The outputs of a projected LSTM over one sequence: m = o∘tanh(c), h = W_r m; gates in the order i f g o. */
function lstmp(cell: LSTMCell, sequence: readonly (readonly number[])[]): number[][] {
  const H = cell.hiddenSize;
  let h = new Array<number>(cell.outputSize).fill(0);
  let c = new Array<number>(H).fill(0);
  return sequence.map((x) => {
    const a = plus(times(rows(cell.weightIh), x), times(rows(cell.weightHh), h), list(cell.biasIh), list(cell.biasHh));
    const gate = (k: number, f: (v: number) => number) => a.slice(k * H, (k + 1) * H).map(f);
    const [i, f, g, o] = [gate(0, logistic), gate(1, logistic), gate(2, Math.tanh), gate(3, logistic)];
    c = c.map((v, j) => (f[j] as number) * v + (i[j] as number) * (g[j] as number));
    h = times(
      rows(cell.weightHr as Tensor),
      c.map((v, j) => (o[j] as number) * Math.tanh(v)),
    );
    return h;
  });
}
