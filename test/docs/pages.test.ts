import { readFileSync } from "node:fs";
import { transformSync } from "esbuild";
import { describe, expect, it } from "vitest";
import * as tapeloop from "../../src/index.ts";
import * as onnx from "../../src/onnx/index.ts";
import * as quantized from "../../src/quantized/index.ts";

const pageOf = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");

/** The names that a page's blocks import, and the blocks as one program. */
function programOf(page: string): { imported: string[]; code: string } {
  const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string).join("\n");
  const imports = /import \{([^}]*)\} from "(?:tapeloop(?:\/\w+)?|node:fs\/promises)";/g;
  const imported = [...blocks.matchAll(imports)].flatMap(([, names]) => (names as string).split(",").map((name) => name.trim()));
  return { imported: imported.filter((name) => !name.startsWith("type ")), code: blocks.replace(imports, "") };
}

const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;

/** Runs a page's program. */
function run({ imported, code }: { imported: string[]; code: string }, library: object, results: string) {
  const js = transformSync(code, { loader: "ts", target: "es2022" }).code;
  const fn = new AsyncFunction("library", "console", `const { ${imported.join(", ")} } = library; ${js}\n return ${results};`);
  return fn(library, { log: () => {} });
}

describe("docs/getting-started.md", () => {
  const { imported, code } = programOf(pageOf("getting-started.md"));

  it("imports what there is, and no more than it uses", () => {
    expect(imported.filter((name) => !(name in tapeloop))).toEqual([]);
    expect(imported.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
  });

  it("is a program that learns what it says", async () => {
    const results = "{ loss, picture, right, kept, model, again, test, Stream }";
    const { loss, picture, right, kept, model, again, test } = await run({ imported, code }, tapeloop, results);
    expect(loss).toBeLessThan(0.1);
    expect(picture).toContain("<svg");
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
  const { imported, code } = programOf(pageOf("models.md"));
  const fixture = (name: string) => JSON.parse(readFileSync(new URL(`../interop/fixtures/${name}.json`, import.meta.url), "utf8"));

  /** A folder in memory: a classifier's weights, and files that Python and TensorFlow.js wrote. */
  function folder() {
    const generator = new tapeloop.Generator(1);
    const encoder = new tapeloop.LSTM({ inputSize: 4, hiddenSize: 8, batchFirst: true, generator });
    const head = new tapeloop.Linear(8, 3, { generator });
    const { modelTopology, weightSpecs, weightData } = fixture("tfjs-models").lstm;
    const manifest = { modelTopology, weightsManifest: [{ paths: ["group1-shard1of1.bin"], weights: weightSpecs }] };
    const weights = [...encoder.stateDict()].map(([name, t]) => [`encoder.${name}`, t] as const);
    const heads = [...head.stateDict()].map(([name, t]) => [`head.${name}`, t] as const);
    return new Map<string, Uint8Array>([
      ["model.safetensors", tapeloop.serializeSafetensors(new Map([...weights, ...heads]))],
      ["model.pt", Buffer.from(fixture("torch-files").state_dict, "base64")],
      ["model.json", Buffer.from(JSON.stringify(manifest))],
      ["group1-shard1of1.bin", Buffer.from(weightData, "base64")],
    ]);
  }

  it("is a program whose ways in and out agree", async () => {
    const files = folder();
    const disk = {
      readFile: async (name: string) => files.get(name),
      writeFile: async (name: string, data: Uint8Array) => files.set(name, data),
    };
    const library = { ...tapeloop, ...onnx, ...quantized, ...disk };
    expect(imported.filter((name) => !(name in library))).toEqual([]);
    const results = "{ lstm, head, model, output, y, logits, tensors, fromTfjs, quantized, kept, saved, stream }";
    const { lstm, head, model, output, y, logits, tensors, fromTfjs, kept, ...rest } = await run({ imported, code }, library, results);

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
    const answer = fromTfjs.forward(tapeloop.tensor(Float32Array.from(input.values), { shape: input.shape }));
    answer.data().forEach((v: number, i: number) => expect(v).toBeCloseTo(predicted.values[i], 5));
  });
});

describe("docs/coming-from.md", () => {
  it("names what there is", () => {
    const rows = pageOf("coming-from.md")
      .split("\n")
      .filter((line) => line.startsWith("|") && !line.startsWith("|---"))
      .map((line) => line.split("|")[2] as string);
    const code = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text as string));
    // What is called or made: `add(`, `new LSTM(`, or a name alone.
    const names = code.flatMap((text) =>
      [...text.matchAll(/(?<![.\w])(?:new )?([A-Za-z]\w*)(?=\()|^(\w+)$/g)].map((m) => (m[1] ?? m[2]) as string),
    );
    const known = { ...tapeloop, ...onnx };
    const words = new Set(["lengths", "batchFirst", "forward", "String"]);
    expect(names.length).toBeGreaterThan(60);
    expect([...new Set(names)].filter((name) => !(name in known) && !words.has(name))).toEqual([]);
  });
});
