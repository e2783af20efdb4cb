import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { isFloat } from "../../src/base/dtype.ts";
import { ArgumentError, ShapeError } from "../../src/base/errors.ts";
import { SimpleRecurrentNetwork } from "../../src/cells/simple/elman.ts";
import { padSequences } from "../../src/data/sequences.ts";
import type { AttentionState } from "../../src/encoder-decoder/attention.ts";
import { BahdanauDecoder } from "../../src/encoder-decoder/bahdanau.ts";
import { ContextDecoder } from "../../src/encoder-decoder/cho.ts";
import type { Decoder } from "../../src/encoder-decoder/decoder.ts";
import { Encoder, type Source, vectorOf } from "../../src/encoder-decoder/encoder.ts";
import { EncoderDecoder } from "../../src/encoder-decoder/encoder-decoder.ts";
import { LuongDecoder, type LuongDecoderOptions } from "../../src/encoder-decoder/luong.ts";
import { StateDecoder } from "../../src/encoder-decoder/sutskever.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { cast } from "../../src/ops/cast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import { Adam } from "../../src/optim/adam.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { mapState, type State } from "../../src/recurrence/state.ts";
import { ones } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor } from "../../src/tensor/tensor.ts";
import { Bidirectional } from "../../src/wrappers/bidirectional.ts";
import { type StackedLayer, StackedRNN } from "../../src/wrappers/stacked.ts";
import { accept, checkParameter, expectClose, learn } from "../cells/acceptance.ts";
import { elman as elmanOf, holdLossAgainst, lstm as lstmOf, type Numbers } from "../oracle/equations.ts";
import { logistic, plus, rows, times } from "../oracle/numbers.ts";

const f64 = (seed: number) => ({ dtype: "float64", generator: new Generator(seed) }) as const;
const [I, H, E] = [3, 4, 4];
const SIZES = { outputSize: E, stateSize: 2 };

/** Two sources of 5 and 3 steps. */
function source(seed = 11): Source {
  const g = new Generator(seed);
  return { states: g.uniform([5, 2, E], -1, 1, "float64"), lengths: [5, 3], last: g.uniform([2, 2], -1, 1, "float64") };
}

/** A decoder with all parameters from U(±1), so that alignments are far from uniform. */
function spread<D extends Decoder>(decoder: D, seed = 5): D {
  const g = new Generator(seed);
  for (const p of decoder.parameters()) g.fillUniform(p, -1, 1);
  return decoder;
}

const rnn = (inputSize: number) => new RNNCell({ inputSize, hiddenSize: H, ...f64(2) });
const bahdanau = () => spread(new BahdanauDecoder({ encoder: SIZES, cell: rnn(I + E), attentionSize: 3, ...f64(3) }));
const luong = (options: Partial<LuongDecoderOptions<Tensor>> = {}) => {
  const fed = options.inputFeeding === false ? 0 : (options.outputSize ?? H);
  return spread(new LuongDecoder({ encoder: SIZES, cell: rnn(I + fed), start: "linear", ...options, ...f64(3) }));
};
const cho = () => spread(new ContextDecoder({ encoder: SIZES, cell: rnn(I + 3), contextSize: 3, ...f64(3) }));

/** The state after `start`, with random values where it begins with zeros. */
function begun<S extends State>(decoder: Decoder<S>): S {
  const g = new Generator(7);
  return mapState((t) => (isFloat(t.dtype) ? g.uniform(t.shape, -0.5, 0.5, "float64") : t), decoder.start(source()));
}

describe("decoders as cells", () => {
  it("a state alone", () => accept(new StateDecoder({ encoder: SIZES, cell: new GRUCell({ inputSize: I, hiddenSize: H, ...f64(1) }) })));
  it("a context", () => accept(cho()));
  it("additive attention", () => accept(bahdanau(), { state: begun(bahdanau()) }));
  it("additive attention over an LSTM", () => {
    const decoder = spread(
      new BahdanauDecoder({
        encoder: SIZES,
        cell: new LSTMCell({ inputSize: I + E, hiddenSize: H, ...f64(1) }),
        attentionSize: 3,
        ...f64(2),
      }),
    );
    accept(decoder, { state: begun(decoder) });
    accept(decoder);
  });
  it("additive attention over two layers of different cells", () => {
    const layers = [
      new GRUCell({ inputSize: I + E, hiddenSize: H, ...f64(1) }),
      new SimpleRecurrentNetwork({ inputSize: H, hiddenSize: 3, ...f64(2) }),
    ];
    const decoder = spread(new BahdanauDecoder({ encoder: SIZES, cell: new StackedRNN<State>(layers), attentionSize: 3, ...f64(2) }));
    // The alignment model sees the upper layer.
    expect(decoder.weightQuery.shape).toEqual([3, 3]);
    accept(decoder, { state: begun(decoder) });
  });
  it.each(["dot", "general", "concat"] as const)("product attention, %s", (score) =>
    accept(luong({ score }), { state: begun(luong({ score })) }),
  );
  it("product attention without input feeding", () => {
    const decoder = luong({ inputFeeding: false, outputSize: 5 });
    accept(decoder, { state: begun(decoder) });
  });
  it("local attention", () => accept(luong({ window: 2 }), { state: begun(luong({ window: 2 })) }));
  it.each([cho, bahdanau, luong, () => luong({ score: "concat", window: 1.5 })])("start has the gradients of its equations", (make) => {
    const decoder = make() as Decoder;
    const xs = new Generator(1).uniform([3, 2, I], -1, 1, "float64");
    for (const [name, p] of decoder.namedParameters()) {
      checkParameter(name, p, () => sum(decoder.scan(xs, decoder.start(source()))[0]));
    }
  });
});

// ---- Oracles: plain loops from the papers, one sequence at a time ----

type Vector = readonly number[];
const dot = (a: Vector, b: Vector) => a.reduce((total, v, i) => total + v * (b[i] as number), 0);
const softmax = (a: Vector) => {
  const e = a.map((v) => Math.exp(v));
  const total = e.reduce((p, q) => p + q);
  return e.map((v) => v / total);
};
const weighted = (alpha: Vector, memory: readonly Vector[]) => plus(...memory.map((e, j) => e.map((v) => v * (alpha[j] as number))));
const vector = (t: Tensor | null) => Array.from((t as Tensor).data());

/** h' = tanh(W x + b + U h + b'). */
function elman(cell: RNNCell, x: Vector, h: Vector): number[] {
  return plus(times(rows(cell.weightIh), x), vector(cell.biasIh), times(rows(cell.weightHh), h), vector(cell.biasHh)).map(Math.tanh);
}

/** The real encoder states of sequence b, and the encoder's last vector. */
function sourceOf(b: number): { memory: number[][]; last: number[] } {
  const { states, lengths, last } = source();
  const memory = Array.from({ length: lengths[b] as number }, (_, j) => vector(select(select(states, 0, j), 0, b)));
  return { memory, last: vector(select(last as Tensor, 0, b)) };
}

/** Runs 4 steps of a decoder on two sources; gives the outputs and alignments of sequence b. */
function run<S extends State>(decoder: Decoder<S>, b: number): { xs: number[][]; ys: number[][]; alignments: number[][] } {
  const all = new Generator(1).uniform([4, 2, I], -1, 1, "float64");
  let state = decoder.start(source());
  const out = { xs: [] as number[][], ys: [] as number[][], alignments: [] as number[][] };
  for (let t = 0; t < 4; t++) {
    const [y, next] = decoder.step(select(all, 0, t), state);
    state = next;
    out.xs.push(vector(select(select(all, 0, t), 0, b)));
    out.ys.push(vector(select(y, 0, b)));
    const alignment = decoder.alignment(state);
    if (alignment !== null) out.alignments.push(vector(select(alignment, 0, b)));
  }
  return out;
}

const initial = (weight: Tensor, bias: Tensor, h: Vector) => plus(times(rows(weight), h), vector(bias)).map(Math.tanh);

describe.each([0, 1])("the papers' equations, sequence %i", (b) => {
  it("a context seen at every step (Cho et al. 2014)", () => {
    const decoder = cho();
    const { xs, ys } = run(decoder, b);
    const c = initial(decoder.weightContext, decoder.biasContext, sourceOf(b).last);
    let s = initial(decoder.bridge.weight, decoder.bridge.bias, c);
    for (const [t, x] of xs.entries()) {
      s = elman(decoder.cell as RNNCell, [...x, ...c], s);
      expectClose(ys[t] as number[], [...s, ...x, ...c], 1e-12);
    }
  });

  it("additive attention before the step (Bahdanau et al. 2015)", () => {
    const decoder = bahdanau();
    const { xs, ys, alignments } = run(decoder, b);
    const { memory, last } = sourceOf(b);
    let s = initial(decoder.bridge.weight, decoder.bridge.bias, last);
    for (const [t, x] of xs.entries()) {
      const scores = memory.map((e) =>
        dot(vector(decoder.weightScore), plus(times(rows(decoder.weightQuery), s), times(rows(decoder.weightKey), e)).map(Math.tanh)),
      );
      const alpha = softmax(scores);
      const c = weighted(alpha, memory);
      s = elman(decoder.cell as RNNCell, [...x, ...c], s);
      expectClose(ys[t] as number[], [...s, ...x, ...c], 1e-12);
      expectClose((alignments[t] as number[]).slice(0, alpha.length), alpha, 1e-12);
      expect((alignments[t] as number[]).slice(alpha.length)).toEqual(new Array(5 - alpha.length).fill(0));
    }
  });

  const variants: Partial<LuongDecoderOptions<Tensor>>[] = [
    { score: "dot" },
    { score: "general", outputSize: 3 },
    { score: "concat", attentionSize: 5 },
    { score: "general", inputFeeding: false },
    { score: "general", window: 1 },
    { score: "concat", window: 1.5 },
  ];
  it.each(variants.map((v) => [JSON.stringify(v), v] as const))("attention after the step (Luong et al. 2015), %s", (_, options) => {
    const decoder = luong(options);
    const { xs, ys, alignments } = run(decoder, b);
    const { memory, last } = sourceOf(b);
    const W = decoder.weightAlign === null ? [] : rows(decoder.weightAlign);
    const score = (s: Vector, e: Vector) => {
      if (options.score === "dot") return dot(s, e);
      if (options.score === "general") return dot(s, times(W, e));
      return dot(vector(decoder.weightScore), times(W, [...s, ...e]).map(Math.tanh));
    };
    let s = initial(decoder.bridge?.weight as Tensor, decoder.bridge?.bias as Tensor, last);
    let attentional = new Array<number>(decoder.outputSize).fill(0);
    let outside = 0;
    for (const [t, x] of xs.entries()) {
      s = elman(decoder.cell as RNNCell, options.inputFeeding === false ? x : [...x, ...attentional], s);
      let alpha = softmax(memory.map((e) => score(s, e)));
      if (options.window !== undefined && decoder.position !== null) {
        const { weightPosition, weightPredict } = decoder.position;
        const p = memory.length * logistic(dot(vector(weightPredict), times(rows(weightPosition), s).map(Math.tanh)));
        const D = options.window;
        const near = memory.map((_, j) => Math.abs(j - p) <= D);
        outside += near.filter((n) => !n).length;
        const inside = softmax(memory.filter((_, j) => near[j]).map((e) => score(s, e)));
        alpha = memory.map((_, j) => (near[j] ? (inside.shift() as number) * Math.exp(-((j - p) ** 2) / (2 * (D / 2) ** 2)) : 0));
      }
      attentional = times(rows(decoder.weightCombine), [...weighted(alpha, memory), ...s]).map(Math.tanh);
      expectClose(ys[t] as number[], attentional, 1e-12);
      expectClose((alignments[t] as number[]).slice(0, alpha.length), alpha, 1e-12);
    }
    expect(outside > 0).toBe(options.window !== undefined);
  });
});

describe("Encoder", () => {
  const cell = (seed: number) => new GRUCell({ inputSize: I, hiddenSize: H, ...f64(seed) });
  const xs = new Generator(1).uniform([5, 2, I], -1, 1, "float64");

  it("reads each sequence within its own length", () => {
    const [forward, backward] = [cell(1), cell(2)];
    const { states, last } = new Encoder(new Bidirectional(forward, backward)).encode(xs, [5, 3]);
    const [alone] = backward.scan(slice(slice(xs, 0, 0, 3), 1, 1, 2), undefined, { reverse: true });
    expect(states.shape).toEqual([5, 2, 2 * H]);
    const third = [...vector(select(select(forward.scan(xs)[0], 0, 2), 0, 1)), ...vector(select(alone, 0, 2))];
    expectClose(select(select(states, 0, 2), 0, 1), third, 1e-15);
    expect(vector(select(select(states, 0, 3), 0, 1)).every((v) => v === 0)).toBe(true);
    // Backwards, what is read last is the first step.
    expectClose(select(vectorOf(last), 0, 1), vector(select(alone, 0, 0)), 1e-15);
  });

  it("reads from the end with reverse", () => {
    const { states, last } = new Encoder(cell(1), { reverse: true }).encode(xs, [5, 3]);
    expectClose(vectorOf(last), vector(select(states, 0, 0)), 0);
    expectClose(states, vector(cell(1).scan(xs, undefined, { lengths: [5, 3], reverse: true })[0]), 0);
  });

  it("is summed up by its last layer", () => {
    const stack = new StackedRNN([cell(1), new LSTMCell({ inputSize: H, hiddenSize: 5, ...f64(2) })] as StackedLayer<State>[]);
    const encoder = new Encoder(stack);
    expect([encoder.outputSize, encoder.stateSize]).toEqual([5, 5]);
    const { states, last } = encoder.encode(xs);
    expectClose(vectorOf(last), vector(select(states, 0, 4)), 0);
  });

  it("says what it cannot read", () => {
    for (const [b, lengths] of [
      [0, 5],
      [5, 0],
    ].entries())
      expect(() => new Encoder(cell(1)).encode(xs, lengths)).toThrow(`none at position ${b}`);
    expect(() => new Encoder(new RNN({ inputSize: 2, hiddenSize: 2 }))).toThrow("expected a state with a vector [B,H], got [1,1,2]");
  });
});

describe("StateDecoder", () => {
  it("goes on from the last states of all the encoder's layers", () => {
    const stack = (seed: number) =>
      new StackedRNN([I, H].map((inputSize, l) => new LSTMCell({ inputSize, hiddenSize: H, ...f64(seed + l) })));
    const [encoder, cell] = [new Encoder(stack(1)), stack(5)];
    const xs = new Generator(1).uniform([5, 2, I], -1, 1, "float64");
    const read = encoder.encode(xs, [5, 3]);
    const decoder = new StateDecoder({ encoder, cell });
    expectClose(decoder.scan(xs, decoder.start(read))[0], vector(cell.scan(xs, read.last as never)[0]), 0);
    const [alone] = stack(1).scan(slice(slice(xs, 0, 0, 3), 1, 1, 2));
    expectClose(select(vectorOf(decoder.start(read)), 0, 1), vector(select(alone, 0, 2)), 1e-15);
  });
});

describe("over an LSTM a made state is tanh(W h + b) for h and zero for c, values and derivatives", () => {
  type Contexts = (p: Numbers, last: Vector) => number[];
  const layer = (p: Numbers, weight: string, bias: string, v: Vector) =>
    plus(times(p.matrix(weight, v.length), v), p.vector(bias)).map(Math.tanh);
  const cell = (inputSize: number) => new LSTMCell({ inputSize, hiddenSize: H, ...f64(2) });
  it.each<[string, Decoder<LstmState>, Contexts | null]>([
    ["StateDecoder", new StateDecoder({ encoder: SIZES, cell: cell(I), start: "linear", ...f64(3) }), null],
    [
      "ContextDecoder (Cho et al. 2014)",
      new ContextDecoder({ encoder: SIZES, cell: cell(I + 3), contextSize: 3, ...f64(3) }) as unknown as Decoder<LstmState>,
      (p, last) => layer(p, "weight_context", "bias_context", last),
    ],
  ])("%s", (_, decoder, contexts) => {
    const all = new Generator(1).uniform([4, 2, I], -1, 1, "float64");
    const share = new Generator(2).uniform([4, 2, decoder.outputSize], -1, 1, "float64");
    const oneStep = (t: Tensor, time: number, b: number) => vector(select(select(t, 0, time), 0, b));
    holdLossAgainst(
      decoder,
      () => sum(mul(decoder.scan(all, decoder.start(source()))[0], share)),
      (p) => {
        let total = 0;
        for (const b of [0, 1]) {
          const { last } = sourceOf(b);
          const c = contexts?.(p, last) ?? [];
          let state: { h: Vector; c: Vector } = {
            h: layer(p, "bridge.weight", "bridge.bias", contexts ? c : last),
            c: new Array<number>(H).fill(0),
          };
          for (let t = 0; t < 4; t++) {
            const x = oneStep(all, t, b);
            state = lstmOf(p, "cell.", [...x, ...c], state.h, state.c);
            total += dot(contexts ? [...state.h, ...x, ...c] : state.h, oneStep(share, t, b));
          }
        }
        return total;
      },
    );
  });
});

describe("LuongDecoder", () => {
  it("starts from the encoder's last state unless told otherwise", () => {
    const decoder = new LuongDecoder({ encoder: { outputSize: E, stateSize: H }, cell: rnn(I + H), ...f64(3) });
    const last = new Generator(8).uniform([2, H], -1, 1, "float64");
    expectClose(decoder.start({ ...source(), last }).cell, vector(last), 0);
    expect([...decoder.namedParameters()].some(([name]) => name.startsWith("bridge"))).toBe(false);
  });
});

describe("decoders that attend", () => {
  it("start with alignments of zeros; without a source they attend to one position of zeros", () => {
    for (const decoder of [bahdanau(), luong(), luong({ score: "concat" })] as Decoder<AttentionState<Tensor>>[]) {
      expect(decoder.alignment(decoder.start(source()))?.toArray()).toEqual([0, 1].map(() => [0, 0, 0, 0, 0]));
      const start = decoder.initialState(2);
      expect([start.memory.shape, decoder.alignment(start)?.toArray()]).toEqual([
        [2, 1, E],
        [[0], [0]],
      ]);
      const [y, next] = decoder.step(new Generator(1).uniform([2, I], -1, 1, "float64"), start);
      expect(decoder.alignment(next)?.toArray()).toEqual([[1], [1]]);
      if (decoder instanceof BahdanauDecoder) expect(vector(slice(y, 1, H + I))).toEqual(new Array(2 * E).fill(0));
    }
  });
});

describe("what does not fit", () => {
  it("is named", () => {
    expect(() => vectorOf([])).toThrow("expected a state with a vector [B,H], got an empty one");
    const last = { h: ones([2, H], "float64"), c: ones([2, H], "float64") };
    expect(() => new StateDecoder({ encoder: SIZES, cell: rnn(I) }).start({ ...source(), last })).toThrow(
      "[2,4], as the decoder's, got [2,4] [2,4]",
    );
    expect(new BahdanauDecoder({ encoder: SIZES, cell: rnn(E + 1), attentionSize: 3 }).inputSize).toBe(1);
    expect(() => new BahdanauDecoder({ encoder: SIZES, cell: rnn(4), attentionSize: 3 })).toThrow(
      "inputSize above 4, the size of the context, got 4",
    );
    expect(() => new LuongDecoder({ encoder: { outputSize: 5, stateSize: 2 }, cell: rnn(9), score: "dot" })).toThrow(
      'size 5 for score "dot", got 4',
    );
    expect(() => luong({ window: 0.5 })).toThrow("window of at least 1");
    expect(() => new StateDecoder({ encoder: SIZES, cell: rnn(I) }).start(source())).toThrow("expected a last state of the encoder [2,4]");
  });
});

// ---- The model ----

/** A small model of every kind: 4 source symbols, 5 target symbols. */
function models(dtype: "float32" | "float64" = "float64"): Record<string, EncoderDecoder<State>> {
  const g = new Generator(4);
  const options = { dtype, generator: g };
  const gru = (inputSize: number, hiddenSize: number) => new GRUCell({ inputSize, hiddenSize, ...options });
  const encoder = () => new Encoder(new Bidirectional(gru(3, 4), gru(3, 4)));
  const model = (decoder: Decoder<State>, e: Encoder, maxout = {}) =>
    new EncoderDecoder({ encoder: e, decoder, sourceSymbols: 4, targetSymbols: 5, ...maxout, ...options });
  const e = encoder();
  const lstm = (inputSize: number) => new LSTMCell({ inputSize, hiddenSize: 6, ...options });
  const forwards = new Encoder(gru(3, 4));
  const reader = new Encoder(lstm(3), { reverse: true });
  return {
    state: model(new StateDecoder({ encoder: reader, cell: lstm(3), ...options }) as Decoder<State>, reader),
    context: model(new ContextDecoder({ encoder: forwards, cell: gru(8, 6), contextSize: 5, ...options }) as Decoder<State>, forwards, {
      maxout: 4,
    }),
    bahdanau: model(new BahdanauDecoder({ encoder: e, cell: gru(11, 6), attentionSize: 5, ...options }) as Decoder<State>, e, {
      maxout: 4,
    }),
    luong: model(new LuongDecoder({ encoder: e, cell: gru(9, 6), start: "linear", ...options }) as Decoder<State>, e),
    local: model(new LuongDecoder({ encoder: e, cell: gru(9, 6), start: "linear", window: 2, ...options }) as Decoder<State>, e),
  };
}

const SOURCES = [[1, 2, 3, 1], [2], [3, 3]];
const TARGETS = [[4, 1], [2, 2, 3], [1]];

describe.each(Object.keys(models()))("EncoderDecoder, %s", (name) => {
  const model = models()[name] as EncoderDecoder<State>;

  it("gives each sequence of a batch the loss it has alone", () => {
    const loss = (sources: number[][], targets: number[][]) => noGrad(() => model.loss(sources, targets).item());
    const symbols = TARGETS.map((t) => t.length + 1);
    const alone = SOURCES.map((s, i) => loss([s], [TARGETS[i] as number[]]) * (symbols[i] as number));
    const total = symbols.reduce((a, b) => a + b);
    expect(Math.abs(loss(SOURCES, TARGETS) - alone.reduce((a, b) => a + b) / total)).toBeLessThan(1e-12);
  });

  it("is the chain of its steps: symbols are shifted by one, and end last", () => {
    let state = model.encode([SOURCES[0] as number[]]);
    const target = [...(TARGETS[0] as number[]), 0];
    let loss = 0;
    for (const [i, symbol] of target.entries()) {
      const before = i === 0 ? 0 : (target[i - 1] as number);
      const [logits, next] = noGrad(() => model.step(indices([before]), state));
      loss -= Math.log(softmax(vector(logits))[symbol] as number);
      state = next;
    }
    expect(Math.abs(model.loss([SOURCES[0] as number[]], [TARGETS[0] as number[]]).item() - loss / 3)).toBeLessThan(1e-12);
  });

  it("has gradients for all its parameters, through the source as well", () => {
    const g = new Generator(9);
    for (const p of model.parameters()) g.fillUniform(p, -0.7, 0.7);
    for (const [parameter, p] of model.namedParameters()) {
      if (parameter.includes("embedding") || parameter.includes("weight_ih"))
        checkParameter(parameter, p, () => model.loss(SOURCES, TARGETS));
      const [d] = gradients([model.loss(SOURCES, TARGETS)], [p], [ones([], "float64")]);
      expect(
        vector(d ?? null).some((v) => v !== 0),
        parameter,
      ).toBe(true);
    }
  });

  it("says which batches it cannot take", () => {
    expect(() => model.loss([], [])).toThrow("at least one source, got none");
    for (const symbol of [1.5, Number.NaN, 2 ** 32 + 1])
      expect(() => model.loss([[1]], [[symbol]])).toThrow(`expected symbols as whole numbers, got ${symbol} in sequence 0`);
    expect(() => model.loss(SOURCES, [[1]])).toThrow("as many targets as sources, got 1 and 3");
    expect(() => model.loss([[]], [[1]])).toThrow(ShapeError);
    expect(() => model.loss([[1], []], [[1], [2]])).toThrow("none at position 1");
  });

  it("samples its own symbols in training where it is told to", () => {
    const loss = (truth: number, seed: number) => model.loss(SOURCES, TARGETS, { truth, generator: new Generator(seed) }).item();
    expect(loss(1, 1)).toBe(model.loss(SOURCES, TARGETS).item());
    expect(loss(0, 1)).toBe(loss(0, 1));
    expect(new Set([loss(0, 1), loss(0, 2), loss(0, 3), loss(1, 1)]).size).toBeGreaterThan(2);
    for (const truth of [1.5, -0.1, Number.NaN]) expect(() => loss(truth, 1)).toThrow(`loss: expected truth in [0, 1], got ${truth}`);
  });
});

const indices = (symbols: number[]) => {
  const t = ones([symbols.length], "int32");
  assign(t, symbols);
  return t;
};

describe("from symbols to a loss", () => {
  it.each([undefined, 3])("is what the papers say in plain loops, values and derivatives; maxout %s", (maxout) => {
    const encoder = new Encoder(new RNNCell({ inputSize: I, hiddenSize: H, ...f64(1) }), { reverse: true });
    const decoder = new ContextDecoder({ encoder, cell: rnn(2 + 3), contextSize: 3, ...f64(3) });
    const sizes = { sourceSymbols: 4, targetSymbols: 5, end: 2, ...(maxout && { maxout }) };
    const model = new EncoderDecoder<State>({ encoder, decoder: decoder as unknown as Decoder<State>, ...sizes, ...f64(4) });
    const affine = (p: Numbers, weight: string, bias: string, v: Vector) => plus(times(p.matrix(weight, v.length), v), p.vector(bias));
    holdLossAgainst(
      model,
      () => model.loss(SOURCES, TARGETS),
      (p) => {
        const nats = SOURCES.flatMap((source, b) => {
          let h: Vector = new Array<number>(H).fill(0);
          for (const symbol of source.toReversed())
            h = elmanOf(p, "encoder.recurrence.", p.matrix("source_embedding.weight", I)[symbol] as Vector, h);
          const c = affine(p, "decoder.weight_context", "decoder.bias_context", h).map(Math.tanh);
          let s: Vector = affine(p, "decoder.bridge.weight", "decoder.bridge.bias", c).map(Math.tanh);
          const said = [...(TARGETS[b] as number[]), 2];
          return said.map((symbol, i) => {
            const x = p.matrix("target_embedding.weight", 2)[said[i - 1] ?? 2] as Vector;
            s = elmanOf(p, "decoder.cell.", [...x, ...c], s);
            const y = [...s, ...x, ...c];
            const pairs = () => affine(p, "readout.hidden.weight", "readout.hidden.bias", y);
            const greater = () => Array.from({ length: 3 }, (_, k) => Math.max(pairs()[2 * k] as number, pairs()[2 * k + 1] as number));
            const logits = maxout
              ? affine(p, "readout.output.weight", "readout.output.bias", greater())
              : affine(p, "readout.weight", "readout.bias", y);
            return -Math.log(softmax(logits)[symbol] as number);
          });
        });
        return nats.reduce((a, b) => a + b) / nats.length;
      },
    );
  });

  it("refuses ends that are no symbol", () => {
    const encoder = new Encoder(rnn(I));
    const decoder = new StateDecoder({ encoder, cell: rnn(I) }) as unknown as Decoder<State>;
    const make = (end: number) => new EncoderDecoder({ encoder, decoder, sourceSymbols: 4, targetSymbols: 5, end });
    for (const end of [-1, 5, 0.5])
      expect(() => make(end)).toThrow(`EncoderDecoder: expected end to be a whole number in [0, 5), got ${end}`);
    expect([make(0).end, make(4).end]).toEqual([0, 4]);
    const maxout = () => new EncoderDecoder({ encoder, decoder, sourceSymbols: 4, targetSymbols: 5, maxout: 0 });
    expect(maxout).toThrow("EncoderDecoder: expected maxout to be a whole number of at least 1, got 0");
  });
});

describe("padded symbols", () => {
  const gru = (inputSize: number, seed: number) => new GRUCell({ inputSize, hiddenSize: H, ...f64(seed) });
  const encoder = new Encoder(gru(I, 1));
  const decoder = new BahdanauDecoder({ encoder, cell: gru(I + H, 2), attentionSize: 3, ...f64(3) });
  const model = new EncoderDecoder({ encoder, decoder, sourceSymbols: 6, targetSymbols: 5, ...f64(4) });
  const [sources, targets] = [
    [[5, 1, 2], [3]],
    [[4], [2, 1]],
  ];
  // What stands in the padding does not matter, even if it is no symbol.
  const [from, to] = [padSequences(sources, { padding: 99 }), padSequences(targets, { padding: -100 })];

  it("are what lists of their symbols are", () => {
    expect(model.loss(from, to).item()).toBe(model.loss(sources, targets).item());
    expect(model.forward(from, to).toArray()).toEqual(model.forward(sources, targets).toArray());
    expect(model.greedy(from, { maxLength: 6 })).toEqual(model.greedy(sources, { maxLength: 6 }));
    expect(model.alignments(from, to)).toEqual(model.alignments(sources, targets));
    const full = [
      [1, 2],
      [3, 4],
    ];
    expect(model.greedy({ ...padSequences(full), lengths: null }, { maxLength: 6 })).toEqual(model.greedy(full, { maxLength: 6 }));
    const typed = sources.map((s) => Int32Array.from(s));
    expect(model.loss(typed, targets).item()).toBe(model.loss(sources, targets).item());
  });

  it("are refused where they are none", () => {
    const { padded, lengths } = from;
    expect(() => model.encode({ padded: cast(padded, "float32"), lengths })).toThrow("encode: expected int32 symbols, got float32");
    expect(() => model.encode({ padded: select(padded, 0, 0), lengths })).toThrow("encode: expected padded symbols [T,B], got [2]");
    expect(() => model.encode({ padded, lengths: [1, 4] })).toThrow(ArgumentError);
    expect(() => model.loss(from, { padded, lengths: [1] })).toThrow(ShapeError);
  });
});

describe("scheduled sampling", () => {
  it("almost always gives the true symbol when it should: the loss is that of teacher forcing", () => {
    const model = models().bahdanau as EncoderDecoder<State>;
    const forced = model.loss(SOURCES, TARGETS).item();
    expect(Math.abs(model.loss(SOURCES, TARGETS, { truth: 1 - 1e-9, generator: new Generator(1) }).item() - forced)).toBeLessThan(1e-12);
  });
});

describe("alignments", () => {
  it("are distributions over the real source symbols", () => {
    const model = models().bahdanau as EncoderDecoder<State>;
    const all = model.alignments(SOURCES, TARGETS);
    expect(all.map((a) => [a.length, a[0]?.length])).toEqual([
      [3, 4],
      [4, 1],
      [2, 2],
    ]);
    for (const row of all.flat()) expect(Math.abs(row.reduce((a, b) => a + b) - 1)).toBeLessThan(1e-12);
    // Those of the steps of each pair alone.
    for (const [b, target] of TARGETS.entries()) {
      let state = model.encode([SOURCES[b] as number[]]);
      for (const [i, before] of [model.end, ...target].entries()) {
        state = model.step(indices([before]), state)[1];
        expectClose(all[b]?.[i] as number[], vector(model.decoder.alignment(state)), 1e-12);
      }
    }
    expect(() => (models().state as EncoderDecoder<State>).alignments(SOURCES, TARGETS)).toThrow("decoder with attention");
  });
});

describe("learning", () => {
  it("teaches the alignment model although it starts from zero", () => {
    const model = models("float32").bahdanau as EncoderDecoder<State>;
    const optimizer = new Adam(model.parameters(), { lr: 2e-2 });
    const error = learn(150, () => {
      const loss = model.loss(SOURCES, TARGETS);
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss;
    });
    expect(error).toBeLessThan(0.05);
    expect(model.greedy(SOURCES, { maxLength: 6 }).map((h) => h.symbols)).toEqual(TARGETS);
    const { weightScore } = model.decoder as unknown as BahdanauDecoder<Tensor>;
    expect(vector(weightScore).every((v) => v !== 0)).toBe(true);
  });
});
