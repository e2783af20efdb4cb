import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { FormatError } from "../../src/base/errors.ts";
import { characters } from "../../src/cli/generate.ts";
import { Vocabulary } from "../../src/data/text.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { bitsPerCharacter, CharModel, type CharState, decodeModel, encodeModel } from "../../src/models/char-model.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { mean } from "../../src/ops/reduce.ts";
import { crossEntropyWithLogits } from "../../src/ops/softmax.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const [T, B, V, H] = [5, 3, 7, 9];
const model = new CharModel({ vocabSize: V, hidden: H, seed: 3 });
const values = Int32Array.from({ length: T * B }, (_, i) => (i * i + 2 * i) % V);
const ids = tensor(values, { shape: [T, B] });
const targets = tensor(
  values.map((v) => (v + 3) % V),
  { shape: [T, B] },
);

/** The same model as written: one-hot vectors through the layer. */
function asWritten(): Tensor {
  const hot = new Float32Array(T * B * V);
  values.forEach((v, i) => {
    hot[i * V + v] = 1;
  });
  const { output } = model.lstm.forward(tensor(hot, { shape: [T, B, V] }));
  return model.head.forward(reshape(output, [T * B, H]));
}

function largestDifference(a: Tensor, b: Tensor): number {
  const [x, y] = [Array.from(a.data()), Array.from(b.data())];
  expect(x.length).toBe(y.length);
  return x.reduce((most, v, i) => Math.max(most, Math.abs(v - (y[i] as number))), 0);
}

describe("CharModel", () => {
  it("looks up what one-hot vectors would multiply to, with the same gradients", () => {
    const [logits] = model.forward(ids);
    expect(logits.shape).toEqual([T * B, V]);
    expect(largestDifference(logits, asWritten()) <= 1e-6).toBe(true);
    const gradients = [model.loss({ inputs: ids, targets })[0], mean(crossEntropyWithLogits(asWritten(), reshape(targets, [T * B])))].map(
      (loss) => {
        model.zeroGrad();
        backward(loss);
        return model.parameters().map((p) => tensor((p.grad as Tensor).data(), { shape: p.shape }));
      },
    ) as [Tensor[], Tensor[]];
    gradients[0].forEach((g, i) => {
      expect(largestDifference(g, gradients[1][i] as Tensor) <= 1e-6).toBe(true);
      expect(g.data().some((v) => v !== 0)).toBe(true);
    });
    model.zeroGrad();
  });

  it("gives the same bits step by step as all at once", () => {
    const [whole] = noGrad(() => model.forward(ids));
    let state: CharState | undefined;
    const parts: number[] = [];
    for (let t = 0; t < T; t++) {
      const [logits, next] = noGrad(() => model.forward(tensor(values.slice(t * B, (t + 1) * B), { shape: [1, B] }), state));
      parts.push(...logits.data());
      state = next;
    }
    expect(Float32Array.from(parts)).toEqual(whole.data());
  });

  it("measures bits per character as the mean over all streams and windows", () => {
    const text = Int32Array.from({ length: 2 * 11 + 1 }, (_, i) => (i * 5) % V);
    const bits = noGrad(() => bitsPerCharacter(model, text, { batch: 2, window: 4 }));
    let nats = 0;
    for (const start of [0, 11]) {
      const stream = (from: number) => tensor(text.slice(start + from, start + from + 11), { shape: [11, 1] });
      nats += noGrad(() => model.loss({ inputs: stream(0), targets: stream(1) }))[0].item() / 2;
    }
    expect(Math.abs(bits - nats / Math.LN2) <= 1e-6).toBe(true);
  });

  it("the forget gates start open, and everything depends on the seed", () => {
    const bias = (seed: number) => new CharModel({ vocabSize: V, hidden: H, seed }).stateDict();
    expect([...(bias(1).get("lstm.bias_ih_l0") as Tensor).data().slice(H, 2 * H)]).toEqual(new Array(H).fill(1));
    for (const [name, t] of bias(1)) {
      expect(t.data(), name).toEqual(bias(1).get(name)?.data());
      expect(t.data(), name).not.toEqual(bias(2).get(name)?.data());
    }
  });
});

describe("the model file", () => {
  const vocabulary = new Vocabulary(["?", ..."abcdef"], { unknown: "?" });

  it("goes round", () => {
    const bytes = encodeModel(model, vocabulary);
    const back = decodeModel(bytes);
    expect(back.vocabulary.symbols).toEqual(vocabulary.symbols);
    expect(back.model.training).toBe(false);
    expect(encodeModel(back.model, back.vocabulary)).toEqual(bytes);
  });

  const { tensors, metadata } = parse(encodeModel(model, vocabulary));
  const without = new Map([...tensors].filter(([name]) => name !== "lstm.weight_hh_l0"));
  it.each([
    ["other metadata", serialize(tensors, { ...metadata, format: "x" })],
    ["no vocabulary", serialize(tensors, { format: metadata.format as string })],
    ["a vocabulary of another size", serialize(tensors, { ...metadata, vocabulary: '{"symbols":["a","b"],"unknown":null}' })],
    ["a vocabulary of no texts", serialize(tensors, { ...metadata, vocabulary: '{"symbols":5}' })],
    ["a missing weight", serialize(without, metadata)],
    ["an unknown weight", serialize(new Map([...tensors, ["extra", tensor(1)]]), metadata)],
  ])("with %s is rejected", (_, bytes) => {
    expect(() => decodeModel(bytes)).toThrow();
    expect(() => decodeModel(bytes)).toThrow(/expected/);
  });

  it.each([
    ["numbers", "[0,1,2,3,4,5,6]"],
    ["null among them", '["a","b","c","d","e","f",null]'],
    ["several characters a symbol", '["a","bb","c","d","e","f","g"]'],
    ["an empty symbol", '["a","","c","d","e","f","g"]'],
    ["a symbol twice", '["a","a","c","d","e","f","g"]'],
    ["text", '"abcdefg"'],
    ["an object", '{"length":7}'],
  ])("with a vocabulary of %s is a FormatError", (_, symbols) => {
    const before = memory().liveBytes;
    const bytes = serialize(tensors, { ...metadata, vocabulary: `{"symbols":${symbols},"unknown":null}` });
    expect(() => decodeModel(bytes)).toThrow(FormatError);
    expect(memory().liveBytes).toBe(before);
  });

  it.each(["5", '""', '"ab"', "[]", '"z"'])("with %s as unknown symbol is a FormatError", (unknown) => {
    const vocabulary = `{"symbols":["a","b","c","d","e","f","g"],"unknown":${unknown}}`;
    expect(() => decodeModel(serialize(tensors, { ...metadata, vocabulary }))).toThrow(FormatError);
  });

  it.each(["", "null", "[]", "{", `${"[".repeat(6000)}${"]".repeat(6000)}`, '{"symbols":["a"],"symbols":["b"]}'])(
    "with a vocabulary that is %.20s is a FormatError",
    (vocabulary) => {
      expect(() => decodeModel(serialize(tensors, { ...metadata, vocabulary }))).toThrow(FormatError);
    },
  );

  it("of sizes that its bytes do not hold is refused before anything of such a size is made", () => {
    const hidden = (shape: number[]) => new Map([...tensors, ["lstm.weight_hh_l0", tensor(new Float32Array(0), { shape })]]);
    for (const shape of [[0, 8192], [0, 2 ** 31 - 1], [8192, 0], [0], [4, 0, 1]]) {
      const bytes = serialize(hidden(shape), metadata);
      const { liveBytes, peakBytes } = memory();
      expect(() => decodeModel(bytes), `${shape}`).toThrow(FormatError);
      expect(memory().liveBytes).toBe(liveBytes);
      expect(memory().peakBytes).toBeLessThanOrEqual(peakBytes + 16 * bytes.length);
    }
  });

  it("of another shape, dtype or set of tensors is a FormatError", () => {
    const changed = (name: string, t: Tensor) => serialize(new Map([...tensors, [name, t]]), metadata);
    for (const t of [tensor([1]), tensor(new Int32Array(V)), tensor(new Float32Array(V), { shape: [V, 1] })]) {
      expect(() => decodeModel(changed("head.bias", t))).toThrow(FormatError);
    }
    expect(() => decodeModel(changed("extra", tensor(1)))).toThrow(FormatError);
    expect(() => decodeModel(serialize(without, metadata))).toThrow(FormatError);
  });

  it("leaves nothing behind but the model, and reads any form of bytes", () => {
    const bytes = encodeModel(model, vocabulary);
    const before = memory().liveBytes;
    const { model: read } = decodeModel(bytes.buffer);
    expect(memory().liveBytes - before).toBeLessThan(1.5 * 4 * read.parameters().reduce((n, p) => n + p.size, 0) + 64 * 6);
  });

  it("without its marks is a FormatError", () => {
    expect(() => decodeModel(serialize(new Map()))).toThrow(FormatError);
  });
});

describe("characters", () => {
  const vocabulary = new Vocabulary(["?", ..."abcdef"], { unknown: "?" });
  const sampling = { prompt: "fade", length: 400, temperature: 1, seed: 5 };

  it("never writes the unknown symbol, depends on the seed alone, and keeps memory flat", () => {
    const text = [...characters(model, vocabulary, sampling)];
    expect(text.length).toBe(400);
    expect(text).not.toContain("?");
    const before = memory().liveBytes;
    expect([...characters(model, vocabulary, sampling)]).toEqual(text);
    expect(memory().liveBytes - before).toBeLessThan(8 * 4 * H);
    expect([...characters(model, vocabulary, { ...sampling, seed: 6 })]).not.toEqual(text);
  });

  it("draws as often as the model says", () => {
    const counts = new Map<string, number>();
    const draws = 3000;
    for (let seed = 0; seed < draws; seed++) {
      const [first] = characters(model, vocabulary, { ...sampling, length: 1, seed });
      counts.set(first as string, (counts.get(first as string) ?? 0) + 1);
    }
    const [logits] = noGrad(() => model.forward(tensor(vocabulary.encode(sampling.prompt), { shape: [4, 1] })));
    const weights = Array.from(logits.data().slice(-V), (x, id) => (id === 0 ? 0 : Math.exp(x)));
    const total = weights.reduce((a, b) => a + b);
    weights.forEach((w, id) => {
      const p = w / total;
      const got = (counts.get(vocabulary.symbolOf(id)) ?? 0) / draws;
      expect(Math.abs(got - p) <= 4 * Math.sqrt((p * (1 - p)) / draws)).toBe(true);
    });
  });
});
