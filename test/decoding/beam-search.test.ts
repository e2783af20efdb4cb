import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError, StateError } from "../../src/base/errors.ts";
import { type Autoregressive, beamSearch, greedySearch, type Hypothesis } from "../../src/decoding/beam-search.ts";
import { BahdanauDecoder } from "../../src/encoder-decoder/bahdanau.ts";
import { Encoder } from "../../src/encoder-decoder/encoder.ts";
import { EncoderDecoder } from "../../src/encoder-decoder/encoder-decoder.ts";
import { Embedding, Linear } from "../../src/nn/layers.ts";
import { takeRows } from "../../src/ops/gather.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { Bidirectional } from "../../src/wrappers/bidirectional.ts";

/** A model with attention over 4 target symbols (the end is 0), of random weights large enough to have opinions. */
function tiny(seed: number) {
  const g = new Generator(seed);
  const options = { dtype: "float64", generator: g } as const;
  const gru = (inputSize: number, hiddenSize: number) => new GRUCell({ inputSize, hiddenSize, ...options });
  const encoder = new Encoder(new Bidirectional(gru(3, 3), gru(3, 3)));
  const decoder = new BahdanauDecoder({ encoder, cell: gru(3 + 6, 5), attentionSize: 4, ...options });
  const model = new EncoderDecoder({ encoder, decoder, sourceSymbols: 4, targetSymbols: 4, ...options });
  for (const p of model.parameters()) g.fillUniform(p, -2, 2);
  return model;
}

const MAX = 4;

/** Every sequence of at most MAX symbols that ends, or is cut off there, with its log-probability from the model's logits for the whole. */
function enumerated(model: ReturnType<typeof tiny>, source: number[]): { symbols: number[]; logProbability: number; length: number }[] {
  const grow = (prefix: number[]): number[][] =>
    prefix.length === MAX ? [prefix] : [prefix, ...[1, 2, 3].flatMap((v) => grow([...prefix, v]))];
  return grow([]).map((symbols) => {
    const said = symbols.length === MAX ? symbols : [...symbols, 0];
    const logits = model.forward([source], [symbols]).toArray() as number[][][];
    const logProbability = said.reduce((total, symbol, t) => {
      const row = (logits[t] as number[][])[0] as number[];
      return total + (row[symbol] as number) - Math.log(row.reduce((sum, l) => sum + Math.exp(l), 0));
    }, 0);
    return { symbols, logProbability, length: said.length };
  });
}

describe("beamSearch", () => {
  it.each([1, 2, 3])("as wide as there are sequences is exhaustive enumeration, model %i", (seed) => {
    const model = tiny(seed);
    const all = enumerated(model, [1, 3, 2]);
    // 1 + 3 + 9 + 27 that end, 81 that are cut off
    expect(all.length).toBe(121);
    expect(Math.abs(all.reduce((total, { logProbability }) => total + Math.exp(logProbability), 0) - 1)).toBeLessThan(1e-12);
    for (const lengthPenalty of [0, 0.6, 2]) {
      const found = model.beam([1, 3, 2], { width: 200, maxLength: MAX, lengthPenalty });
      const expected = all
        .map((h) => ({ ...h, score: h.logProbability / ((5 + h.length) / 6) ** lengthPenalty }))
        .sort((a, b) => b.score - a.score);
      expect(found.map((h) => h.symbols)).toEqual(expected.map((h) => h.symbols));
      for (const [i, h] of found.entries()) {
        expect(Math.abs(h.score - (expected[i]?.score as number))).toBeLessThan(1e-9);
        expect(Math.abs(h.logProbability - (expected[i]?.logProbability as number))).toBeLessThan(1e-9);
        expect(h.ended).toBe(h.symbols.length < MAX);
      }
    }
  });

  it("of width 1 is greedy, and a wider one is never worse", () => {
    let better = 0;
    for (let seed = 0; seed < 10; seed++) {
      const model = tiny(seed);
      const [greedy] = model.greedy([[2, 1]], { maxLength: 6 }) as [Hypothesis];
      const [narrow] = model.beam([2, 1], { width: 1, maxLength: 6 }) as [Hypothesis];
      expect(narrow.symbols).toEqual(greedy.symbols);
      expect(Math.abs(narrow.logProbability - greedy.logProbability)).toBeLessThan(1e-9);
      const best = Math.max(...model.beam([2, 1], { width: 50, maxLength: 6 }).map((h) => h.logProbability));
      expect(best).toBeGreaterThanOrEqual(narrow.logProbability - 1e-12);
      if (best > narrow.logProbability + 1e-6) better++;
    }
    expect(better).toBeGreaterThan(0);
  });

  it("prefers longer sequences under a length penalty", () => {
    const lengths = (lengthPenalty: number) =>
      [1, 2, 3, 4, 5, 6].map(
        (seed) => (tiny(seed).beam([1, 2], { width: 60, maxLength: MAX, lengthPenalty })[0] as Hypothesis).symbols.length,
      );
    const total = (list: number[]) => list.reduce((a, b) => a + b);
    expect(total(lengths(8))).toBeGreaterThan(total(lengths(0)));
  });
});

/** A model without context: logits by the symbol before. */
class Table implements Autoregressive<Tensor> {
  readonly logits: Tensor;
  constructor(probabilities: number[][]) {
    this.logits = tensor(
      probabilities.map((row) => row.map(Math.log)),
      { dtype: "float64" },
    );
  }
  step(symbols: Tensor, state: Tensor): [Tensor, Tensor] {
    return [takeRows(this.logits, symbols), state];
  }
}

describe("a table of probabilities", () => {
  // From the start: 0.4 to symbol 1, which goes on with 0.5 at best; 0.35 to symbol 2, which surely ends.
  const model = new Table([
    [0.25, 0.4, 0.35],
    [0.5, 0.25, 0.25],
    [1 - 1e-12, 5e-13, 5e-13],
  ]);
  const state = (batch: number) => zeros([batch, 1], "float64");

  it("misleads the greedy search, and not a beam of two", () => {
    const [greedy] = greedySearch(model, state(1), { maxLength: 5 }) as [Hypothesis];
    expect(greedy).toMatchObject({ symbols: [1], ended: true });
    expect(Math.exp(greedy.logProbability)).toBeCloseTo(0.2, 12);
    const [best] = beamSearch(model, state(1), { width: 2, maxLength: 5 }) as [Hypothesis];
    expect(best).toMatchObject({ symbols: [2], ended: true });
    expect(Math.exp(best.logProbability)).toBeCloseTo(0.35, 9);
  });

  it("is searched for each row of a batch, from a start and to an end of one's own", () => {
    const loop = new Table([
      [0.1, 0.8, 0.1],
      [0.7, 0.1, 0.2],
      [0.2, 0.7, 0.1],
    ]);
    const found = greedySearch(loop, state(2), { maxLength: 3, start: 2, end: 2 });
    expect(found.map((h) => [h.symbols, h.ended])).toEqual([
      [[1, 0, 1], false],
      [[1, 0, 1], false],
    ]);
    expect(found[0]?.logProbability).toBeCloseTo(Math.log(0.7 * 0.7 * 0.8), 12);
  });

  it("leaves no memory behind", () => {
    const s = state(1);
    beamSearch(model, s, { width: 3, maxLength: 5 });
    const before = memory().liveBytes;
    for (let i = 0; i < 20; i++) beamSearch(model, s, { width: 3, maxLength: 5 });
    expect(memory().liveBytes).toBe(before);
  });

  it("cannot be searched by no beam, for no symbols, or for two at once", () => {
    expect(() => beamSearch(model, state(1), { width: 0, maxLength: 5 })).toThrow(ArgumentError);
    expect(() => beamSearch(model, state(1), { width: 2, maxLength: 0 })).toThrow("maxLength");
    expect(() => beamSearch(model, state(2), { width: 2, maxLength: 5 })).toThrow("a batch of 1, got 2");
    expect(() => greedySearch(model, state(1), { maxLength: 1.5 })).toThrow(ArgumentError);
  });
});

describe("a model of stacked layers, whose batch is the second axis of its state", () => {
  const g = new Generator(8);
  const lstm = new LSTM({ inputSize: 3, hiddenSize: 4, numLayers: 2, dtype: "float64", generator: g });
  const [embedding, head] = [new Embedding(4, 3, { dtype: "float64", generator: g }), new Linear(4, 4, { dtype: "float64", generator: g })];
  for (const p of [...lstm.parameters(), ...head.parameters()]) g.fillUniform(p, -2, 2);
  const model: Autoregressive<LstmState> = {
    initialState: (batch) => lstm.initialState(batch),
    step(symbols, state) {
      const [y, next] = lstm.step(embedding.forward(symbols), state);
      return [head.forward(y), next];
    },
  };

  /** Every path of at most three symbols, each stepped alone from the start. */
  const all = (symbols: number[], state: LstmState, logProbability: number): { symbols: number[]; logProbability: number }[] => {
    if (symbols.length === 3) return [{ symbols, logProbability }];
    const [logits, next] = model.step(tensor([symbols.at(-1) ?? 0], { dtype: "int32" }), state);
    const row = logSoftmax(logits, -1).data();
    const ended = { symbols, logProbability: logProbability + (row[0] as number) };
    return [ended, ...[1, 2, 3].flatMap((v) => all([...symbols, v], next, logProbability + (row[v] as number)))];
  };

  it("is searched as every path is stepped alone", () => {
    const expected = all([], lstm.initialState(1), 0).sort((a, b) => b.logProbability - a.logProbability);
    const found = beamSearch(model, lstm.initialState(1), { width: 100, maxLength: 3 });
    expect(found.map((h) => h.symbols)).toEqual(expected.map((e) => e.symbols));
    found.forEach((h, i) => {
      expect(Math.abs(h.logProbability - (expected[i]?.logProbability as number))).toBeLessThan(1e-12);
    });
  });

  it("speaks for every row of a batch", () => {
    const found = greedySearch(model, lstm.initialState(3), { maxLength: 3 });
    const [alone] = greedySearch(model, lstm.initialState(1), { maxLength: 3 });
    expect(found.map((h) => h.symbols)).toEqual([0, 1, 2].map(() => alone?.symbols));
  });
});

describe("a model that says what is no distribution", () => {
  /** Gives one row of logits after another, to every path. */
  const saying = (...rows: number[][]): Autoregressive<Tensor> => {
    let t = 0;
    return {
      step(symbols, state) {
        const row = rows[Math.min(t++, rows.length - 1)] as number[];
        return [tensor(Array.from({ length: symbols.size }, () => row)), state];
      },
    };
  };
  const state = () => zeros([1, 1]);
  const searches = [
    ["greedySearch", (m: Autoregressive<Tensor>, options = {}) => greedySearch(m, state(), { maxLength: 4, ...options })],
    ["beamSearch", (m: Autoregressive<Tensor>, options = {}) => beamSearch(m, state(), { width: 3, maxLength: 4, ...options })],
  ] as const;

  it.each(searches)("%s refuses NaN and names the step", (name, find) => {
    for (const bad of [[0, Number.NaN, 1], [Number.POSITIVE_INFINITY, 0, 0], [0, 0, 0].fill(Number.NEGATIVE_INFINITY)]) {
      expect(() => find(saying([-9, 1, 2], bad))).toThrow(ArgumentError);
      expect(() => find(saying([-9, 1, 2], bad))).toThrow(`${name}: expected logits that have a softmax, got NaN for symbol`);
      expect(() => find(saying([-9, 1, 2], bad))).toThrow("at step 1");
    }
  });

  it.each(searches)("%s refuses an end or a start that is no symbol", (name, find) => {
    for (const end of [-1, 0.5, Number.NaN, 3]) {
      expect(() => find(saying([0, 1, 2]), { end })).toThrow(ArgumentError);
      expect(() => find(saying([0, 1, 2]), { end })).toThrow(`${name}: expected end`);
    }
    expect(() => find(saying([0, 1, 2]), { start: -1 })).toThrow(`${name}: expected start`);
    expect(find(saying([0, 1, 2]), { end: 2 })[0]?.symbols).toEqual([]);
  });

  it.each(searches)("%s refuses a step that is asynchronous or gives no logits [B,V]", (name, find) => {
    const giving = (value: unknown) => ({ step: () => value }) as unknown as Autoregressive<Tensor>;
    expect(() => find(giving(Promise.resolve([zeros([1, 3]), state()])))).toThrow(StateError);
    expect(() => find(giving(Promise.resolve(1)))).toThrow(`${name}: expected a synchronous function, got a promise`);
    expect(() => find(giving(undefined))).toThrow(DTypeError);
    expect(() => find(giving([null, state()]))).toThrow(DTypeError);
    expect(() => find(giving([zeros([3]), state()]))).toThrow(ShapeError);
    expect(() => find(giving([zeros([2, 3]), state()]))).toThrow(ShapeError);
  });

  it("leaves what is impossible out of the beam, and rows of a batch that have ended alone", () => {
    const never = Number.NEGATIVE_INFINITY;
    // Symbol 1, then the end: there is nothing else, however wide the beam.
    const found = beamSearch(saying([never, 0, never], [0, never, never]), state(), { width: 5, maxLength: 4 });
    expect(found).toEqual([{ symbols: [1], logProbability: 0, score: 0, ended: true }]);
    let t = 0;
    const halves: Autoregressive<Tensor> = {
      step: (_, s) => [
        tensor(
          t++ === 0
            ? [
                [9, 0],
                [0, 9],
              ]
            : [
                [Number.NaN, 0],
                [9, 0],
              ],
        ),
        s,
      ],
    };
    expect(greedySearch(halves, zeros([2, 1]), { maxLength: 4 }).map((h) => h.symbols)).toEqual([[], [1]]);
  });

  it("has a length penalty that is a number", () => {
    for (const lengthPenalty of [Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => beamSearch(saying([0, 1]), state(), { width: 1, maxLength: 1, lengthPenalty })).toThrow(ArgumentError);
    }
  });
});
