import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { graph, initializer, model, node } from "../../bench/rivals/onnx.mjs";
import { UserError } from "../../src/cli/errors.ts";
import { check, convert, info } from "../../src/cli/models.ts";
import { parse, serialize } from "../../src/io/safetensors.ts";
import { exportModel } from "../../src/onnx/index.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

let folder = "";
const path = (name: string) => join(folder, name);

interface Run {
  readonly out: string;
  readonly code: unknown;
}

async function told(run: (out: { write(text: string): unknown }) => Promise<unknown>): Promise<Run> {
  let out = "";
  const code = await run({
    write: (text) => {
      out += text;
    },
  });
  return { out: out.replaceAll(`${folder}/`, ""), code };
}

const weights = { w: [0.5, -1.25], "a.b": [3] };
const fileOf = (values: Record<string, number[]>) =>
  serialize(new Map(Object.entries(values).map(([name, v]) => [name, tensor(v)])), { format: "pt" });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "models-"));
  await writeFile(path("m.safetensors"), fileOf(weights));
  await writeFile(path("near.safetensors"), fileOf({ ...weights, w: [0.5, -1.5] }));
  await writeFile(path("nan.safetensors"), fileOf({ ...weights, w: [0.5, Number.NaN] }));
  await writeFile(path("other.safetensors"), fileOf({ w: [1, 2, 3], c: [1] }));
  await writeFile(path("wide.safetensors"), fileOf({ w: [1e6] }));
  const torch = JSON.parse(await readFile(new URL("../interop/fixtures/torch-files.json", import.meta.url), "utf8"));
  await writeFile(path("m.pt"), Buffer.from(torch.state_dict, "base64"));
  await writeFile(path("dtypes.pt"), Buffer.from(torch.dtypes, "base64"));
  const { lstm } = JSON.parse(await readFile(new URL("../interop/fixtures/tfjs-models.json", import.meta.url), "utf8"));
  const json = { modelTopology: lstm.modelTopology, weightsManifest: [{ paths: ["shard.bin"], weights: lstm.weightSpecs }] };
  await writeFile(path("model.json"), JSON.stringify(json));
  await writeFile(path("shard.bin"), Buffer.from(lstm.weightData, "base64"));
  await writeFile(path("lost.json"), JSON.stringify({ ...json, weightsManifest: [{ ...json.weightsManifest[0], paths: ["gone.bin"] }] }));
});
afterAll(() => rm(folder, { recursive: true }));

describe("info", () => {
  it("lists tensors, metadata and bytes of safetensors", async () => {
    const { out } = await told((o) => info(path("m.safetensors"), o));
    expect(out).toMatch(
      /^m\.safetensors: safetensors, \d+ bytes, 2 tensors of 3 elements\nmetadata "format": "pt"\n {2}w {4}F32 {6}\[2\]\n {2}a\.b {2}F32 {6}\[1\]\n$/,
    );
  });

  it("of PyTorch and TensorFlow.js, with what cannot be read", async () => {
    expect((await told((o) => info(path("m.pt"), o))).out).toMatch(
      /m\.pt: PyTorch, [\d,]+ bytes, 4 tensors of 32 elements\n {2}rnn\.weight_ih_l0 {2}float32 {2}\[4,2\]/,
    );
    expect((await told((o) => info(path("dtypes.pt"), o))).out).toMatch(/ {2}wide: cannot be read: expected values in/);
    expect((await told((o) => info(path("model.json"), o))).out).toMatch(
      /TensorFlow\.js, .* 8 tensors of .*\n {2}first\/kernel {13}float32 {2}\[2,12\]/,
    );
    await expect(info(path("lost.json"), process.stdout)).rejects.toThrow(/gone\.bin: there is no such file/);
  });

  it("of ONNX, with what is in the graphs within its nodes", async () => {
    await writeFile(path("branches.onnx"), branches(5n));
    expect((await told((o) => info(path("branches.onnx"), o))).out).toBe(
      [
        `branches.onnx: ONNX, ${branches(5n).length} bytes, 4 tensors of 6 elements`,
        "input c of any shape",
        "input x of any shape",
        "output y of any shape",
        "operators: If, Constant ×2, Mul, Add, Sub",
        "  steps            int64    [1]",
        "  y.then_branch.b  float32  [1]",
        "  y.then_branch.w  float32  [2]",
        "  y.else_branch.w  float32  [2]",
        "",
      ].join("\n"),
    );
    await writeFile(path("far.onnx"), branches(2n ** 40n));
    expect((await told((o) => info(path("far.onnx"), o))).out).toContain("steps: cannot be read: expected whole numbers within int32");
  });
});

/** y = c ? w x + b : x - w, with weights as a node and as constants of the branches. */
function branches(steps: bigint): Uint8Array {
  const weight = initializer("", [2], Float32Array.of(0.5, 2));
  const outputs = { z: null };
  const then = graph({
    nodes: [node("Constant", [], ["w"], { value: { tensor: weight } }), node("Mul", ["x", "w"], ["p"]), node("Add", ["p", "b"], ["z"])],
    initializers: [initializer("b", [1], Float32Array.of(3))],
    inputs: {},
    outputs,
  });
  const otherwise = graph({
    nodes: [node("Constant", [], ["unused"], { value_int: 1 }), node("Sub", ["x", "w"], ["z"])],
    initializers: [initializer("w", [2], Float32Array.of(1, -1))],
    inputs: {},
    outputs,
  });
  return model({
    nodes: [node("If", ["c"], ["y"], { then_branch: { graph: then }, else_branch: { graph: otherwise } })],
    initializers: [initializer("steps", [1], BigInt64Array.of(steps), "int64")],
    inputs: { c: { type: "bool" }, x: { type: "float" } },
    outputs: { y: null },
  });
}

describe("convert", () => {
  it("writes the tensors of PyTorch's and TensorFlow.js' files as safetensors", async () => {
    await told((o) => convert({ source: path("m.pt"), target: path("pt.safetensors"), float16: false }, o));
    const { tensors, metadata } = parse(await readFile(path("pt.safetensors")));
    expect([...tensors.keys()]).toEqual(["rnn.weight_ih_l0", "rnn.weight_hh_l0", "rnn.bias_ih_l0", "rnn.bias_hh_l0"]);
    expect([tensors.get("rnn.bias_ih_l0")?.toArray(), metadata.format]).toEqual([[1, 2, 3, 4], "pt"]);
    const { out } = await told((o) => convert({ source: path("model.json"), target: path("tf.safetensors"), float16: false }, o));
    expect(out).toMatch(/^tf\.safetensors: 8 tensors, [\d,]+ bytes\n$/);
    expect(parse(await readFile(path("tf.safetensors"))).tensors.get("first/kernel")?.shape).toEqual([2, 12]);
  });

  it("writes the weights of ONNX, those of branches and whole numbers among them", async () => {
    await writeFile(path("branches.onnx"), branches(5n));
    await told((o) => convert({ source: path("branches.onnx"), target: path("onnx.safetensors"), float16: false }, o));
    const { tensors } = parse(await readFile(path("onnx.safetensors")));
    const values = Object.fromEntries(Array.from(tensors, ([name, t]) => [name, t.toArray()]));
    expect(values).toEqual({ steps: [5], "y.then_branch.w": [0.5, 2], "y.then_branch.b": [3], "y.else_branch.w": [1, -1] });
  });

  it("halves floats where asked to, and keeps the metadata", async () => {
    await told((o) => convert({ source: path("m.safetensors"), target: path("half.safetensors"), float16: true }, o));
    expect((await told((o) => info(path("half.safetensors"), o))).out).toMatch(/metadata "format": "pt"\n {2}w {4}F16 {6}\[2\]/);
    expect((await told((o) => check({ file: path("half.safetensors"), reference: path("m.safetensors"), tolerance: 0 }, o))).code).toBe(0);
  });

  it("refuses what would be lost, and writes nothing", async () => {
    const lost = convert({ source: path("dtypes.pt"), target: path("lost.safetensors"), float16: false }, process.stdout);
    await expect(lost).rejects.toThrow(UserError);
    await expect(lost).rejects.toThrow(/expected tensors that can be written, got wide/);
    const wide = convert({ source: path("wide.safetensors"), target: path("lost.safetensors"), float16: true }, process.stdout);
    await expect(wide).rejects.toThrow(/within ±65504/);
    await expect(readFile(path("lost.safetensors"))).rejects.toThrow(/ENOENT/);
  });
});

describe("check", () => {
  const run = (file: string, reference: string, tolerance: number) =>
    told((o) => check({ file: path(file), reference: path(reference), tolerance }, o));

  it("tells the largest error, and fails beyond the tolerance", async () => {
    expect(await run("m.safetensors", "m.safetensors", 0)).toEqual({ code: 0, out: "largest error 0, tolerance 0\n" });
    expect(await run("near.safetensors", "m.safetensors", 0.3)).toEqual({ code: 0, out: "largest error 0.25 in w, tolerance 0.3\n" });
    expect(await run("near.safetensors", "m.safetensors", 0.2)).toEqual({ code: 1, out: "largest error 0.25 in w, tolerance 0.2\n" });
    expect(await run("nan.safetensors", "m.safetensors", 1e9)).toEqual({ code: 1, out: "largest error NaN in w, tolerance 1000000000\n" });
    expect((await run("nan.safetensors", "nan.safetensors", 0)).code).toBe(0);
  });

  it("names tensors that are missing, unknown or misshapen", async () => {
    const { code, out } = await run("other.safetensors", "m.safetensors", 1e9);
    expect(code).toBe(1);
    expect(out).toBe("a.b: missing\nc: not in m.safetensors\nw: [3] for [2]\nlargest error 0, tolerance 1000000000\n");
  });

  it("runs a model on stored inputs and compares its outputs with the stored ones", async () => {
    const lstm = new LSTM({ inputSize: 2, hiddenSize: 3, generator: new Generator(1) });
    const forward = ({ x }: Readonly<Record<string, Tensor>>) => ({
      y: lstm.forward(x as Tensor).output,
      last: lstm.forward(x as Tensor).state.h,
    });
    await writeFile(path("lstm.onnx"), exportModel(lstm, { inputs: { x: { shape: ["time", "batch", 2] } }, forward }));
    const x = new Generator(2).normal([4, 3, 2]);
    const { y } = forward({ x });
    await writeFile(
      path("case.safetensors"),
      serialize(
        new Map([
          ["x", x],
          ["y", y],
        ]),
      ),
    );
    expect(await run("lstm.onnx", "case.safetensors", 1e-6)).toMatchObject({ code: 0 });
    await writeFile(
      path("wrong.safetensors"),
      serialize(
        new Map([
          ["x", x],
          ["y", add(y, 0.5)],
        ]),
      ),
    );
    const { code, out } = await run("lstm.onnx", "wrong.safetensors", 1e-6);
    expect([code, /largest error 0\.5\d* in y, tolerance/.test(out)]).toEqual([1, true]);
    await writeFile(
      path("more.safetensors"),
      serialize(
        new Map([
          ["x", x],
          ["z", y],
        ]),
      ),
    );
    expect((await run("lstm.onnx", "more.safetensors", 1)).out).toContain("z: missing");
    await writeFile(
      path("shape.safetensors"),
      serialize(
        new Map([
          ["x", tensor([1])],
          ["y", y],
        ]),
      ),
    );
    await expect(run("lstm.onnx", "shape.safetensors", 1)).rejects.toThrow(/lstm\.onnx: run: expected input x of shape/);
    // Without its inputs a file is compared by its weights.
    expect((await run("lstm.onnx", "m.safetensors", 1)).out).toContain("w: missing");
  });
});
