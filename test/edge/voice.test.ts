/**
 * The voice detector of examples/voice-activity. What needs its model files is skipped, and says so, unless they are installed:
 * `npm install` in the example, or their folder in VAD_MODELS.
 */

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { node, model as onnxModel } from "../../bench/rivals/onnx.mjs";
import { probabilitiesOf, RATE, VoiceDetector, VoiceModel } from "../../examples/voice-activity/detector.ts";
import { modelPath, type Version } from "../../examples/voice-activity/files.ts";
import { halfBits, withHalves } from "../../examples/voice-activity/halves.ts";
import { createHandler } from "../../examples/voice-activity/handler.ts";
import { draw } from "../../examples/voice-activity/picture.ts";
import { type Segment, Segmenter, type SegmentOptions, segmentsOf } from "../../examples/voice-activity/segments.ts";
import { readWav } from "../../examples/voice-activity/wav.ts";
import { halfToNumber } from "../../src/base/half.ts";
import { loadModel } from "../../src/onnx/session.ts";
import { thrown } from "../thrown.ts";

const sounds = new URL("../../examples/voice-activity/sound/", import.meta.url);
const wav = new Uint8Array(readFileSync(new URL("speech.wav", sounds)));
const { rate, samples } = readWav(wav);
const json = (name: string): unknown => JSON.parse(readFileSync(new URL(name, sounds), "utf8"));
const phrases = json("phrases.json") as Segment[];
const expected = json("expected.json") as Record<Version | "halves", number[]>;

const VERSIONS: readonly Version[] = ["v5", "v6", "legacy"];
const installed = existsSync(modelPath("v5"));
if (!installed)
  console.warn("voice-activity: skipped what runs the models: @ricky0123/vad-web is not installed in examples/voice-activity");

const fileOf = (version: Version): Uint8Array<ArrayBuffer> => new Uint8Array(readFileSync(modelPath(version)));

/** The largest distance of two lists; NaN if anything is. */
function distance(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length);
  return a.reduce((most, p, i) => Math.max(most, Math.abs(p - (b[i] as number))), 0);
}

/** What part of the phrases the segments cover, and what part of the segments is a phrase. */
function overlap(segments: readonly Segment[]): { found: number; right: number } {
  const length = (list: readonly Segment[]): number => list.reduce((sum, { start, end }) => sum + end - start, 0);
  const shared = segments.flatMap((s) => phrases.map((p) => Math.max(0, Math.min(s.end, p.end) - Math.max(s.start, p.start))));
  const both = shared.reduce((a, b) => a + b, 0);
  return { found: both / length(phrases), right: both / length(segments) };
}

describe.skipIf(!installed)("the detector", () => {
  it.each(VERSIONS)("gives the probabilities of onnxruntime at every frame: %s", (version) => {
    const model = new VoiceModel(fileOf(version));
    expect(distance(probabilitiesOf(model, samples), expected[version])).toBeLessThanOrEqual(1e-4);
    expect(model.session.whyEager).toBe(null);
  });

  it("does so with weights in half precision, half the bytes", () => {
    const halves = withHalves(fileOf("v5"));
    expect(halves.length).toBeLessThan(0.55 * fileOf("v5").length);
    const got = probabilitiesOf(new VoiceModel(halves), samples);
    expect(distance(got, expected.halves)).toBeLessThanOrEqual(1e-4);
    // That the weights were rounded at all.
    expect(distance(got, expected.v5)).toBeGreaterThan(1e-4);
  });

  it("takes pieces of any length, and two sounds at once", () => {
    const model = new VoiceModel(fileOf("v5"));
    const [whole, quanta, other] = [0, 1, 2].map(() => new VoiceDetector(model)) as [VoiceDetector, VoiceDetector, VoiceDetector];
    const sound = samples.subarray(0, 20_000);
    const all = [...whole.push(sound), ...whole.end()];
    const pieces: number[] = [];
    for (let at = 0; at < sound.length; at += 128) {
      pieces.push(...quanta.push(sound.subarray(at, at + 128)));
      other.push(samples.subarray(60_000 + at, 60_000 + at + 77));
    }
    pieces.push(...quanta.end());
    expect(pieces).toEqual(all);
    expect(all.length).toBe(Math.ceil(20_000 / 512));
    expect(quanta.heard).toBe(20_000);
  });

  it("finds the phrases", () => {
    const model = new VoiceModel(fileOf("v5"));
    const segments = segmentsOf(probabilitiesOf(model, samples), samples.length, { frame: model.frame });
    const { found, right } = overlap(segments);
    expect(found).toBeGreaterThan(0.85);
    expect(right).toBeGreaterThan(0.85);
  });

  it("answers over HTTP, for a WAV file and for a stream of frames", async () => {
    const handle = createHandler({ fetchModel: async () => fileOf("v5") });
    const whole = segmentsOf(expected.v5, samples.length, { frame: 512 });
    const post = (path: string, body: BodyInit) =>
      handle(new Request(`http://host${path}`, { method: "POST", body, duplex: "half" } as RequestInit));
    const answer = (await (await post("/segments", wav)).json()) as { segments: Segment[]; probabilities: number[] };
    expect(answer.segments).toEqual(whole);
    expect(distance(answer.probabilities, expected.v5)).toBeLessThanOrEqual(1e-4);
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let at = 44; at < wav.length; at += 1001) controller.enqueue(wav.slice(at, at + 1001));
        controller.close();
      },
    });
    const lines = (await (await post("/stream", pieces)).text()).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line))).toEqual([...whole, { samples: samples.length }]);
  });
});

describe("the service", () => {
  const handle = createHandler({ fetchModel: async () => new Uint8Array(3) });
  it.each([
    ["GET", "/nowhere", undefined, 404, "ERR_ROUTE"],
    ["GET", "/segments", undefined, 405, "ERR_METHOD"],
    ["POST", "/segments", "no sound", 500, "ERR_FORMAT"],
  ])("refuses %s %s", async (method, path, body, status, code) => {
    const response = await handle(new Request(`http://host${path}`, { method, ...(body && { body }) }));
    expect(response.status).toBe(status);
    expect(((await response.json()) as { error: { code: string } }).error.code).toBe(code);
  });

  it.skipIf(!installed)("refuses what is no sound of its rate, and sounds that are too long", async () => {
    const service = createHandler({ fetchModel: async () => fileOf("v5"), limits: { body: 1000 } });
    const post = async (path: string, body: BodyInit): Promise<[number, string]> => {
      const response = await service(new Request(`http://host${path}`, { method: "POST", body }));
      return [response.status, ((await response.json()) as { error: { code: string } }).error.code];
    };
    expect(await post("/segments", "no sound")).toEqual([422, "ERR_FORMAT"]);
    const faster = wav.slice(0, 500);
    new DataView(faster.buffer).setUint32(24, 44100, true);
    expect(await post("/segments", faster)).toEqual([422, "ERR_ARGUMENT"]);
    expect(await post("/segments", wav)).toEqual([413, "ERR_TOO_LARGE"]);
  });
});

// ---------------------------------------------------------------- segments

/** Frames of 100 samples at 1000 a second, so that a frame is 100 ms. */
const SECONDS: SegmentOptions = { frame: 100, rate: 1000, minSpeechMs: 250, minSilenceMs: 200, padMs: 50 };
const pattern = (text: string): number[] => [...text].map((c) => ({ "#": 0.9, "~": 0.4, ".": 0.1 })[c] as number);

describe("segments", () => {
  it.each([
    ["begin and end with padding", "..####....", {}, [[150, 650]]],
    ["shorter than the least are dropped", "..##......", {}, []],
    ["go on over short silence", "..##.###....", {}, [[150, 850]]],
    [
      "end where a silence that lasts began",
      "..###.....###...",
      {},
      [
        [150, 550],
        [950, 1350],
      ],
    ],
    ["are not ended by what is between the thresholds", "..###~~~~~....", {}, [[150, 1050]]],
    ["are not begun by it either", "..~~~~~....", {}, []],
    ["end, after doubt, where silence began", "..###.~.~....", {}, [[150, 550]]],
    [
      "share the silence between them",
      "###...###....",
      { padMs: 200 },
      [
        [0, 450],
        [450, 1100],
      ],
    ],
    [
      "share an odd one",
      "###...###....",
      { padMs: 200, frame: 101 },
      [
        [0, 454],
        [455, 1109],
      ],
    ],
    ["are padded within the sound", "####", {}, [[0, 400]]],
    ["end with the sound", "..####", {}, [[150, 600]]],
    [
      "that are dropped leave the padding of others alone",
      "###...##...###....",
      { padMs: 500 },
      [
        [0, 700],
        [700, 1800],
      ],
    ],
    ["of no speech are none", "........", {}, []],
    ["of nothing are none", "", {}, []],
  ] as [string, string, Partial<SegmentOptions>, [number, number][]][])("%s: %s", (_, text, options, segments) => {
    const given = { ...SECONDS, ...options };
    const found = segmentsOf(pattern(text), text.length * given.frame, given);
    expect(found.map(({ start, end }) => [start, end])).toEqual(segments);
  });

  it("are given as soon as nothing can change them", () => {
    const segmenter = new Segmenter(SECONDS);
    const given = pattern("..###.....").map((p) => segmenter.push(p).length);
    expect(given).toEqual([0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
    expect(segmenter.end(1000)).toEqual([]);
  });
});

// ---------------------------------------------------------------- files

/** A WAV file of these bytes of sound. */
function wavOf(kind: number, channels: number, bits: number, data: Uint8Array, extra: Uint8Array = new Uint8Array()): Uint8Array {
  const file = new Uint8Array(44 + extra.length + data.length);
  const view = new DataView(file.buffer);
  const name = (at: number, text: string) => file.set(new TextEncoder().encode(text), at);
  name(0, "RIFF");
  view.setUint32(4, file.length - 8, true);
  name(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, kind, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, 16000, true);
  view.setUint16(34, bits, true);
  file.set(extra, 36);
  name(36 + extra.length, "data");
  view.setUint32(40 + extra.length, data.length, true);
  file.set(data, 44 + extra.length);
  return file;
}

const bytesOf = (...arrays: ArrayBufferView[]): Uint8Array =>
  Uint8Array.from(arrays.flatMap(({ buffer, byteOffset, byteLength }) => [...new Uint8Array(buffer, byteOffset, byteLength)]));

describe("WAV files", () => {
  it.each([
    ["8 bits", 1, 8, Uint8Array.of(0, 128, 192), [-1, 0, 0.5]],
    ["16 bits", 1, 16, bytesOf(Int16Array.of(-32768, 0, 16384)), [-1, 0, 0.5]],
    ["24 bits", 1, 24, Uint8Array.of(0, 0, 128, 1, 0, 0, 0, 0, 64), [-1, 2 ** -23, 0.5]],
    ["32 bits", 1, 32, bytesOf(Int32Array.of(-(2 ** 31), 2 ** 30)), [-1, 0.5]],
    ["floats", 3, 32, bytesOf(Float32Array.of(-1, 0.25)), [-1, 0.25]],
    ["doubles", 3, 64, bytesOf(Float64Array.of(-1, 0.25)), [-1, 0.25]],
  ])("of %s", (_, kind, bits, data, values) => {
    expect(Array.from(readWav(wavOf(kind, 1, bits, data)).samples)).toEqual(values);
  });

  it("of two channels are averaged", () => {
    const stereo = wavOf(1, 2, 16, bytesOf(Int16Array.of(16384, -16384, 16384, 0)));
    expect(Array.from(readWav(stereo).samples)).toEqual([0, 0.25]);
  });

  it("may hold other chunks, and end early", () => {
    const list = Uint8Array.of(0x4c, 0x49, 0x53, 0x54, 3, 0, 0, 0, 1, 2, 3, 0);
    const file = wavOf(1, 1, 16, bytesOf(Int16Array.of(16384, 8192)), list);
    expect(Array.from(readWav(file).samples)).toEqual([0.5, 0.25]);
    expect(Array.from(readWav(file.subarray(0, file.length - 1)).samples)).toEqual([0.5]);
  });

  it("that are none are refused, wherever they are cut", () => {
    const file = wavOf(1, 1, 16, bytesOf(Int16Array.of(1, 2)));
    for (let end = 0; end < 44; end++) expect(thrown(() => readWav(file.subarray(0, end)))).toMatchObject({ code: "ERR_FORMAT" });
    for (const [kind, channels, bits] of [
      [2, 1, 16],
      [1, 0, 16],
      [1, 1, 12],
      [3, 1, 16],
    ] as const) {
      expect(thrown(() => readWav(wavOf(kind, channels, bits, new Uint8Array(8))))).toMatchObject({ code: "ERR_FORMAT" });
    }
  });

  it("of the example hold what was said", () => {
    expect(rate).toBe(RATE);
    expect(phrases.every(({ start, end }) => 0 < start && start < end && end < samples.length)).toBe(true);
  });
});

describe("halves", () => {
  it("are those that come back, for all of them", () => {
    for (let bits = 0; bits < 0x7c01; bits++) expect(halfBits(halfToNumber(bits))).toBe(bits);
    expect([-0, -1, 1e9, -1e9, Number.NaN].map(halfBits)).toEqual([0x8000, 0xbc00, 0x7c00, 0xfc00, 0x7e00]);
    // Ties go to the even one.
    expect([1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 2 ** -25 * 1.001].map(halfBits)).toEqual([0x3c00, 0x3c02, 0, 1]);
  });

  it("leave a model without constants as it is", () => {
    const bytes = onnxModel({ nodes: [node("Neg", ["x"], ["y"])], inputs: { x: [2] }, outputs: { y: [2] } });
    expect(withHalves(bytes)).toEqual(bytes);
    expect(loadModel(withHalves(bytes)).outputs.map(({ name }) => name)).toEqual(["y"]);
  });
});

it("the picture shows sound, segments and probabilities", () => {
  const svg = draw({ samples, rate, segments: phrases, probabilities: expected.v5, frame: 512, truth: phrases });
  expect(svg.match(/<rect /g)).toHaveLength(1 + 2 * phrases.length);
  expect(svg.match(/<path /g)).toHaveLength(3);
  expect(svg).not.toMatch(/NaN|undefined/);
  expect(draw({ samples: new Float32Array(), rate, segments: [], probabilities: [], frame: 512 })).not.toMatch(/NaN|undefined/);
});
