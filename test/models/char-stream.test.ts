import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import { ArgumentError, FormatError, StateError } from "../../src/base/errors.ts";
import { characters } from "../../src/cli/generate.ts";
import { Vocabulary } from "../../src/data/text.ts";
import { CharModel, decodeModel, encodeModel } from "../../src/models/char-model.ts";
import { CharStream } from "../../src/models/char-stream.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { scope, tensor } from "../../src/tensor/tensor.ts";

const vocabulary = new Vocabulary(["?", ..."abcdef"], { unknown: "?" });
const V = vocabulary.size;
const model = new CharModel({ vocabSize: V, hidden: 9, seed: 3 }).eval();
const relaxed = process.env.TAPELOOP_KERNELS === "relaxed";

function continued(prompt: string, length: number, seed = 0): CharStream {
  const stream = new CharStream(model, vocabulary);
  stream.start(seed);
  stream.read(prompt);
  if (length > 0) stream.write(length, 1);
  return stream;
}

describe("CharModel as a recurrence", () => {
  it("is replayed, and reads one-hot vectors as the look-up reads ids", () => {
    const ids = vocabulary.encode("fadedcafe?bead");
    const stream = new Stream(model);
    expect(stream.whyEager).toBe(null);
    const streamed = Array.from(ids).flatMap((id) => [...stream.step(Float32Array.from({ length: V }, (_, i) => (i === id ? 1 : 0)))]);
    const [logits] = noGrad(() => scope(() => model.forward(tensor(ids, { shape: [ids.length, 1] }))));
    const whole = [...logits.data()];
    if (!relaxed) expect(streamed).toEqual(whole);
    for (const [i, y] of streamed.entries()) expect(Math.abs(y - (whole[i] as number)) <= 1e-5).toBe(true);
  });

  it("scans with lengths like any recurrence", () => {
    const hot = new Float32Array(4 * 2 * V).map((_, i) => (i % V === (i >> 3) % V ? 1 : 0));
    const xs = tensor(hot, { shape: [4, 2, V] });
    const [ys, last] = noGrad(() => model.scan(xs, undefined, { lengths: [4, 2] }));
    expect(ys.shape).toEqual([4, 2, V]);
    expect(last.h.shape).toEqual([2, 9]);
    expect([...ys.data().slice(-V)]).toEqual(new Array(V).fill(0));
  });
});

describe("CharStream", () => {
  it("writes what the command line writes", () => {
    const sampling = { prompt: "fade", length: 200, temperature: 0.8, seed: 5 };
    const stream = continued("fade", 0, 5);
    expect(stream.write(200, 0.8)).toBe([...characters(model, vocabulary, sampling)].join(""));
  });

  it("goes on from its bytes as if it had not stopped, in another stream of the same model", () => {
    const whole = continued("bead", 0, 8).write(60, 1);
    const saved = continued("bead", 25, 8).toBytes();
    const copy = decodeModel(encodeModel(model, vocabulary));
    const other = new CharStream(copy.model, copy.vocabulary);
    other.start(1);
    other.read("cafe");
    other.fromBytes(saved);
    expect(other.write(35, 1)).toBe(whole.slice(25));
    expect(continued("bead", 25, 8).toBytes()).toEqual(saved);
  });

  it("reads in parts as in one", () => {
    const parts = continued("fad", 0);
    parts.read("");
    parts.read("ed");
    expect(parts.toBytes()).toEqual(continued("faded", 0).toBytes());
  });

  it("rejects every changed or shortened byte string and stays where it was", () => {
    const stream = continued("fade", 10, 2);
    const before = stream.toBytes();
    const other = continued("cab", 7, 4).toBytes();
    for (let i = 0; i < other.length; i++) {
      const changed = other.slice();
      changed[i] = (changed[i] as number) ^ 64;
      expect(() => stream.fromBytes(changed), `byte ${i}`).toThrow(FormatError);
      expect(() => stream.fromBytes(other.subarray(0, i)), `${i} bytes`).toThrow(FormatError);
    }
    expect(stream.toBytes()).toEqual(before);
  });

  it("refuses a place in a text of another vocabulary of the same size", () => {
    const place = continued("fade", 10, 2).toBytes();
    for (const other of [
      new Vocabulary(["?", ..."abcdeg"], { unknown: "?" }),
      new Vocabulary(["?", ..."abcdef"]),
      new Vocabulary(["?", ..."fedcba"], { unknown: "?" }),
    ]) {
      const stream = new CharStream(model, other);
      const before = stream.toBytes();
      expect(() => stream.fromBytes(place)).toThrow(/CharStream: expected a place in a text of this vocabulary/);
      expect(stream.toBytes()).toEqual(before);
    }
  });

  it("wants something to continue, and characters it knows", () => {
    const strict = new Vocabulary([..."abcdefg"]);
    const stream = new CharStream(model, strict);
    expect(() => stream.write(1, 1)).toThrow(StateError);
    const before = stream.toBytes();
    expect(() => stream.read("abz")).toThrow(ArgumentError);
    expect(stream.toBytes()).toEqual(before);
    expect(() => new CharStream(model, new Vocabulary([..."ab"]))).toThrow(/expected a vocabulary of 7 symbols, got 2/);
  });
});
