/** Every block of code in the documentation runs, with the imports that it has. */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as tapeloop from "../../src/index.ts";
import * as insight from "../../src/insight/index.ts";
import * as models from "../../src/models/index.ts";
import * as onnx from "../../src/onnx/index.ts";
import { files } from "./disk.ts";
import { blocksOf, PAGES, runProgram, textOf } from "./pages.ts";

/** Blocks that no test runs as they stand, by page and number, and why. */
const NOT_RUN: Readonly<Record<string, string>> = {
  "docs/architecture.md 0": "AssemblyScript, abridged",
  "docs/architecture.md 1": "abridged, from src/ops/math.ts",
  "docs/hosts.md 0": "a page's start, before the first tensor: test/hosts/start.test.ts",
  "docs/hosts.md 1": "threads are those of the built package: test/threads",
  "docs/search.md 1": "threads are those of the built package: test/search/threads.test.ts",
};

/** What each other block takes for granted, by page and number. */
const GIVEN: Readonly<Record<string, string>> = {
  "docs/hosts.md 2": `
    import { LSTM, Linear, Module, mseLoss, zeros } from "tapeloop";
    const lstm = new LSTM({ inputSize: 4, hiddenSize: 8 });
    const batch = zeros([5, 2, 4]);
    class CharModel extends Module {
      lstm = new LSTM({ inputSize: 4, hiddenSize: 4 });
      loss = (xs) => mseLoss(this.lstm.forward(xs).output, xs);
    }`,
  "docs/learning.md 0": `
    import { LSTM as Layer, tensor } from "tapeloop";
    import { RNNCell } from "tapeloop";
    class Net extends (await import("tapeloop")).Module {
      cell = new RNNCell({ inputSize: 1, hiddenSize: 3 });
      forward = (x) => this.cell.scan(x)[0];
    }
    const model = new Net();
    const samples = [1, 2, 3].map((v) => ({ x: tensor([[[v]]]), y: tensor([[[v, v, v]]]) }));`,
  "docs/guides/train-in-a-worker.md 0": `
    const addEventListener = (_name, listener) => void (globalThis.heard = listener);
    globalThis.posted = [];
    const postMessage = (message) => void globalThis.posted.push(message);`,
  "docs/search.md 0": `
    import { Linear } from "tapeloop";
    const model = new Linear(1, 1);
    const cost = (m) => m.weight.item() ** 2 + m.bias.item() ** 2;`,
};

/** What a block prints last, by page and number, where the page says so. */
const PRINTED: Readonly<Record<string, (...values: never[]) => void>> = {
  "docs/guides/classify-text.md 0": (guess) => expect(guess).toBe("praise"),
  "docs/guides/tag-sequences.md 0": (found) => expect(found).toBe("article noun verb article noun"),
  "docs/guides/translate.md 0": (said) => expect(said).toBe("ecaf"),
  "docs/guides/forecast.md 0": (error) => expect(error).toBeLessThan(0.3),
  "docs/guides/generate-text.md 0": (written) => expect(written).toMatch(/^(cat|rat|mat|hat) .*the (cat|rat|mat|hat)/),
  "docs/guides/detect-anomalies.md 0": (first) => expect(first).toBe(60),
  "docs/guides/stream-at-the-edge.md 0": (first, second) => expect([first, second]).toEqual([16, 16]),
  "docs/guides/load-a-pytorch-model.md 0": (shape, names) => {
    expect(shape).toEqual([1, 3, 3]);
    expect(names).toContain("lstm.weight_ih_l0_reverse");
  },
};

/** Pages that are one program, block after block. */
const WHOLE = new Set(["docs/getting-started.md", "docs/models.md"]);

const printed: unknown[][] = [];
beforeAll(() => {
  vi.spyOn(console, "log").mockImplementation((...args: unknown[]) => void printed.push(args));
});
afterAll(() => {
  vi.restoreAllMocks();
});

describe("blocks of code", () => {
  const alone = PAGES.filter((page) => !WHOLE.has(page)).flatMap((page) =>
    blocksOf(page).map((code, i) => [`${page} ${i}`, code] as [name: string, code: string]),
  );
  const names = alone.map(([name]) => name);

  it("are listed here only if they exist", () => {
    expect([...Object.keys(NOT_RUN), ...Object.keys(GIVEN), ...Object.keys(PRINTED)].filter((name) => !names.includes(name))).toEqual([]);
  });

  it.each(alone.filter(([name]) => !(name in NOT_RUN)))("run: %s", async (name, code) => {
    printed.length = 0;
    await runProgram(name, code, GIVEN[name]);
    if (name in PRINTED) PRINTED[name]?.(...((printed.at(-1) ?? []) as never[]));
  });

  it("import no more than they use", () => {
    const unused = PAGES.flatMap((page) => {
      const code = blocksOf(page).join("\n");
      const imported = [...code.matchAll(/^import (?:type )?\{([^}]*)\}/gm)].flatMap(([, list]) => (list as string).split(","));
      const own = imported.map((name) => name.trim().replace(/^type /, "")).filter((name) => name !== "");
      return own.filter((name) => [...code.matchAll(new RegExp(`\\b${name}\\b`, "g"))].length < 2).map((name) => `${page}: ${name}`);
    });
    expect(unused).toEqual([]);
  });
});

describe("the guide to training in a Worker", () => {
  const worker = globalThis as { heard?: (event: { data: string }) => void; posted?: { step: number; done?: boolean }[] };

  it("reports, stops, and goes on to the end", async () => {
    const posted = worker.posted as { step: number; done?: boolean }[];
    const last = () => posted.at(-1) ?? { step: 0 };
    worker.heard?.({ data: "train" });
    await vi.waitUntil(() => last().step >= 20, { timeout: 20_000 });
    worker.heard?.({ data: "stop" });
    await vi.waitUntil(() => last().done !== undefined, { timeout: 20_000 });
    expect(last().step).toBeLessThan(400);
    expect(last().done).toBe(false);
    worker.heard?.({ data: "train" });
    await vi.waitUntil(() => last().done === true, { timeout: 20_000 });
    expect(last().step).toBe(400);
  });
});

describe("the README's first program", () => {
  it("learns, and streams", async () => {
    printed.length = 0;
    const { hidden, saved } = await runProgram("readme", blocksOf("README.md")[0] as string, "", ["hidden", "saved"]);
    expect(printed.map(([step]) => step)).toEqual([100, 200, 300]);
    expect(printed.at(-1)?.[1]).toBeLessThan(0.01);
    expect((hidden as Float32Array).length).toBe(16);
    expect(saved).toBeInstanceOf(Uint8Array);
  });

  it("defines a cell whose step is captured", async () => {
    const { Minimal } = await runProgram("readme-cell", blocksOf("README.md")[1] as string, "", ["Minimal"]);
    const cell = new (Minimal as unknown as new () => tapeloop.Cell<tapeloop.Tensor>)();
    const xs = new tapeloop.Generator(1).uniform([5, 2, 3]);
    expect(cell.whyEager(xs)).toBeNull();
    expect(cell.scan(xs)[0].toArray()).toEqual(tapeloop.scanSteps(cell, xs)[0].toArray());
  });
});

/** A page as one program; what it returns is looked at, not typed. */
// biome-ignore lint/suspicious/noExplicitAny: a program's own names
const runPage = (page: string, results: readonly string[]): Promise<any> => runProgram(page, blocksOf(page).join("\n"), "", results);

describe("docs/getting-started.md", () => {
  it("is a program that learns what it says", async () => {
    const results = ["loss", "picture", "gates", "right", "kept", "model", "again", "test"];
    const { loss, picture, gates, right, kept, model, again, test } = await runPage("docs/getting-started.md", results);
    expect(loss).toBeLessThan(0.1);
    expect(picture).toContain("<svg");
    expect(gates).toContain("<svg");
    expect(test.length).toBe(12);
    expect(right).toBe(1);
    const two = new tapeloop.Stream(model.lstm);
    two.fromBytes(kept);
    expect(two.toBytes()).toEqual(kept);
    expect(Array.from(again.lstm.stateDict().get("weight_ih_l0").data())).toEqual(
      Array.from(model.lstm.stateDict().get("weight_ih_l0").data()),
    );
  });
});

describe("docs/models.md", () => {
  const fixture = (name: string) => JSON.parse(readFileSync(new URL(`../interop/fixtures/${name}.json`, import.meta.url), "utf8"));

  /** On disk: a classifier's weights, and files that Python and TensorFlow.js wrote. */
  function fill() {
    const generator = new tapeloop.Generator(1);
    const encoder = new tapeloop.LSTM({ inputSize: 4, hiddenSize: 8, batchFirst: true, generator });
    const head = new tapeloop.Linear(8, 3, { generator });
    const { modelTopology, weightSpecs, weightData } = fixture("tfjs-models").lstm;
    const manifest = { modelTopology, weightsManifest: [{ paths: ["group1-shard1of1.bin"], weights: weightSpecs }] };
    const weights = [...encoder.stateDict()].map(([name, t]) => [`encoder.${name}`, t] as const);
    const heads = [...head.stateDict()].map(([name, t]) => [`head.${name}`, t] as const);
    const written: [string, Uint8Array][] = [
      ["model.safetensors", tapeloop.serializeSafetensors(new Map([...weights, ...heads]))],
      ["model.pt", Buffer.from(fixture("torch-files").state_dict, "base64")],
      ["model.json", Buffer.from(JSON.stringify(manifest))],
      ["group1-shard1of1.bin", Buffer.from(weightData, "base64")],
      ["model.h5", gunzipSync(Buffer.from(fixture("keras-files").files.lstm.keras2, "base64"))],
    ];
    for (const [name, bytes] of written) files.set(name, bytes);
  }

  it("is a program whose ways in and out agree", async () => {
    fill();
    const results = [
      "lstm",
      "head",
      "model",
      "output",
      "y",
      "logits",
      "tensors",
      "fromTfjs",
      "fromKeras",
      "quantized",
      "kept",
      "saved",
      "stream",
    ];
    const { lstm, head, model, output, y, logits, tensors, fromTfjs, fromKeras, kept, ...rest } = await runPage("docs/models.md", results);

    const x = tapeloop.tensor([
      [
        [0, 1, 0, 0],
        [0, 0, 1, 0],
      ],
    ]);
    const expected = Array.from(model.forward(x).data() as Float32Array);
    const inferred = head.forward(lstm.forward(x).state.h).data();
    expect(Array.from(inferred)).toEqual(expected);
    output.data().forEach((v: number, i: number) => expect(v).toBeCloseTo(expected[i] as number, 5));
    logits.data().forEach((v: number, i: number) => expect(v).toBeCloseTo(expected[i] as number, 2));
    // The first frame of the stream is the first step of the sequence.
    const first = lstm.forward(tapeloop.tensor([[[0, 1, 0, 0]]])).output.data();
    y.forEach((v: number, i: number) => expect(v).toBeCloseTo(first[i], 5));
    rest.stream.fromBytes(rest.saved);
    expect(rest.stream.toBytes()).toEqual(rest.saved);

    const back = tapeloop.parseSafetensors(files.get("back.safetensors") as Uint8Array).tensors;
    for (const [name, t] of model.stateDict()) expect(back.get(name)?.data()).toEqual(t.data());
    expect(rest.quantized.length).toBe(3);
    expect(kept.map(({ name }: { name: string }) => name)).toEqual([]);
    expect(tensors.size).toBeGreaterThan(0);
    const { input, output: predicted } = fixture("tfjs-models").lstm;
    for (const read of [fromTfjs, fromKeras]) {
      const answer = read.forward(tapeloop.tensor(Float32Array.from(input.values), { shape: input.shape }));
      answer.data().forEach((v: number, i: number) => expect(v).toBeCloseTo(predicted.values[i], 5));
    }
  });
});

describe("docs/coming-from.md", () => {
  it("names what there is", () => {
    const rows = textOf("docs/coming-from.md")
      .split("\n")
      .filter((line) => line.startsWith("|") && !line.startsWith("|---"))
      .map((line) => line.split("|")[2] as string);
    const code = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text as string));
    // What is called or made: `add(`, `new LSTM(`, or a name alone.
    const names = code.flatMap((text) =>
      [...text.matchAll(/(?<![.\w])(?:new )?([A-Za-z]\w*)(?=\()|^(\w+)$/g)].map((m) => (m[1] ?? m[2]) as string),
    );
    const known = { ...tapeloop, ...onnx, ...insight, ...models };
    const words = new Set(["lengths", "batchFirst", "forward", "String"]);
    expect(names.length).toBeGreaterThan(60);
    expect([...new Set(names)].filter((name) => !(name in known) && !words.has(name))).toEqual([]);
  });
});
