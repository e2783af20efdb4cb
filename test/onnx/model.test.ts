/** Models of several nodes: what is refused and how, folding, subgraphs, halves, and the memory of runs. */

import { describe, expect, it } from "vitest";
import { bytes, graph, initializer, int, joined, model, node } from "../../bench/rivals/onnx.mjs";
import { FormatError } from "../../src/base/errors.ts";
import { parseModel, parseTensor } from "../../src/onnx/model.ts";
import { loadModel } from "../../src/onnx/session.ts";
import type { HostArray } from "../../src/onnx/values.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { thrown } from "../thrown.ts";

const f32 = (...values: number[]): Float32Array => Float32Array.from(values);
const i64 = (...values: number[]): BigInt64Array => BigInt64Array.from(values, BigInt);
const ints = (values: readonly number[], shape: readonly number[] = [values.length]): Tensor =>
  tensor([...values], { shape, dtype: "int32" });
const bool = (value: boolean): Tensor => tensor([Number(value)], { shape: [], dtype: "bool" });

/** What a model gives for its inputs, as nested arrays. */
function run(bytes: Uint8Array, inputs: Readonly<Record<string, Tensor>>): Record<string, unknown> {
  const outputs = loadModel(bytes).run(inputs);
  return Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, t.toArray()]));
}

describe("subgraphs", () => {
  const branch = (op: string): Uint8Array =>
    graph({ nodes: [node(op, ["h", "c"], ["z"])], initializers: [initializer("c", [], f32(10))], inputs: {}, outputs: { z: null } });
  const ifNode = node("If", ["cond"], ["y"], { then_branch: { graph: branch("Add") }, else_branch: { graph: branch("Mul") } });

  it("of If read what lies around them", () => {
    const bytes = model({
      nodes: [node("Neg", ["x"], ["h"]), ifNode],
      inputs: { x: [2], cond: { type: "bool", shape: [] } },
      outputs: { y: null },
    });
    expect(run(bytes, { x: tensor([1, 2]), cond: bool(true) })).toEqual({ y: [9, 8] });
    expect(run(bytes, { x: tensor([1, 2]), cond: bool(false) })).toEqual({ y: [-10, -20] });
  });

  it("read through two levels, and what is around may be an input, a constant or made", () => {
    const inner = graph({ nodes: [node("Sum", ["x", "k", "h"], ["z"])], inputs: {}, outputs: { z: null } });
    const nested = node("If", ["cond"], ["w"], { then_branch: { graph: inner }, else_branch: { graph: inner } });
    const outer = graph({ nodes: [nested], inputs: {}, outputs: { w: null } });
    const bytes = model({
      nodes: [node("Neg", ["x"], ["h"]), node("If", ["cond"], ["y"], { then_branch: { graph: outer }, else_branch: { graph: outer } })],
      initializers: [initializer("k", [1], f32(5))],
      inputs: { x: [2], cond: { type: "bool", shape: [] } },
      outputs: { y: null },
    });
    expect(run(bytes, { x: tensor([1, 2]), cond: bool(true) })).toEqual({ y: [5, 5] });
  });

  /** s' = s·x and the partial sums, until s is 100 or the count is reached. */
  const body = graph({
    nodes: [node("Mul", ["s", "x"], ["s1"]), node("Identity", ["s1"], ["seen"]), node("Less", ["s1", "limit"], ["again"])],
    initializers: [initializer("limit", [], f32(100))],
    inputs: { i: { type: "int64", shape: [] }, c: { type: "bool", shape: [] }, s: [] },
    outputs: { again: null, s1: null, seen: null },
  });

  it("of Loop end by their condition or by the count, and stack what they give", () => {
    const loop = (count: string, start: string) =>
      model({
        nodes: [node("Loop", [count, start, "s0"], ["s", "all"], { body: { graph: body } })],
        inputs: { x: [], s0: [], m: { type: "int64", shape: [] }, go: { type: "bool", shape: [] } },
        outputs: { s: null, all: null },
      });
    const inputs = { x: tensor(3), s0: tensor(2), m: ints([3], []), go: bool(true) };
    expect(run(loop("m", "go"), inputs)).toEqual({ s: 54, all: [6, 18, 54] });
    expect(run(loop("", ""), inputs)).toEqual({ s: 162, all: [6, 18, 54, 162] });
    expect(run(loop("m", "go"), { ...inputs, go: bool(false) })).toEqual({ s: 2, all: [] });
  });

  it("of Loop hold as much memory after many rounds as after few", () => {
    const quiet = graph({
      nodes: [node("Add", ["s", "x"], ["s1"]), node("Identity", ["c"], ["again"])],
      inputs: { i: { type: "int64", shape: [] }, c: { type: "bool", shape: [] }, s: [256] },
      outputs: { again: null, s1: null },
    });
    const session = loadModel(
      model({
        nodes: [node("Loop", ["m", "", "x"], ["s"], { body: { graph: quiet } })],
        inputs: { x: [256], m: { type: "int64", shape: [] } },
        outputs: { s: null },
      }),
    );
    const rounds = (n: number): number =>
      scope(() => {
        const out = session.run({ x: tensor(new Float32Array(256).fill(1)), m: ints([n], []) });
        expect((out.s as Tensor).data()[0]).toBe(n + 1);
        return memory().linearBytes;
      });
    const few = rounds(3);
    expect(rounds(20_000)).toBe(few);
  });

  it("of Scan go along any axis and backwards", () => {
    const sum = graph({
      nodes: [node("Add", ["s", "x"], ["s1"]), node("Identity", ["s1"], ["y"])],
      inputs: { s: [2], x: [2] },
      outputs: { s1: null, y: null },
    });
    const scan = (attributes: object) =>
      model({
        nodes: [node("Scan", ["s0", "xs"], ["s", "ys"], { body: { graph: sum }, num_scan_inputs: 1, ...attributes })],
        inputs: { s0: [2], xs: [2, 3] },
        outputs: { s: null, ys: null },
      });
    const inputs = {
      s0: tensor([0, 10]),
      xs: tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]),
    };
    const forward = run(scan({ scan_input_axes: { ints: [1] }, scan_output_axes: { ints: [1] } }), inputs);
    expect(forward).toEqual({
      s: [6, 25],
      ys: [
        [1, 3, 6],
        [14, 19, 25],
      ],
    });
    const back = run(
      scan({ scan_input_axes: { ints: [-1] }, scan_input_directions: { ints: [1] }, scan_output_directions: { ints: [1] } }),
      inputs,
    );
    expect(back).toEqual({
      s: [6, 25],
      ys: [
        [6, 25],
        [5, 21],
        [3, 16],
      ],
    });
  });
});

describe("sessions", () => {
  const bytes = model({
    nodes: [node("MatMul", ["x", "w"], ["h"]), node("Add", ["h", "b"], ["y"]), node("Shape", ["y"], ["n"])],
    initializers: [initializer("w", [2, 3], f32(1, 2, 3, 4, 5, 6)), initializer("b", [3], f32(1, 1, 1))],
    inputs: { x: ["batch", 2], mask: { type: "int64", shape: ["batch"] } },
    outputs: { y: null, n: null },
  });
  const session = loadModel(bytes);
  const x = tensor([[1, 0]]);

  it("say what they take and give", () => {
    expect(session.inputs).toEqual([
      { name: "x", dtype: "float32", shape: ["batch", 2] },
      { name: "mask", dtype: "int32", shape: ["batch"] },
    ]);
    expect(session.outputs.map(({ name }) => name)).toEqual(["y", "n"]);
  });

  it("run, and leave nothing behind", () => {
    const inputs = { x, mask: ints([1]) };
    // The first run arranges weights, the second is captured.
    for (let i = 0; i < 2; i++) scope(() => session.run(inputs));
    const before = memory();
    scope(() => {
      const { y, n } = session.run(inputs);
      expect([y?.toArray(), n?.toArray()]).toEqual([[[2, 3, 4]], [1, 3]]);
    });
    expect(memory()).toEqual(before);
  });

  it.each([
    [{ x }, "mask, got none"],
    [{ x, mask: ints([1]), z: x }, 'expected inputs x, mask, got "z"'],
    [{ x: ints([1, 2], [1, 2]), mask: ints([1]) }, "expected input x of float32, got int32"],
    [{ x: tensor([1, 2]), mask: ints([1]) }, "expected input x of shape [batch,2], got [2]"],
    [{ x, mask: ints([1, 2]) }, "expected input mask of shape [batch=1], as x has it, got [2]"],
    [{ x: 3, mask: ints([1]) }, "run: input x: expected a tensor, got a number"],
  ])("refuse other inputs: %#", (inputs, message) => {
    expect((thrown(() => session.run(inputs as never)) as Error).message).toContain(message);
  });

  it("give outputs that are nobody else's memory", () => {
    const passing = model({
      nodes: [node("Identity", ["x"], ["a"]), node("Identity", ["w"], ["b"]), node("Add", ["x", "w"], ["c"])],
      initializers: [initializer("w", [2], f32(5, 6))],
      inputs: { x: [2] },
      outputs: { a: null, b: null, c: null },
    });
    const same = loadModel(passing);
    const given = tensor([1, 2]);
    const { a, b } = same.run({ x: given });
    a?.dispose();
    b?.dispose();
    expect(same.run({ x: given }).c?.toArray()).toEqual([6, 8]);
  });

  it("name the node in which something goes wrong", () => {
    const wrong = model({
      nodes: [node("Add", ["x", "w"], ["y"])],
      initializers: [initializer("w", [3], f32(1, 2, 3))],
      inputs: { x: null },
      outputs: { y: null },
    });
    const error = thrown(() => loadModel(wrong).run({ x: tensor([1, 2]) })) as Error;
    expect(error.message).toBe("onnx: node 0 (Add): add: expected shapes that broadcast together, got [2] and [3]");
  });

  it("outlive the scope they were made in", () => {
    const made = scope(() => loadModel(bytes));
    expect(made.run({ x, mask: ints([1]) }).y?.toArray()).toEqual([[2, 3, 4]]);
  });
});

describe("files", () => {
  const one = (op: string, attributes = {}, domain = "", opset = 14): Uint8Array<ArrayBuffer> =>
    model({ opset, nodes: [node(op, ["x"], ["y"], attributes, domain)], inputs: { x: [2] }, outputs: { y: null } });
  const refusal = (source: Uint8Array): string => {
    const error = thrown(() => loadModel(source));
    expect(error).toBeInstanceOf(FormatError);
    return (error as Error).message;
  };

  it("of unknown operators are refused with all of them named", () => {
    const nodes = [node("Foo", ["x"], ["a"]), node("Relu", ["a"], ["b"]), node("Bar", ["b"], ["y"], {}, "my.domain")];
    const message = refusal(model({ nodes, inputs: { x: [2] }, outputs: { y: null } }));
    expect(message).toBe(
      "onnx: expected operators that are supported, got 2 that are not: node 0 (Foo) of domain ai.onnx, node 2 (my.domain.Bar) of domain my.domain",
    );
  });

  it("of unknown operators inside branches too", () => {
    const inner = graph({ nodes: [node("Foo", ["x"], ["z"])], inputs: {}, outputs: { z: null } });
    const nodes = [node("If", ["c"], ["y"], { then_branch: { graph: inner }, else_branch: { graph: inner } })];
    expect(refusal(model({ nodes, inputs: { x: [2], c: { type: "bool", shape: [] } }, outputs: { y: null } }))).toContain("node 0 (Foo)");
  });

  it.each([
    ["an attribute nobody knows", one("Relu", { foo: 1 }), "expected no attribute foo of node 0 (Relu), got one"],
    ["an attribute of another type", one("LeakyRelu", { alpha: 1 }), "type 1 (float) in attribute alpha of node 0 (LeakyRelu), got 2"],
    ["an opset beyond", one("Relu", {}, "", 99), "an opset of at most 23"],
    ["no bytes", new Uint8Array(), "a model with a graph"],
    [
      "a name made twice",
      model({ nodes: [node("Relu", ["x"], ["y"]), node("Neg", ["x"], ["y"])], inputs: { x: [2] }, outputs: { y: null } }),
      '"y" again',
    ],
    [
      "a circle",
      model({ nodes: [node("Add", ["x", "b"], ["a"]), node("Neg", ["a"], ["b"])], inputs: { x: [2] }, outputs: { b: null } }),
      'expected nodes in order, those that make the inputs of node 0 (Add) before it (a cycle?), got "b" later',
    ],
    [
      "nodes out of order",
      model({ nodes: [node("Neg", ["a"], ["y"]), node("Relu", ["x"], ["a"])], inputs: { x: [2] }, outputs: { y: null } }),
      'expected nodes in order, those that make the inputs of node 0 (Neg) before it (a cycle?), got "a" later',
    ],
    [
      "an input nobody makes",
      model({ nodes: [node("Neg", ["a"], ["y"])], inputs: { x: [2] }, outputs: { y: null } }),
      'expected the inputs of node 0 (Neg) to be made by nodes, given or constant, got "a", which is none of it',
    ],
    ["an output nobody makes", model({ nodes: [], inputs: { x: [2] }, outputs: { y: null } }), 'got "y"'],
    [
      "an input left out that is needed",
      model({ nodes: [node("Add", ["x"], ["y"])], inputs: { x: [2] }, outputs: { y: null } }),
      "expected 2 inputs of node 0 (Add), got none as input 1",
    ],
    [
      "sizes that lie",
      model({ nodes: [], initializers: [initializer("w", [2 ** 20, 2 ** 20], f32(1))], inputs: {}, outputs: {} }),
      "at most 2^29 elements",
    ],
    [
      "less data than its sizes say",
      model({ nodes: [], initializers: [initializer("w", [3], f32(1))], inputs: {}, outputs: {} }),
      '12 bytes of data in constant "w", got 4',
    ],
  ])("of %s are refused", (_, source, message) => {
    expect(refusal(source)).toContain(message);
  });

  it("of graphs within graphs without end are refused", () => {
    let deep = graph({ nodes: [], inputs: {}, outputs: {} });
    for (let i = 0; i < 200; i++)
      deep = graph({ nodes: [node("Loop", ["c", "c"], [], { body: { graph: deep } })], inputs: {}, outputs: {} });
    const source = joined([bytes(7, joined([deep, bytes(11, bytes(1, "c"))])), bytes(8, int(2, 14))]);
    expect(refusal(source)).toContain("messages at most 100 deep");
  });

  it("hold halves, doubles and whole numbers of any width", () => {
    const half = (bits: number) => initializer("h", [1], Uint16Array.of(bits), "float16");
    expect((parseTensor(half(0x3e00)).value as Tensor).toArray()).toEqual([1.5]);
    // As integers in field 5.
    const typed = joined([int(1, 2), int(2, 10), int(5, 0x3e00), int(5, 0xc000)]);
    expect((parseTensor(typed).value as Tensor).toArray()).toEqual([1.5, -2]);
    const negative = joined([int(1, 2), int(2, 7), int(7, -5), int(7, -(2 ** 52))]);
    expect([...(parseTensor(negative).value as HostArray).data]).toEqual([-5, -(2 ** 52)]);
    const raw = parseTensor(initializer("w", [2], i64(-5, 2 ** 40), "int64")).value as HostArray;
    expect([raw.type, ...raw.data]).toEqual(["int64", -5, 2 ** 40]);
  });

  it("of IR versions before 4 list their constants among the inputs", () => {
    const old = model({
      nodes: [node("Add", ["x", "w"], ["y"])],
      initializers: [initializer("w", [2], f32(5, 6))],
      inputs: { x: [2], w: [2] },
      outputs: { y: null },
    });
    expect(loadModel(old).inputs.map(({ name }) => name)).toEqual(["x"]);
    expect(run(old, { x: tensor([1, 2]) })).toEqual({ y: [6, 8] });
    expect(parseModel(old).inputs.length).toBe(2);
  });
});

describe("numbers that no model may have", () => {
  const x = tensor([[[1, 2, 3, 4]]]);
  const one = (op: string, attributes: Parameters<typeof node>[3], list: readonly number[] | null, outputs = ["y"]): Uint8Array =>
    model({
      nodes: [node(op, list === null ? ["x"] : ["x", "list"], outputs, attributes)],
      initializers: list === null ? [] : [initializer("list", [list.length], i64(...list), "int64")],
      inputs: { x: [1, 1, 4] },
      outputs: Object.fromEntries(outputs.map((name) => [name, null])),
    });
  const pool = (attributes: object) => one("MaxPool", { kernel_shape: { ints: [2] }, ...attributes }, null);

  it.each([
    ["dilations of a pool", pool({ dilations: { ints: [-16] } }), "expected dilations to be whole numbers of at least 1, got -16"],
    ["strides of a pool", pool({ strides: { ints: [0] } }), "expected strides to be whole numbers of at least 1, got 0"],
    ["kernels of a pool", pool({ kernel_shape: { ints: [-1] } }), "expected kernel_shape to be whole numbers of at least 1, got -1"],
    ["pads of a pool", pool({ pads: { ints: [-1, 1] } }), "expected pads to be whole numbers of at least 0, got -1"],
    ["parts", one("Split", { axis: 2 }, [64, -60], ["y", "z"]), "expected split to be whole numbers of at least 0, got -60"],
    ["lengths", one("ReverseSequence", { time_axis: 2, batch_axis: 1 }, [9]), "expected lengths to be whole numbers in [0, 4], got 9"],
  ])("are refused, as what they would read is not x: %s", (_, source, message) => {
    expect((thrown(() => loadModel(source).run({ x })) as Error).message).toContain(message);
  });

  it("as a depth are refused", () => {
    const source = model({
      nodes: [node("OneHot", ["x", "depth", "values"], ["y"])],
      initializers: [initializer("depth", [], i64(-3), "int64"), initializer("values", [2], f32(0, 1))],
      inputs: { x: { type: "int64", shape: [2] } },
      outputs: { y: null },
    });
    expect(thrown(() => loadModel(source).run({ x: ints([0, 1]) }))).toMatchObject({ code: "ERR_SHAPE" });
  });

  it("name axes from the end where they are negative", () => {
    expect(run(one("Transpose", { perm: { ints: [0, -1, 1] } }, null), { x })).toEqual({ y: [[[1], [2], [3], [4]]] });
  });
});

describe("functions of a model", () => {
  /** A FunctionProto of the domain "f" over opset 14; nodes may refer to its attributes. */
  const fn = (
    name: string,
    inputs: readonly string[],
    outputs: readonly string[],
    nodes: readonly Uint8Array[],
    defaults: readonly Uint8Array[] = [],
  ) =>
    bytes(
      25,
      joined([
        bytes(1, name),
        ...inputs.map((input) => bytes(4, input)),
        ...outputs.map((output) => bytes(5, output)),
        ...nodes.map((each) => bytes(7, each)),
        ...defaults.map((each) => bytes(11, each)),
        bytes(9, joined([bytes(1, ""), int(2, 14)])),
        bytes(10, "f"),
      ]),
    );
  /** LeakyRelu whose alpha is the function's attribute slope, 0.5 unless the call says otherwise. */
  const leaky = joined([node("LeakyRelu", ["a"], ["t"]), bytes(5, joined([bytes(1, "alpha"), bytes(21, "slope"), int(20, 1)]))]);
  const slope = joined([bytes(1, "slope"), joined([Uint8Array.of(8 * 2 + 5), new Uint8Array(Float32Array.of(0.5).buffer)]), int(20, 1)]);
  const twice = fn("Twice", ["a", "b"], ["z"], [leaky, node("Add", ["t", "b"], ["u"]), node("Add", ["u", "u"], ["z"])], [slope]);
  const calls = (nodes: readonly Uint8Array[], ...functions: readonly Uint8Array[]): Uint8Array =>
    joined([model({ nodes, inputs: { x: [2] }, outputs: { y: null } }), ...functions]);
  const x = tensor([-2, 4]);

  it("are read in the place of their calls, with the calls' attributes and names that do not meet", () => {
    const source = calls(
      [node("Twice", ["x", "x"], ["t"], { slope: { float: 0.25 } }, "f"), node("Twice", ["t", "x"], ["y"], {}, "f")],
      twice,
    );
    // 2·(-0.5 - 2) = -5 and 2·(4 + 4) = 16, then 2·(-2.5 - 2) and 2·(16 + 4).
    expect(run(source, { x })).toEqual({ y: [-9, 40] });
  });

  it("call each other, and their branches read what is theirs", () => {
    const branch = graph({ nodes: [node("Neg", ["t"], ["w"])], inputs: {}, outputs: { w: null } });
    const choose = fn(
      "Choose",
      ["a"],
      ["z"],
      [
        node("Twice", ["a", "a"], ["t"], {}, "f"),
        node("Constant", [], ["c"], { value: { tensor: initializer("c", [], Uint8Array.of(1), "bool") } }),
        node("If", ["c"], ["z"], { then_branch: { graph: branch }, else_branch: { graph: branch } }),
      ],
    );
    expect(run(calls([node("Choose", ["x"], ["y"], {}, "f")], twice, choose), { x })).toEqual({ y: [6, -16] });
  });

  it("that call themselves, or grow without end, are refused", () => {
    const self = fn("Self", ["a"], ["z"], [node("Self", ["a"], ["z"], {}, "f")]);
    expect((thrown(() => loadModel(calls([node("Self", ["x"], ["y"], {}, "f")], self))) as Error).message).toContain("at most 32 deep");
    const growing = Array.from({ length: 30 }, (_, i) => {
      const next = i === 29 ? node("Neg", ["a"], ["t"]) : node(`F${i + 1}`, ["a"], ["t"], {}, "f");
      const other = i === 29 ? node("Neg", ["t"], ["z"]) : node(`F${i + 1}`, ["t"], ["z"], {}, "f");
      return fn(`F${i}`, ["a"], ["z"], [next, other]);
    });
    const error = thrown(() => loadModel(calls([node("F0", ["x"], ["y"], {}, "f")], ...growing)));
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toContain("at most 100000 nodes in all");
  });
});

describe("the quantised LSTM", () => {
  it("is the LSTM of the weights its numbers stand for", () => {
    const [T, B, I, H] = [3, 2, 2, 2];
    const numbers = (n: number, seed: number): number[] => Array.from({ length: n }, (_, i) => ((i * 37 + seed) % 200) - 100);
    const [w, r] = [numbers(I * 4 * H, 3), numbers(H * 4 * H, 11)];
    const scales = [0.01, 0.02, 0.005, 0.01, 0.03, 0.01, 0.02, 0.015];
    const [points, one] = [[1, 0, -3, 2, 0, 0, 5, 1], 0.02];
    const bias = Float32Array.from({ length: 8 * H }, (_, i) => (i % 5) / 10 - 0.2);
    const inputs = { x: [T, B, I] };
    const outputs = { y: null, h: null, c: null };
    const quantised = model({
      nodes: [
        node(
          "DynamicQuantizeLSTM",
          ["x", "W", "R", "B", "", "", "", "", "ws", "wz", "rs", "rz"],
          ["y", "h", "c"],
          { hidden_size: H },
          "com.microsoft",
        ),
      ],
      initializers: [
        initializer("W", [1, I, 4 * H], Int8Array.from(w), "int8"),
        initializer("R", [1, H, 4 * H], Int8Array.from(r), "int8"),
        initializer("B", [1, 8 * H], bias),
        initializer("ws", [1, 4 * H], f32(...scales)),
        initializer("wz", [1, 4 * H], Int8Array.from(points), "int8"),
        initializer("rs", [1], f32(one)),
        initializer("rz", [1], Int8Array.of(7), "int8"),
      ],
      inputs,
      outputs,
    });
    // [I,4H] to [4H,I].
    const turned = (values: readonly number[], rows: number, of: (q: number, column: number) => number): Float32Array =>
      Float32Array.from({ length: values.length }, (_, i) =>
        of(values[(i % rows) * 4 * H + Math.floor(i / rows)] as number, Math.floor(i / rows)),
      );
    const plain = model({
      nodes: [node("LSTM", ["x", "W", "R", "B"], ["y", "h", "c"], { hidden_size: H })],
      initializers: [
        initializer(
          "W",
          [1, 4 * H, I],
          turned(w, I, (q, k) => Math.fround(scales[k] as number) * (q - (points[k] as number))),
        ),
        initializer(
          "R",
          [1, 4 * H, H],
          turned(r, H, (q) => Math.fround(one) * (q - 7)),
        ),
        initializer("B", [1, 8 * H], bias),
      ],
      inputs,
      outputs,
    });
    const x = tensor(
      Float32Array.from({ length: T * B * I }, (_, i) => Math.sin(i)),
      { shape: [T, B, I] },
    );
    expect(run(quantised, { x })).toEqual(run(plain, { x }));
  });
});
