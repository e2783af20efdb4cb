import { describe, expect, test } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { type Conv2dOptions, conv1d, conv2d } from "../../src/ops/conv.ts";
import { slice } from "../../src/ops/shape.ts";
import { zeros } from "../../src/tensor/create.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Grid, tensorOf } from "./grid.ts";
import { describeRows, type Row, waves } from "./rows.ts";

interface Axis {
  readonly stride?: number;
  readonly dilation?: number;
  readonly before?: number;
  readonly after?: number;
}

/** The sum over channels and window of each output, read element by element from the zero-padded input. */
function correlated(x: Grid, w: Grid, b: Grid | undefined, groups: number, axes: readonly Axis[]): Grid {
  const [N, , ...sizes] = x.shape as [number, number, ...number[]];
  const [O, channels, ...kernel] = w.shape as [number, number, ...number[]];
  const counts = axes.map(
    ({ stride = 1, dilation = 1, before = 0, after = 0 }, i) =>
      Math.floor(((sizes[i] as number) + before + after - dilation * ((kernel[i] as number) - 1) - 1) / stride) + 1,
  );
  const window = kernel.reduce<number[][]>((all, n) => all.flatMap((k) => Array.from({ length: n }, (_, i) => [...k, i])), [[]]);
  const at = (n = 0, o = 0, ...place: number[]): number => {
    let total = b?.at(o) ?? 0;
    const first = Math.floor(o / (O / groups)) * channels;
    for (let c = 0; c < channels; c++) {
      for (const k of window) {
        const from = axes.map(
          ({ stride = 1, dilation = 1, before = 0 }, i) => (place[i] as number) * stride - before + (k[i] as number) * dilation,
        );
        const inside = from.every((p, i) => p >= 0 && p < (sizes[i] as number));
        if (inside) total += w.at(o, c, ...k) * x.at(n, first + c, ...from);
      }
    }
    return total;
  };
  return { shape: [N, O, ...counts], at };
}

interface Conv2dCase {
  readonly name: string;
  readonly options: Conv2dOptions;
  readonly rows: Axis;
  readonly columns: Axis;
}

const both = (axis: Axis): Pick<Conv2dCase, "rows" | "columns"> => ({ rows: axis, columns: axis });

const cases2d: readonly Conv2dCase[] = [
  { name: "plain", options: {}, ...both({}) },
  { name: "padded", options: { padding: 1 }, ...both({ before: 1, after: 1 }) },
  {
    name: "with strides, dilations and paddings of its own along each axis",
    options: { stride: [2, 3], dilation: [1, 2], padding: [0, 3] },
    rows: { stride: 2 },
    columns: { stride: 3, dilation: 2, before: 3, after: 3 },
  },
  { name: "padded to the same size", options: { padding: "same" }, rows: { before: 0, after: 1 }, columns: { before: 1, after: 1 } },
  { name: "causal", options: { causal: true, padding: [0, 1] }, rows: { before: 1 }, columns: { before: 1, after: 1 } },
  {
    name: "causal, dilated, same",
    options: { causal: true, padding: "same", dilation: 2 },
    rows: { dilation: 2, before: 2 },
    columns: { dilation: 2, before: 2, after: 2 },
  },
];

describeRows(
  cases2d.map(
    ({ name, options, rows, columns }): Row => ({
      name: `conv2d ${name}`,
      shapes: [[2, 3, 5, 6], [4, 3, 2, 3], [4]],
      fn: (x, w, b) => conv2d(x as Tensor, w as Tensor, b, options),
      expected: (x, w, b) => correlated(x as Grid, w as Grid, b, 1, [rows, columns]),
    }),
  ),
);

describeRows([
  {
    name: "conv2d in groups",
    shapes: [
      [2, 4, 4, 3],
      [6, 2, 2, 2],
    ],
    fn: (x, w) => conv2d(x as Tensor, w as Tensor, undefined, { groups: 2 }),
    expected: (x, w) => correlated(x as Grid, w as Grid, undefined, 2, [{}, {}]),
  },
  {
    name: "conv1d",
    shapes: [[2, 3, 9], [4, 3, 3], [4]],
    fn: (x, w, b) => conv1d(x as Tensor, w as Tensor, b, { stride: 2, padding: 1 }),
    expected: (x, w, b) => correlated(x as Grid, w as Grid, b, 1, [{ stride: 2, before: 1, after: 1 }]),
  },
  {
    name: "conv1d, causal and dilated",
    shapes: [[2, 3, 9], [4, 3, 3], [4]],
    fn: (x, w, b) => conv1d(x as Tensor, w as Tensor, b, { causal: true, dilation: 2 }),
    expected: (x, w, b) => correlated(x as Grid, w as Grid, b, 1, [{ dilation: 2, before: 4 }]),
  },
  {
    name: "conv1d, every channel for itself",
    shapes: [
      [1, 3, 6],
      [3, 1, 2],
    ],
    fn: (x, w) => conv1d(x as Tensor, w as Tensor, undefined, { groups: 3, padding: "same" }),
    expected: (x, w) => correlated(x as Grid, w as Grid, undefined, 3, [{ after: 1 }]),
  },
  {
    name: "conv1d of no sequences",
    shapes: [[0, 3, 6], [4, 3, 2], [4]],
    fn: (x, w, b) => conv1d(x as Tensor, w as Tensor, b),
    expected: (x, w, b) => correlated(x as Grid, w as Grid, b, 1, [{}]),
  },
]);

test("a causal convolution does not look ahead", () => {
  const [x, w] = [tensorOf(waves([1, 2, 8])), tensorOf(waves([3, 2, 3], 1))];
  const whole = conv1d(x, w, undefined, { causal: true, dilation: 2 });
  for (let t = 1; t <= 8; t++) {
    const start = conv1d(slice(x, 2, 0, t), w, undefined, { causal: true, dilation: 2 });
    expect(start.toArray()).toEqual(slice(whole, 2, 0, t).toArray());
  }
});

describe("errors", () => {
  const x = zeros([1, 4, 5]);
  const w = zeros([2, 4, 3]);
  test.each<[string, () => unknown, abstract new (...args: never[]) => Error, string]>([
    ["rank of x", () => conv1d(zeros([4, 5]), w), ShapeError, "conv1d: expected x of 3 axes, got [4,5]"],
    ["rank of weight", () => conv2d(zeros([1, 1, 2, 2]), w), ShapeError, "conv2d: expected a weight of 4 axes, got [2,4,3]"],
    [
      "channels",
      () => conv1d(x, zeros([2, 3, 3])),
      ShapeError,
      "conv1d: expected weight [O, C / groups, ...] for C = 4 and 1 groups that divide O, got [2,3,1,3]",
    ],
    ["groups", () => conv1d(x, zeros([3, 2, 3]), undefined, { groups: 2 }), ShapeError, "2 groups that divide O"],
    ["bias", () => conv1d(x, w, zeros([3])), ShapeError, "conv1d: expected bias of shape [2], got [3]"],
    ["dtype", () => conv1d(x, zeros([2, 4, 3], "float64")), DTypeError, "conv1d: expected operands of float32, got float64"],
    [
      "length",
      () => conv1d(x, w, undefined, { dilation: 3 }),
      ShapeError,
      "conv1d: expected at least 7 padded elements along each axis, got 5",
    ],
    [
      "stride",
      () => conv1d(x, w, undefined, { stride: 0 }),
      ArgumentError,
      "conv1d: expected stride to be a whole number in [1, 2147483647], got 0",
    ],
    [
      "same with stride",
      () => conv1d(x, w, undefined, { padding: "same", stride: 2 }),
      ArgumentError,
      'expected stride 1 with padding "same", got 2',
    ],
    [
      "causal with padding",
      () => conv1d(x, w, undefined, { causal: true, padding: 1 }),
      ArgumentError,
      "expected padding 0 along time with causal, got 1",
    ],
  ])("%s", (_, fn, type, message) => {
    expect(fn).toThrow(type);
    expect(fn).toThrow(message);
  });
});

describe("the words of padding and the missing bias are PyTorch's", () => {
  const [x, w] = [tensor([[[1, 2, 3, 4, 5]]]), tensor([[[1, 0, -1]]])];
  const [image, filter] = [
    tensor([
      [
        [
          [1, 2],
          [3, 4],
        ],
      ],
    ]),
    tensor([
      [
        [
          [1, 1],
          [1, 1],
        ],
      ],
    ]),
  ];
  const flat = (t: Tensor) => Array.from(t.data());

  test("valid is no padding, also with causal", () => {
    expect(flat(conv1d(x, w, undefined, { padding: "valid" }))).toEqual([-2, -2, -2]);
    expect(flat(conv2d(image, filter, undefined, { padding: "valid" }))).toEqual([10]);
    expect(flat(conv1d(x, w, undefined, { padding: "valid", causal: true }))).toEqual([-1, -2, -2, -2, -2]);
  });

  test("a bias of null is none", () => {
    expect(flat(conv1d(x, w, null))).toEqual([-2, -2, -2]);
    expect(flat(conv2d(image, filter, null, { padding: "same" }))).toEqual([10, 6, 7, 4]);
  });

  // biome-ignore lint/suspicious/noExplicitAny: what nobody's types would let through
  const any = (value: unknown): any => value;
  test.each<[string, () => unknown, new () => Error, string]>([
    [
      "another word",
      () => conv1d(x, w, undefined, { padding: any("SAME") }),
      any(ArgumentError),
      'conv1d: expected padding to be a whole number, "same" or "valid", got "SAME"',
    ],
    [
      "another word for images",
      () => conv2d(image, filter, undefined, { padding: any("full") }),
      any(ArgumentError),
      "conv2d: expected padding",
    ],
    [
      "a word for one axis",
      () => conv2d(image, filter, undefined, { padding: any([0, "valid"]) }),
      any(ArgumentError),
      "conv2d: expected padding",
    ],
    ["no word", () => conv1d(x, w, undefined, { padding: any(null) }), any(ArgumentError), "conv1d: expected padding"],
    ["half a zero", () => conv1d(x, w, undefined, { padding: 0.5 }), any(ArgumentError), "conv1d: expected padding to be a whole number"],
    [
      "a padding beyond int32",
      () => conv1d(x, w, undefined, { padding: 2 ** 31 - 1, stride: 2 ** 31 - 1 }),
      any(ArgumentError),
      "conv1d: expected at most",
    ],
    ["a stride beyond int32", () => conv1d(x, w, undefined, { stride: 2 ** 40 }), any(ArgumentError), "conv1d: expected stride"],
    [
      "a dilation beyond int32",
      () => conv1d(x, tensor([[[1]]]), undefined, { dilation: 2 ** 40 }),
      any(ArgumentError),
      "conv1d: expected dilation",
    ],
    ["half a dilation", () => conv1d(x, w, undefined, { dilation: 1.5 }), any(ArgumentError), "conv1d: expected dilation"],
    ["no groups", () => conv1d(x, w, undefined, { groups: 0 }), any(ArgumentError), "conv1d: expected groups"],
    [
      "three strides",
      () => conv2d(image, filter, null, { stride: any([1, 2, 3]) }),
      any(ArgumentError),
      "conv2d: expected stride as one number or two",
    ],
    [
      "one dilation of two",
      () => conv2d(image, filter, null, { dilation: any([1]) }),
      any(ArgumentError),
      "conv2d: expected dilation as one number or two",
    ],
    ["a word as causal", () => conv1d(x, w, null, { causal: any("yes") }), any(ArgumentError), "conv1d: expected causal"],
    ["options in the place of the bias", () => conv1d(x, w, any({ padding: 1 })), any(DTypeError), "conv1d: expected a tensor"],
    ["options of null", () => conv2d(image, filter, null, any(null)), any(DTypeError), "conv2d: expected options"],
    ["no weight", () => conv1d(x, any(null)), any(DTypeError), "conv1d: expected a tensor"],
  ])("%s is refused", (_, run, type, message) => {
    expect(run).toThrow(type);
    expect(run).toThrow(message);
  });
});
