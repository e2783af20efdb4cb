import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../../src/base/errors.ts";
import { exportWeights, importWeights, type Layout, type RecurrentModule } from "../../src/interop/layouts.ts";
import { transpose } from "../../src/ops/shape.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { GRU, LSTM, RNN } from "../../src/recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";
import { GOLDEN_TOLERANCE, goldenInputs } from "../cells/acceptance.ts";

const LAYOUTS: readonly Layout[] = ["torch", "onnx", "keras"];
const DTYPES: readonly FloatDType[] = ["float32", "float64"];

type Matrix = number[][];
const sizes = { inputSize: 3, hiddenSize: 2 };

/** Shape and bytes of each tensor. */
function bitsOf(tensors: ReadonlyMap<string, Tensor>): Record<string, unknown> {
  return Object.fromEntries(
    Array.from(tensors, ([name, t]) => [name, [t.dtype, t.shape, [...new Uint8Array(t.data().slice().buffer)]]] as const).sort(),
  );
}

/** Arrays of the same names and shapes with values of their own, zeros of both signs among them; `zeros` tells what stays zero. */
function refill(arrays: ReadonlyMap<string, Tensor>, keepZeros: boolean): Map<string, Tensor> {
  const generator = new Generator(5);
  return new Map(
    Array.from(arrays, ([name, t]) => {
      const values = generator.uniform(t.shape, -1, 1, t.dtype as FloatDType).data();
      const old = t.data();
      if (!keepZeros) values.set([-0, 0].slice(0, values.length));
      return [name, tensor(keepZeros ? values.map((v, i) => (old[i] === 0 ? 0 : v)) : values, { shape: t.shape })];
    }),
  );
}

const makers: Record<string, (dtype: FloatDType) => RecurrentModule> = {
  RNN: (dtype) => new RNN({ ...sizes, dtype }),
  "RNN of one bias": (dtype) => new RNN({ ...sizes, dtype, biases: 1, bidirectional: true }),
  LSTM: (dtype) => new LSTM({ ...sizes, dtype }),
  "LSTM in layers and directions": (dtype) => new LSTM({ ...sizes, hiddenSize: 5, dtype, numLayers: 3, bidirectional: true }),
  "LSTM of one bias": (dtype) => new LSTM({ ...sizes, dtype, biases: 1, numLayers: 2 }),
  "LSTM without bias": (dtype) => new LSTM({ ...sizes, dtype, bias: false, bidirectional: true }),
  "LSTM with peepholes": (dtype) => new LSTM({ ...sizes, dtype, peepholes: true, bidirectional: true, numLayers: 2 }),
  "LSTM with projection": (dtype) => new LSTM({ ...sizes, dtype, projSize: 1, bidirectional: true }),
  GRU: (dtype) => new GRU({ ...sizes, dtype, numLayers: 2, bidirectional: true }),
  "GRU of one bias": (dtype) => new GRU({ ...sizes, dtype, biases: 1 }),
  "GRU without bias": (dtype) => new GRU({ ...sizes, dtype, bias: false }),
  "GRU with reset before": (dtype) => new GRU({ ...sizes, dtype, resetAfter: false, bidirectional: true }),
  RNNCell: (dtype) => new RNNCell({ ...sizes, dtype, nonlinearity: "relu" }),
  LSTMCell: (dtype) => new LSTMCell({ ...sizes, dtype }),
  "LSTMCell with peepholes": (dtype) => new LSTMCell({ ...sizes, dtype, peepholes: true }),
  "LSTMCell with projection": (dtype) => new LSTMCell({ ...sizes, dtype, projSize: 1 }),
  GRUCell: (dtype) => new GRUCell({ ...sizes, dtype }),
  "GRUCell with reset before, one bias": (dtype) => new GRUCell({ ...sizes, dtype, resetAfter: false, biases: 1 }),
};

/** What a layout has no place for. */
const unheld: Record<Layout, Record<string, RegExp>> = {
  torch: {
    "LSTM with peepholes": /got LSTM with weight_peephole_l0$/,
    "LSTMCell with peepholes": /got LSTMCell with weight_peephole$/,
    "LSTMCell with projection": /got LSTMCell with weight_hr$/,
    "GRU with reset before": /got GRU with a reset before the recurrent product \(resetAfter: false\)$/,
    "GRUCell with reset before, one bias": /got GRUCell with a reset before/,
  },
  onnx: { "LSTM with projection": /weight_hr_l0$/, "LSTMCell with projection": /weight_hr$/ },
  keras: {
    "LSTM with projection": /weight_hr_l0$/,
    "LSTMCell with projection": /weight_hr$/,
    "LSTM with peepholes": /weight_peephole_l0$/,
    "LSTMCell with peepholes": /weight_peephole$/,
  },
};

describe.each(LAYOUTS)("layout %s", (layout) => {
  const held = Object.keys(makers).filter((name) => !(name in unheld[layout]));

  it.each(held)("gives back to the bit what it took: %s", (name) => {
    for (const dtype of DTYPES) {
      const module = (makers[name] as (dtype: FloatDType) => RecurrentModule)(dtype);
      const arrays = refill(exportWeights(module, layout), name.includes("one bias"));
      const before = bitsOf(arrays);
      importWeights(module, layout, arrays);
      expect(bitsOf(exportWeights(module, layout))).toEqual(before);
      expect(bitsOf(arrays)).toEqual(before);
    }
  });

  it.each(held)("carries the function to another module: %s", (name) => {
    const make = makers[name] as (dtype: FloatDType) => RecurrentModule;
    const [a, b] = [make("float32"), make("float32")];
    importWeights(b, layout, exportWeights(a, layout));
    const xs = new Generator(3).uniform([4, 2, 3]);
    expect(a.scan(xs)[0].data()).toEqual(b.scan(xs)[0].data());
  });

  it.each(Object.keys(unheld[layout]))("says what it cannot hold: %s", (name) => {
    const module = (makers[name] as (dtype: FloatDType) => RecurrentModule)("float32");
    const message = unheld[layout][name] as RegExp;
    const intro = new RegExp(`expected a module that layout "${layout}" can hold`);
    for (const act of [() => exportWeights(module, layout), () => importWeights(module, layout, new Map())]) {
      expect(act).toThrow(ArgumentError);
      expect(act).toThrow(message);
      expect(act).toThrow(intro);
    }
  });

  it("leaves nothing behind but the arrays", () => {
    const module = new GRU(sizes);
    const before = memory().liveBytes;
    const arrays = exportWeights(module, layout);
    importWeights(module, layout, arrays);
    for (const t of arrays.values()) t.dispose();
    expect(memory().liveBytes).toBe(before);
  });
});

// ---- Golden vectors (those of the LSTM from test/cells/golden.test.ts): parameter number s has p_k = sin(1 + 0.7k + 1.3s)/2; written into each layout from rows by gate ----

function parameter(s: number, rows: number, columns: number): Matrix {
  const at = (k: number) => 0.5 * Math.sin(1 + 0.7 * k + 1.3 * s);
  return Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => at(i * columns + j)));
}

/** Blocks of two rows under the gates' names, put in another order. */
function reorder(rows: Matrix, from: string, to: string): Matrix {
  return [...to].flatMap((gate) => rows.slice(2 * from.indexOf(gate), 2 * from.indexOf(gate) + 2));
}

const turned = (m: Matrix): Matrix => (m[0] as number[]).map((_, j) => m.map((row) => row[j] as number));
const flat = (m: Matrix): number[] => turned(m)[0] as number[];

interface Golden {
  readonly gates: string;
  readonly onnx: string;
  readonly keras: string;
}
const LSTM_GATES: Golden = { gates: "ifgo", onnx: "iofg", keras: "ifgo" };
const GRU_GATES: Golden = { gates: "rzn", onnx: "zrn", keras: "zrn" };
const RNN_GATES: Golden = { gates: "h", onnx: "h", keras: "h" };

/** W, R, b and b' by gate. */
function golden(gates: string, first = 0): [Matrix, Matrix, Matrix, Matrix] {
  const rows = 2 * gates.length;
  return [parameter(first, rows, 3), parameter(first + 1, rows, 2), parameter(first + 2, rows, 1), parameter(first + 3, rows, 1)];
}

type Nested = readonly (number | Nested)[];
const named = (dtype: FloatDType, arrays: Record<string, Nested>): Map<string, Tensor> =>
  new Map(Object.entries(arrays).map(([name, values]) => [name, tensor(values as never, { dtype })]));

function onnxArrays({ gates, onnx }: Golden, dtype: FloatDType, firsts = [0]): Map<string, Tensor> {
  const sides = firsts.map((first) => golden(gates, first).map((m) => reorder(m, gates, onnx)) as [Matrix, Matrix, Matrix, Matrix]);
  return named(dtype, { W: sides.map((s) => s[0]), R: sides.map((s) => s[1]), B: sides.map((s) => [...flat(s[2]), ...flat(s[3])]) });
}

function kerasArrays({ gates, keras }: Golden, bias: "sum" | "two", first = 0): Record<string, Nested> {
  const [w, r, b, c] = golden(gates, first).map((m) => reorder(m, gates, keras)) as [Matrix, Matrix, Matrix, Matrix];
  const both = flat(b).map((v, i) => v + (flat(c)[i] as number));
  return { kernel: turned(w), recurrent_kernel: turned(r), bias: bias === "sum" ? both : [flat(b), flat(c)] };
}

/** Largest distance of the last values from the golden ones. */
function distance(actual: Tensor, expected: readonly number[]): number {
  const values = actual.data();
  expect(values.length).toBe(expected.length);
  return Math.max(...expected.map((e, i) => Math.abs(e - (values[i] as number))));
}

describe.each(DTYPES)("golden vectors, %s", (dtype) => {
  const tolerance = GOLDEN_TOLERANCE[dtype];
  const options = { ...sizes, dtype };
  const rows: [string, () => RecurrentModule, Layout, () => Map<string, Tensor>, number[]][] = [
    ["RNN", () => new RNN(options), "onnx", () => onnxArrays(RNN_GATES, dtype), [-0.92784, -0.07778]],
    ["RNN", () => new RNN(options), "keras", () => named(dtype, kerasArrays(RNN_GATES, "sum")), [-0.92784, -0.07778]],
    ["RNNCell", () => new RNNCell(options), "onnx", () => onnxArrays(RNN_GATES, dtype), [-0.92784, -0.07778]],
    ["LSTM", () => new LSTM(options), "onnx", () => onnxArrays(LSTM_GATES, dtype), [0.136258, 0.249471]],
    ["LSTM", () => new LSTM(options), "keras", () => named(dtype, kerasArrays(LSTM_GATES, "sum")), [0.136258, 0.249471]],
    ["LSTM of one bias", () => new LSTM({ ...options, biases: 1 }), "keras", () => named(dtype, kerasArrays(LSTM_GATES, "sum")), [0.136258, 0.249471]],
    ["LSTMCell", () => new LSTMCell(options), "onnx", () => onnxArrays(LSTM_GATES, dtype), [0.136258, 0.249471]],
    ["LSTMCell", () => new LSTMCell(options), "keras", () => named(dtype, kerasArrays(LSTM_GATES, "sum")), [0.136258, 0.249471]],
    ["GRU", () => new GRU(options), "onnx", () => onnxArrays(GRU_GATES, dtype), [0.469762, 0.495768]],
    ["GRU", () => new GRU(options), "keras", () => named(dtype, kerasArrays(GRU_GATES, "two")), [0.469762, 0.495768]],
    ["GRUCell", () => new GRUCell(options), "keras", () => named(dtype, kerasArrays(GRU_GATES, "two")), [0.469762, 0.495768]],
    ["GRU, reset before", () => new GRU({ ...options, resetAfter: false }), "onnx", () => onnxArrays(GRU_GATES, dtype), [0.727313, 0.641934]],
    ["GRU, reset before", () => new GRU({ ...options, resetAfter: false }), "keras", () => named(dtype, kerasArrays(GRU_GATES, "sum")), [0.727313, 0.641934]],
  ]; // biome-ignore format: one line each
  it.each(rows)("%s %#", (_, make, layout, arrays, expected) => {
    const module = make();
    importWeights(module, layout, arrays());
    const [ys] = noGrad(() => module.scan(goldenInputs(dtype)));
    const last = tensor(ys.data().slice(-2), { dtype });
    expect(distance(last, expected)).toBeLessThanOrEqual(tolerance);
  });

  it("LSTM with peepholes, P in the order i o f", () => {
    const [pi, pf, po] = [4, 5, 6].map((s) => flat(parameter(s, 2, 1))) as [number[], number[], number[]];
    const module = new LSTM({ ...options, peepholes: true });
    importWeights(module, "onnx", new Map([...onnxArrays(LSTM_GATES, dtype), ...named(dtype, { P: [[...pi, ...po, ...pf]] })]));
    const [, { h, c }] = noGrad(() => module.scan(goldenInputs(dtype))) as [Tensor, LstmState];
    expect(distance(h, [0.146996, 0.269063])).toBeLessThanOrEqual(tolerance);
    expect(distance(c, [0.307097, 0.44634])).toBeLessThanOrEqual(tolerance);
  });

  const first = [0.073953, 0.057851, 0.196751, 0.139669];
  const last = [0.136258, 0.249471, 0.086881, 0.171077];
  it.each(["onnx", "keras"] as const)("LSTM in both directions, %s", (layout) => {
    const keras = [kerasArrays(LSTM_GATES, "sum"), kerasArrays(LSTM_GATES, "sum", 10)].map((side, d) =>
      Object.fromEntries(Object.entries(side).map(([name, values]) => [`${["forward", "backward"][d]}_layer.${name}`, values])),
    );
    const module = new LSTM({ ...options, bidirectional: true });
    importWeights(module, layout, layout === "onnx" ? onnxArrays(LSTM_GATES, dtype, [0, 10]) : named(dtype, { ...keras[0], ...keras[1] }));
    const ys = noGrad(() => module.scan(goldenInputs(dtype))[0]).data();
    expect(distance(tensor(ys.slice(0, 4)), first)).toBeLessThanOrEqual(tolerance);
    expect(distance(tensor(ys.slice(-4)), last)).toBeLessThanOrEqual(tolerance);
  });
});

describe("names and shapes", () => {
  const shapes = (module: RecurrentModule, layout: Layout) =>
    Object.fromEntries(Array.from(exportWeights(module, layout), ([name, t]) => [name, t.shape]));

  it("are PyTorch's", () => {
    const { weight_ih_l0, bias_hh_l0_reverse, ...rest } = shapes(new LSTM({ ...sizes, projSize: 1, bidirectional: true }), "torch");
    expect(weight_ih_l0).toEqual([8, 3]);
    expect(bias_hh_l0_reverse).toEqual([8]);
    expect(Object.keys(rest).length).toBe(8);
    expect(shapes(new GRUCell(sizes), "torch")).toEqual({ weight_ih: [6, 3], weight_hh: [6, 2], bias_ih: [6], bias_hh: [6] });
  });

  it("are ONNX's", () => {
    const one = new LSTM({ ...sizes, peepholes: true, bidirectional: true });
    expect(shapes(one, "onnx")).toEqual({ W: [2, 8, 3], R: [2, 8, 2], B: [2, 16], P: [2, 6] });
    expect(shapes(new GRUCell({ ...sizes, bias: false }), "onnx")).toEqual({ W: [1, 6, 3], R: [1, 6, 2] });
    expect(Object.keys(shapes(new RNN({ ...sizes, numLayers: 2 }), "onnx"))).toEqual(
      ["W", "R", "B"].map((n) => `layers.0.${n}`).concat(["W", "R", "B"].map((n) => `layers.1.${n}`)),
    );
  });

  it("are Keras's", () => {
    expect(shapes(new GRU(sizes), "keras")).toEqual({ kernel: [3, 6], recurrent_kernel: [2, 6], bias: [2, 6] });
    expect(shapes(new GRU({ ...sizes, resetAfter: false }), "keras")).toEqual({ kernel: [3, 6], recurrent_kernel: [2, 6], bias: [6] });
    expect(shapes(new LSTM(sizes), "keras")).toEqual({ kernel: [3, 8], recurrent_kernel: [2, 8], bias: [8] });
    const names = Object.keys(shapes(new RNN({ ...sizes, numLayers: 2, bidirectional: true }), "keras"));
    expect(names.slice(2, 4)).toEqual(["layers.0.forward_layer.bias", "layers.0.backward_layer.kernel"]);
    expect(names.length).toBe(12);
  });

  it("do not depend on the strides of what is given", () => {
    const [a, b] = [new LSTM(sizes), new LSTM(sizes)];
    const arrays = exportWeights(a, "keras");
    const kernel = arrays.get("kernel") as Tensor;
    const other = tensor(transpose(kernel).data(), { shape: [8, 3] });
    importWeights(b, "keras", new Map([...arrays, ["kernel", transpose(other)]]));
    expect(bitsOf(exportWeights(b, "keras"))).toEqual(bitsOf(arrays));
  });

  it("round to the module's dtype", () => {
    const double = new RNN({ ...sizes, dtype: "float64" });
    const single = new RNN(sizes);
    importWeights(single, "onnx", exportWeights(double, "onnx"));
    const expected = Array.from(double.parameters(), (p) => Float32Array.from(p.data()));
    expect(Array.from(single.parameters(), (p) => p.data())).toEqual(expected);
  });
});

describe("importWeights refuses, and changes nothing", () => {
  type Change = (arrays: Map<string, Tensor>) => void;
  const lstm = () => new LSTM({ ...sizes, peepholes: true });
  const bad: [string, () => RecurrentModule, Layout, Change, new () => Error, RegExp][] = [
    ["a missing array", lstm, "onnx", (a) => a.delete("R"), FormatError as never, /expected an array R \[1,8,2\], got none/],
    ["missing peepholes", lstm, "onnx", (a) => a.delete("P"), FormatError as never, /expected an array P \[1,6\], got none/],
    ["an unknown array", lstm, "onnx", (a) => a.set("Q", tensor(1)), FormatError as never, /expected arrays W, R, B, P, got Q/],
    ["another shape", lstm, "onnx", (a) => a.set("B", tensor([[1]])), ShapeError as never, /expected B of shape \[1,16\], got \[1,1\]/],
    [
      "a kernel that is not transposed",
      () => new LSTM(sizes),
      "keras",
      (a) => a.set("kernel", transpose(a.get("kernel") as Tensor)),
      ShapeError as never,
      /expected kernel of shape \[3,8\], got \[8,3\]/,
    ],
    [
      "one bias for a GRU that resets after the product",
      () => new GRU(sizes),
      "keras",
      (a) => a.set("bias", tensor(new Float32Array(6))),
      ShapeError as never,
      /expected bias of shape \[2,6\], got \[6\]/,
    ],
    [
      "integers",
      () => new RNNCell(sizes),
      "torch",
      (a) => a.set("bias_ih", tensor(new Int32Array(2))),
      DTypeError as never,
      /expected bias_ih of floats, got int32/,
    ],
    ...(["torch", "onnx", "keras"] as const).map((layout): (typeof bad)[number] => [
      `two biases for a GRU of one (${layout})`,
      () => new GRU({ ...sizes, biases: 1 }),
      layout,
      (a) => {
        for (const [name, t] of exportWeights(new GRU(sizes), layout)) a.set(name, t);
      },
      ArgumentError as never,
      /expected zeros for bias_hh_l0 in (bias_hh_l0|B|bias), since the module has one bias/,
    ]),
  ];
  it.each(bad)("%s", (_, make, layout, change, type, message) => {
    const module = make();
    const arrays = refill(exportWeights(module, layout), true);
    change(arrays);
    const before = bitsOf(module.stateDict());
    expect(() => importWeights(module, layout, arrays)).toThrow(type);
    expect(() => importWeights(module, layout, arrays)).toThrow(message);
    expect(bitsOf(module.stateDict())).toEqual(before);
  });

  it.each(["tf", "toString"])("an unknown layout: %s", (layout) => {
    const act = () => exportWeights(new RNN(sizes), layout as Layout);
    expect(act).toThrow(ArgumentError);
    expect(act).toThrow(`exportWeights: expected layout "torch", "onnx" or "keras", got "${layout}"`);
  });
});

describe("a bias that the layout or the module lacks", () => {
  it("is summed for Keras, and zero when it comes back", () => {
    const lstm = new LSTMCell(sizes);
    assign(lstm.biasIh as Tensor, [-0, 0.1, 1, 2, 3, 4, 5, 6]);
    assign(lstm.biasHh as Tensor, [0, 0.2, -1, 1, 1, 1, 1, 1]);
    const bias = exportWeights(lstm, "keras").get("bias") as Tensor;
    expect(bias.data()).toEqual(Float32Array.of(-0, Math.fround(0.1) + Math.fround(0.2), 0, 3, 4, 5, 6, 7));
    importWeights(lstm, "keras", exportWeights(lstm, "keras"));
    expect(lstm.biasIh?.data()).toEqual(bias.data());
    expect(lstm.biasHh?.data()).toEqual(new Float32Array(8));
  });

  it("is zero in a layout of two", () => {
    const gru = new GRUCell({ ...sizes, biases: 1 });
    expect(exportWeights(gru, "onnx").get("B")?.data().slice(6)).toEqual(new Float32Array(6));
    expect(exportWeights(gru, "keras").get("bias")?.data().slice(6)).toEqual(new Float32Array(6));
    expect(exportWeights(gru, "torch").get("bias_hh")?.data()).toEqual(new Float32Array(6));
  });
});
