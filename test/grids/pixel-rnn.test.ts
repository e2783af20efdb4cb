import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import { MaskedConv2d } from "../../src/grids/masked-conv.ts";
import { DiagonalBiLSTM, type DiagonalLSTM, RowLSTM } from "../../src/grids/pixel-lstm.ts";
import { PixelRNN, type PixelRNNOptions } from "../../src/grids/pixel-rnn.ts";
import type { Module } from "../../src/nn/module.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { permute, select } from "../../src/ops/shape.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { checkGrads } from "../../src/transforms/check-grads.ts";
import { accept, checkParameter, expectClose, goldenInputs } from "../cells/acceptance.ts";
import { holdLossAgainst, type Numbers } from "../oracle/equations.ts";
import { each, logistic, plus, rows, times, type Vector } from "../oracle/numbers.ts";

/** Biases away from zero, so that padding shows if it is carried along. */
function withBiases<M extends Module>(module: M, seed = 9): M {
  const g = new Generator(seed);
  for (const [name, p] of module.namedParameters()) if (name.endsWith("bias")) assign(p, g.uniform(p.shape, -1, 1, "float64"));
  return module;
}

const [I, H] = [4, 2];
const options = { inputChannels: I, hiddenChannels: H, dtype: "float64" } as const;
const row = () => withBiases(new RowLSTM({ ...options, generator: new Generator(1) }));
const diagonal = () => withBiases(new DiagonalBiLSTM({ ...options, generator: new Generator(2) }));

function model(given: Partial<PixelRNNOptions> = {}): PixelRNN {
  const sizes = { kind: "diagonal", hiddenChannels: 3, dtype: "float64", generator: new Generator(3) } as const;
  return withBiases(new PixelRNN({ ...sizes, ...given }));
}

describe("MaskedConv2d", () => {
  it("has the taps of masks A and B, for one colour and for three", () => {
    const taps = (mask: "A" | "B", colors: number, channels: number, kernelSize: readonly [number, number], blocks = 1): number[] => {
      const sizes = { inputChannels: channels, outputChannels: channels * blocks, kernelSize, mask, colors, blocks };
      const conv = new MaskedConv2d({ ...sizes, dtype: "float64" });
      assign(conv.weight, new Float64Array(conv.weight.size).fill(1));
      const read: number[] = [];
      // The answer at the centre to a one in each input place.
      const [h, w] = kernelSize;
      for (let k = 0; k < channels * h * w; k++) {
        const x = tensor(
          Array.from({ length: channels * h * w }, (_, m) => Number(m === k)),
          { shape: [1, channels, h, w], dtype: "float64" },
        );
        const y = conv.forward(x).data();
        const centre = Math.floor((h * w) / 2);
        for (let o = 0; o < channels * blocks; o++) read[o * channels * h * w + k] = y[o * h * w + centre] as number;
      }
      return read;
    };
    expect(taps("A", 1, 1, [3, 3])).toEqual([1, 1, 1, 1, 0, 0, 0, 0, 0]);
    expect(taps("B", 1, 1, [3, 3])).toEqual([1, 1, 1, 1, 1, 0, 0, 0, 0]);
    expect(taps("B", 1, 1, [1, 3])).toEqual([1, 1, 0]);
    expect(taps("A", 3, 3, [1, 1])).toEqual([0, 0, 0, 1, 0, 0, 1, 1, 0]);
    expect(taps("B", 3, 3, [1, 1])).toEqual([1, 0, 0, 1, 1, 0, 1, 1, 1]);
    // Two channels a colour; and two gates, each of which has all colours.
    const pairs = [0, 0, 1, 1, 2, 2];
    expect(taps("A", 3, 6, [1, 1])).toEqual(pairs.flatMap((to) => pairs.map((from) => Number(from < to))));
    expect(taps("B", 3, 3, [1, 1], 2)).toEqual([0, 1, 2, 0, 1, 2].flatMap((to) => [0, 1, 2].map((from) => Number(from <= to))));
  });

  it("refuses what cannot be masked", () => {
    const sizes = { inputChannels: 3, outputChannels: 3, mask: "A" } as const;
    for (const [h, w] of [
      [2, 3],
      [3, 2],
    ] as const)
      expect(() => new MaskedConv2d({ ...sizes, kernelSize: [h, w] })).toThrow(`expected odd filters, got ${h} by ${w}`);
    expect(() => new MaskedConv2d({ ...sizes, inputChannels: 4, kernelSize: [3, 3], colors: 3 })).toThrow(/inputChannels to be a multiple/);
    expect(() => new MaskedConv2d({ ...sizes, outputChannels: 4, kernelSize: [3, 3], colors: 3 })).toThrow(/multiple of 3/);
  });
});

describe("lines of pixels", () => {
  it("are captured recurrences with right gradients", () => {
    accept(row().over([3]));
    accept(diagonal().left.over([3]));
  });

  it("have the gradients of their equations", () => {
    const x = new Generator(4).uniform([2, I, 3, 2], -1, 1, "float64");
    const weights = new Generator(5).uniform([2, H, 3, 2], -1, 1, "float64");
    for (const layer of [row(), diagonal()]) {
      const loss = (input: Tensor) => sum(mul(layer.forward(input), weights));
      checkGrads(loss, [x]);
      for (const [name, p] of layer.namedParameters()) checkParameter(name, p, () => loss(x));
    }
  });
});

type Pixel = { h: number[]; c: number[] };
const NOTHING: Pixel = { h: new Array<number>(H).fill(0), c: new Array<number>(H).fill(0) };

/** x [1, channels, rows, columns] as a function of row and column; zeros outside. */
function pixels(x: Tensor): (r: number, c: number) => number[] {
  const [, K, R, C] = x.shape as [number, number, number, number];
  const values = x.data();
  const inside = (r: number, c: number) => r >= 0 && r < R && c >= 0 && c < C;
  return (r, c) => Array.from({ length: K }, (_, k) => (inside(r, c) ? (values[(k * R + r) * C + c] as number) : 0));
}

/** One pixel: the sums of its gates, and c₋₁. */
function lstm(sums: readonly number[], before: readonly number[], n = H): Pixel {
  const gate = (k: number) => sums.slice(k * n, (k + 1) * n);
  const [i, f, g, o] = [gate(0).map(logistic), gate(1).map(logistic), gate(2).map(Math.tanh), gate(3).map(logistic)];
  const c = before.map((old, j) => (f[j] as number) * old + (i[j] as number) * (g[j] as number));
  return { h: c.map((v, j) => (o[j] as number) * Math.tanh(v)), c };
}

/** Tap number `tap` of the input-to-state filters, [4H, I]. */
function tapOf(layer: RowLSTM | DiagonalLSTM, tap: number): number[][] {
  const { weight } = layer.inputToState;
  const values = weight.data();
  const taps = weight.dim(3);
  return Array.from({ length: 4 * H }, (_, o) => Array.from({ length: I }, (_, k) => values[(o * I + k) * taps + tap] as number));
}

const biasOf = (layer: RowLSTM | DiagonalLSTM) => Array.from(layer.inputToState.bias.data(), Number);

/** Maps [channels, rows, columns] of outputs in row-major order. */
function flat(map: readonly (readonly Pixel[])[]): number[] {
  return Array.from({ length: H }, (_, j) => map.map((line) => line.map(({ h }) => h[j] as number))).flat(2);
}

describe("RowLSTM", () => {
  it("is the paper's equation", () => {
    const layer = row();
    const [R, C] = [3, 5];
    const x = new Generator(6).uniform([1, I, R, C], -1, 1, "float64");
    const at = pixels(x);
    const kss = rows(layer.weightHh);
    const map: Pixel[][] = [];
    for (let r = 0; r < R; r++) {
      const above = (c: number): Pixel => map[r - 1]?.[c] ?? NOTHING;
      map[r] = Array.from({ length: C }, (_, c) => {
        const own = plus(times(tapOf(layer, 0), at(r, c - 1)), times(tapOf(layer, 1), at(r, c)), biasOf(layer));
        const state = times(kss, [...above(c - 1).h, ...above(c).h, ...above(c + 1).h]);
        return lstm(plus(own, state), above(c).c);
      });
    }
    expectClose(layer.forward(x), flat(map), 1e-12);
  });
});

describe("DiagonalBiLSTM", () => {
  it("sees all rows above and its own up to itself, and nothing else", () => {
    const [layer, R, C] = [diagonal(), 3, 4];
    const x = new Generator(8).uniform([1, I, R, C], -1, 1, "float64");
    const before = noGrad(() => layer.forward(x)).data();
    for (let from = 0; from < R * C; from++) {
      const changed = x.data();
      changed[from] = (changed[from] as number) + 1;
      const after = noGrad(() => layer.forward(tensor(changed, { shape: x.shape, dtype: "float64" }))).data();
      const moved = Array.from({ length: R * C }, (_, to) => after[to] !== before[to]);
      const expected = moved.map((_, to) => to >= from);
      expect(moved, `from ${from}`).toEqual(expected);
    }
  });

  it("is the paper's equation, the map from the right one row lower", () => {
    const layer = diagonal();
    for (const [R, C] of [
      [3, 4],
      [4, 2],
      [1, 3],
      [3, 1],
    ] as const) {
      const x = new Generator(7).uniform([1, I, R, C], -1, 1, "float64");
      const at = pixels(x);
      /** From one side: `side` is where the neighbour of the step before is, −1 for the left. */
      const from = (part: DiagonalLSTM, side: -1 | 1) => {
        const [kss, map] = [rows(part.weightHh), Array.from({ length: R }, () => [] as Pixel[])];
        for (let r = 0; r < R; r++) {
          for (let n = 0; n < C; n++) {
            const c = side < 0 ? n : C - 1 - n;
            const [up, beside] = [map[r - 1]?.[c] ?? NOTHING, map[r]?.[c + side] ?? NOTHING];
            const sums = plus(times(tapOf(part, 0), at(r, c)), biasOf(part), times(kss, [...up.h, ...beside.h]));
            (map[r] as Pixel[])[c] = lstm(sums, beside.c);
          }
        }
        return map;
      };
      const [left, right] = [from(layer.left, -1), from(layer.right, 1)];
      const both = left.map((line, r) => line.map(({ h, c }, k) => ({ h: plus(h, right[r - 1]?.[k]?.h ?? NOTHING.h), c })));
      expectClose(layer.forward(x), flat(both), 1e-12);
    }
  });
});

describe("golden vector", () => {
  it("of the LSTM, along the one row or column of an image", () => {
    const golden = (s: number, n: number) => Array.from({ length: n }, (_, k) => 0.5 * Math.sin(1 + 0.7 * k + 1.3 * s));
    const sizes = { inputChannels: 3, hiddenChannels: 2, dtype: "float64" } as const;
    const [byRow, byDiagonal] = [new RowLSTM(sizes), new DiagonalBiLSTM(sizes).left];
    const x = goldenInputs("float64");
    for (const [layer, image, tap] of [
      [byRow, permute(x, [1, 2, 0]), 1],
      [byDiagonal, permute(x, [1, 2, 0]), 0],
    ] as const) {
      const { inputToState: own, weightHh } = layer;
      // The one tap of the input that a line of one pixel has, and the one of the state: above, or beside.
      const width = own.weight.dim(3);
      assign(
        own.weight,
        golden(0, 24).flatMap((w) => Array.from({ length: width }, (_, k) => (k === tap ? w : 9))),
      );
      assign(own.bias, plus(golden(2, 8), golden(3, 8)));
      const blocks = weightHh.dim(1) / 2;
      const w = golden(1, 16);
      assign(
        weightHh,
        Array.from({ length: 8 }, (_, r) =>
          Array.from({ length: 2 * blocks }, (_, k) => (Math.floor(k / 2) === 1 ? (w[2 * r + (k % 2)] as number) : 9)),
        ).flat(),
      );
      const shape = layer === byRow ? [1, 3, 4, 1] : [1, 3, 1, 4];
      const y = layer.forward(reshape(image, shape)).data();
      expectClose([y[3] as number, y[7] as number], [0.136258, 0.249471], 1e-6);
    }
  });
});

/** Scores of each pixel and colour: [place in raster order, colours innermost][scores]. */
function scoresOf(net: PixelRNN, x: Tensor): number[][] {
  const [, K, R, C] = x.shape as [number, number, number, number];
  const scores = noGrad(() => net.forward(x)).data();
  const each = net.levels === 2 ? 1 : net.levels;
  return Array.from({ length: R * C * K }, (_, n) => {
    const [pixel, color] = [Math.floor(n / K), n % K];
    return Array.from({ length: each }, (_, level) => scores[(color * each + level) * R * C + pixel] as number);
  });
}

/** Which places' scores change when one place's value does. */
function reach(net: PixelRNN, R: number, C: number): boolean[][] {
  const K = net.colors;
  const shape = [1, K, R, C];
  const x = new Generator(8).uniform(shape, 0, net.levels - 1, "float64");
  const before = scoresOf(net, x);
  return before.map((_, from) => {
    const values = x.data();
    const at = (from % K) * R * C + Math.floor(from / K);
    values[at] = (values[at] as number) + 1.5;
    const after = scoresOf(net, tensor(values, { shape, dtype: "float64" }));
    return after.map((s, to) => s.some((v, k) => v !== (before[to] as number[])[k]));
  });
}

// ---- The whole model in plain loops: van den Oord et al. 2016, section 3 and table 1 ----

/** Numbers [channels][rows][columns]. */
type Channels = readonly (readonly Vector[])[];

const mapped = (f: (...values: number[]) => number, ...maps: Channels[]): number[][][] =>
  (maps[0] as Channels).map((image, k) => image.map((_, r) => each(f, ...maps.map((m) => m[k]?.[r] as Vector))));

interface MaskedFilters {
  readonly size: readonly [height: number, width: number];
  readonly mask: "A" | "B";
  readonly colors: number;
  readonly blocks?: number;
}

/** A convolution that sees rows above, the row to the left, and of the pixel itself earlier colours, with mask B its own colour too. */
function masked(p: Numbers, at: string, x: Channels, { size: [kh, kw], mask, colors, blocks = 1 }: MaskedFilters): number[][][] {
  const [filters, bias] = [p.matrix(`${at}.weight`, kh * kw), p.vector(`${at}.bias`)];
  const colourOf = (k: number, count: number) => Math.floor(((k % count) * colors) / count);
  return bias.map((b, o) =>
    (x[0] as readonly Vector[]).map((line, r) =>
      line.map((_, c) => {
        let total = b;
        for (const [i, image] of x.entries()) {
          const [to, from] = [colourOf(o, bias.length / blocks), colourOf(i, x.length)];
          for (const [tap, w] of (filters[o * x.length + i] as Vector).entries()) {
            const [dr, dc] = [Math.floor(tap / kw) - (kh >> 1), (tap % kw) - (kw >> 1)];
            const precedes = dr < 0 || (dr === 0 && dc < 0) || (dr === 0 && dc === 0 && (from < to || (mask === "B" && from === to)));
            if (precedes) total += w * (image[r + dr]?.[c + dc] ?? 0);
          }
        }
        return total;
      }),
    ),
  );
}

/** An LSTM layer over features: rows that see three pixels above, or diagonals from the left and, a row lower, from the right. */
function layered(p: Numbers, at: string, kind: "row" | "diagonal", x: Channels, colors: number): number[][][] {
  const [R, C] = [x[0]?.length as number, x[0]?.[0]?.length as number];
  const nothing = (n: number): Pixel => ({ h: new Array<number>(n).fill(0), c: new Array<number>(n).fill(0) });
  const scanned = (part: string, width: number, before: readonly (readonly [dr: number, dc: number])[], image: Channels): Pixel[][] => {
    const own = masked(p, `${part}.input_to_state`, image, { size: [1, width], mask: "B", colors, blocks: 4 });
    const n = own.length / 4;
    const done: Pixel[][] = Array.from({ length: R }, () => []);
    for (let r = 0; r < R; r++) {
      for (let c = 0; c < C; c++) {
        const seen = before.map(([dr, dc]) => done[r + dr]?.[c + dc] ?? nothing(n));
        const h = seen.flatMap((pixel) => pixel.h);
        const sums = plus(
          own.map((map) => map[r]?.[c] as number),
          times(p.matrix(`${part}.weight_hh`, h.length), h),
        );
        // c₋₁ is that of the pixel above, or beside.
        (done[r] as Pixel[])[c] = lstm(sums, (seen[1] as Pixel).c, n);
      }
    }
    return done;
  };
  const channels = ([first, ...rest]: Pixel[][]) =>
    (first?.[0]?.h ?? []).map((_, k) => [first as Pixel[], ...rest].map((line) => line.map(({ h }) => h[k] as number)));
  const above = [
    [-1, -1],
    [-1, 0],
    [-1, 1],
  ] as const;
  if (kind === "row") return channels(scanned(at, 3, above, x));
  const corner = [
    [-1, 0],
    [0, -1],
  ] as const;
  const turned = (image: Channels) => image.map((map) => map.map((line) => line.toReversed()));
  const left = channels(scanned(`${at}.left`, 1, corner, x));
  const right = turned(channels(scanned(`${at}.right`, 1, corner, turned(x))));
  return mapped(
    (a, b) => a + b,
    left,
    right.map((map) => [new Array<number>(C).fill(0), ...map.slice(0, -1)]),
  );
}

describe("PixelRNN: the model of the paper", () => {
  it.each([
    ["diagonal", 1, 2, 2],
    ["row", 1, 2, 1],
    ["diagonal", 3, 3, 1],
    ["row", 3, 2, 1],
  ] as const)("%s, %i colours, %i levels, %i layers: nats in plain loops, values and derivatives", (kind, colors, levels, layers) => {
    const net = model({ kind, colors, levels, layers, hiddenChannels: colors, inputKernel: 3 });
    const [B, R, C] = [2, 2, 3];
    const images = tensor(Array.from(new Generator(4).integers([B, colors, R, C], 0, levels).data(), Number), {
      shape: [B, colors, R, C],
      dtype: "float64",
    });
    const nested = images.toArray() as number[][][][];
    const pointwise = { size: [1, 1], mask: "B", colors } as const;
    const relu = (map: Channels) => mapped((v) => Math.max(0, v), map);
    const nats = (p: Numbers, image: Channels) => {
      let y: Channels = masked(
        p,
        "input",
        mapped((v) => v / (levels - 1), image),
        { size: [3, 3], mask: "A", colors },
      );
      for (let l = 0; l < layers; l++) {
        const h = layered(p, `layers.${l}.lstm`, kind, y, colors);
        y = mapped((a, b) => a + b, y, masked(p, `layers.${l}.projection`, h, pointwise));
      }
      const scores = masked(p, "output", relu(masked(p, "hidden", relu(y), pointwise)), pointwise);
      const at = (k: number, r: number, c: number) => scores[k]?.[r]?.[c] as number;
      return image.flatMap((map, k) =>
        map.flatMap((line, r) =>
          line.map((v, c) => {
            if (levels === 2) return -Math.log(logistic(v === 1 ? at(k, r, c) : -at(k, r, c)));
            const own = Array.from({ length: levels }, (_, level) => Math.exp(at(k * levels + level, r, c)));
            return -Math.log((own[v] as number) / own.reduce((a, b) => a + b));
          }),
        ),
      );
    };
    holdLossAgainst(
      net,
      () => net.nll(images),
      (p) => nested.flatMap((image) => nats(p, image)).reduce((a, b) => a + b) / B,
    );
  });
});

describe("PixelRNN: what a pixel sees", () => {
  it.each([
    ["diagonal", 1, 2, 1],
    ["diagonal", 1, 2, 2],
    ["diagonal", 3, 2, 1],
    ["diagonal", 3, 4, 2],
    ["row", 1, 2, 2],
    ["row", 3, 4, 1],
  ] as const)("%s, %i colours, %i levels, %i layers: no score depends on what does not precede it", (kind, colors, levels, layers) => {
    const net = model({ kind, colors, levels, layers, hiddenChannels: 3 * colors, inputKernel: 3 });
    const [R, C] = [4, 5];
    const seen = reach(net, R, C);
    for (let from = 0; from < seen.length; from++) {
      for (let to = 0; to <= from; to++) expect((seen[from] as boolean[])[to], `${from} to ${to}`).toBe(false);
    }
  });

  it("diagonals see all that precedes a pixel but for the end of the row above, where the first convolution does not reach it", () => {
    const [R, C] = [4, 5];
    for (const [layers, inputKernel] of [
      [1, 3],
      [2, 5],
    ] as const) {
      const seen = reach(model({ layers, inputKernel, hiddenChannels: 8 }), R, C);
      for (let from = 0; from < R * C; from++) {
        for (let to = from + 1; to < R * C; to++) {
          const endOfRowAbove = from % C === C - 1 && Math.floor(to / C) === Math.floor(from / C) + 1;
          const reached = (to % C) + (inputKernel >> 1) >= C - 1;
          expect((seen[from] as boolean[])[to], `${from} to ${to}`).toBe(!endOfRowAbove || reached);
        }
      }
    }
  });

  it("one row layer on a convolution of three sees a triangle: from three columns left to one right in the row above", () => {
    const C = 9;
    const seen = reach(model({ kind: "row", inputKernel: 3 }), 2, C);
    for (let c = 0; c < C; c++) {
      const columns = Array.from({ length: C }, (_, k) => k).filter((k) => (seen[k] as boolean[])[C + c]);
      expect(columns).toEqual(Array.from({ length: C }, (_, k) => k).filter((k) => k >= c - 3 && k <= c + 1));
    }
  });

  it("the size of the image is free, and rows below do not count", () => {
    const net = model();
    const x = new Generator(1).uniform([2, 1, 5, 4], 0, 1, "float64");
    const whole = net.forward(x).data();
    const top = net.forward(tensor([...x.data().slice(0, 8), ...x.data().slice(20, 28)], { shape: [2, 1, 2, 4], dtype: "float64" }));
    expectClose(top, [...whole.slice(0, 8), ...whole.slice(20, 28)], 1e-12);
  });
});

/** Every image of a size. */
function allImages(colors: number, R: number, C: number, levels: number): Tensor {
  const size = colors * R * C;
  const count = levels ** size;
  const values = Array.from({ length: count }, (_, n) => Array.from({ length: size }, (_, k) => Math.floor(n / levels ** k) % levels));
  return tensor(values.flat(), { shape: [count, colors, R, C], dtype: "float64" });
}

/** p(x) of each image. */
function chances(net: PixelRNN, images: Tensor): number[] {
  const size = images.size / images.dim(0);
  const values = images.data();
  return Array.from({ length: images.dim(0) }, (_, n) => {
    const x = tensor(values.slice(n * size, (n + 1) * size), { shape: [1, ...images.shape.slice(1)], dtype: "float64" });
    return Math.exp(-noGrad(() => net.nll(x)).item());
  });
}

describe("PixelRNN: a distribution", () => {
  it.each([
    ["diagonal", 1, 2, 3, 2],
    ["row", 1, 2, 3, 2],
    ["diagonal", 3, 1, 2, 2],
    ["row", 3, 2, 1, 2],
    ["diagonal", 1, 2, 2, 3],
  ] as const)("%s: chances of all images (%i colours, %i × %i, %i levels) add up to 1", (kind, colors, R, C, levels) => {
    const net = model({ kind, colors, levels, hiddenChannels: 3, inputKernel: 3 });
    const total = chances(net, allImages(colors, R, C, levels)).reduce((a, b) => a + b);
    expect(Math.abs(total - 1)).toBeLessThanOrEqual(1e-9);
  });

  it("gives nats per image, the mean over the batch", () => {
    const net = model();
    const images = allImages(1, 2, 2, 2);
    const mean = chances(net, images).reduce((a, p) => a - Math.log(p), 0) / 16;
    expect(Math.abs(net.nll(images).item() - mean)).toBeLessThanOrEqual(1e-9);
    const x = new Generator(2).uniform([1, 1, 2, 2], 0, 1, "float64");
    const scores = scoresOf(net, x).flat();
    const expected = scores.reduce((total, s, k) => {
      const v = x.data()[k] as number;
      return total - v * Math.log(logistic(s)) - (1 - v) * Math.log(1 - logistic(s));
    }, 0);
    expect(Math.abs(net.nll(x).item() - expected)).toBeLessThanOrEqual(1e-9);
  });

  it("of 256 levels of three colours is a softmax for each", () => {
    const net = model({ colors: 3, levels: 256, hiddenChannels: 3 });
    const x = new Generator(4).integers([2, 3, 2, 2], 0, 256);
    const images = tensor(Array.from(x.data(), Number), { shape: x.shape, dtype: "float64" });
    const scores = net.forward(images);
    expect(scores.shape).toEqual([2, 3, 256, 2, 2]);
    const values = scores.data();
    const nats = Array.from(x.data(), (level, k) => {
      const [map, pixel] = [Math.floor(k / 4), k % 4];
      const own = Array.from({ length: 256 }, (_, j) => values[(map * 256 + j) * 4 + pixel] as number);
      return Math.log(own.reduce((a, s) => a + Math.exp(s), 0)) - (own[Number(level)] as number);
    });
    expect(Math.abs(net.nll(images).item() - nats.reduce((a, b) => a + b) / 2)).toBeLessThanOrEqual(1e-9);
  });

  it.each([
    [1, 2, 2, 2],
    [3, 1, 1, 3],
  ] as const)("is what samples are drawn from (%i colours, %i × %i, %i levels)", (colors, R, C, levels) => {
    const net = model({ colors, levels, hiddenChannels: 3, inputKernel: 3 });
    const expected = chances(net, allImages(colors, R, C, levels));
    const count = 4000;
    const drawn = net.sample({ count, height: R, width: C, generator: new Generator(5) });
    expect(drawn.shape).toEqual([count, colors, R, C]);
    const [values, size] = [drawn.data(), colors * R * C];
    const found = new Array<number>(expected.length).fill(0);
    for (let n = 0; n < count; n++) {
      const image = values.slice(n * size, (n + 1) * size);
      const code = Array.from(image).reduce((total, v, k) => total + v * levels ** k, 0);
      found[code] = (found[code] as number) + 1;
    }
    // Pearson's statistic has mean and variance d and 2d for d degrees of freedom.
    const d = expected.length - 1;
    const chi = expected.reduce((total, p, k) => total + ((found[k] as number) - count * p) ** 2 / (count * p), 0);
    expect(chi).toBeLessThan(d + 5 * Math.sqrt(2 * d));
  });

  it.each([
    ["diagonal", 1, 2, 2],
    ["row", 1, 2, 2],
    ["diagonal", 3, 3, 1],
    ["row", 3, 3, 2],
  ] as const)("draws what whole images would have it draw: %s, %i colours, %i levels, %i layers", (kind, colors, levels, layers) => {
    const net = model({ kind, colors, levels, layers, hiddenChannels: 6, inputKernel: 5 });
    const [count, height, width] = [3, 4, 5];
    const drawn = net.sample({ count, height, width, generator: new Generator(6) });
    const [generator, pixelsOf] = [new Generator(6), height * width];
    const values = new Float64Array(drawn.size);
    for (let k = 0; k < pixelsOf * colors; k++) {
      const [pixel, color] = [Math.floor(k / colors), k % colors];
      const draws = generator.uniform([count], 0, 1, "float64").data();
      for (let n = 0; n < count; n++) {
        const own = values.slice(n * colors * pixelsOf, (n + 1) * colors * pixelsOf);
        const scores = scoresOf(net, tensor(own, { shape: [1, colors, height, width], dtype: "float64" }))[k] as number[];
        const weights = levels === 2 ? [1, Math.exp(scores[0] as number)] : scores.map(Math.exp);
        const parts = weights.map((w) => w / weights.reduce((a, b) => a + b));
        // Two levels: 1 below its chance. More: the first level whose chances add up to more.
        const u = draws[n] as number;
        const level =
          levels === 2 ? Number(u < (parts[1] as number)) : parts.findIndex((_, j) => u < parts.slice(0, j + 1).reduce((a, b) => a + b));
        values[(n * colors + color) * pixelsOf + pixel] = level;
      }
    }
    expect(Array.from(drawn.data())).toEqual(Array.from(values));
  });

  it.each(["row", "diagonal"] as const)("runs %s layers pixel by pixel to the same numbers", (kind) => {
    const layer = kind === "row" ? row() : diagonal();
    const [R, C] = [3, 4];
    const x = new Generator(3).uniform([2, I, R, C], -1, 1, "float64");
    const whole = layer.forward(x);
    let memory = layer.begin(2, C);
    for (let k = 0; k < R * C; k++) {
      const at = (t: Tensor) => select(select(t, 3, k % C), 2, Math.floor(k / C));
      const [h, next] = layer.pixel(at(x), memory);
      expectClose(h, Array.from(at(whole).data()), 1e-12);
      memory = next;
    }
  });

  it("refuses what does not fit", () => {
    expect(() => model({ levels: 1 })).toThrow(/at least 2 levels, got 1/);
    expect(() => model({ hiddenChannels: 4, colors: 3 })).toThrow(/multiple/);
    expect(() => model().forward(new Generator(1).uniform([1, 3, 2, 2], 0, 1, "float64"))).toThrow(/expected x \[B,1,H,W\]/);
    for (const [levels, value, kind] of [
      [2, -0.5, "numbers 0 to 1"],
      [2, 1.5, "numbers 0 to 1"],
      [2, Number.NaN, "numbers 0 to 1"],
      [3, 0.5, "whole numbers 0 to 2"],
      [3, 3, "whole numbers 0 to 2"],
    ] as const)
      expect(() => model({ levels }).nll(tensor([value], { shape: [1, 1, 1, 1], dtype: "float64" }))).toThrow(
        `PixelRNN: expected images of ${kind}, got ${value}`,
      );
    expect(() => model().sample({ count: 0, height: 2, width: 2 })).toThrow(/expected count/);
    expect(() => model().sample({ count: 1, height: 0, width: 2 })).toThrow(/expected height/);
    for (const shape of [
      [1, 2, 2],
      [0, 1, 2, 2],
      [1, 1, 0, 2],
    ]) {
      expect(() => model().forward(tensor(new Float64Array(shape.reduce((a, b) => a * b)), { shape }))).toThrow(
        /\[B,1,H,W\] that is not empty/,
      );
    }
    expect(() => new RowLSTM({ inputChannels: 0, hiddenChannels: 1 })).toThrow("RowLSTM: expected inputChannels");
    expect(() => new DiagonalBiLSTM({ inputChannels: 1, hiddenChannels: 0 })).toThrow("DiagonalLSTM: expected hiddenChannels");
  });

  it("starts with forget gates open, or by the bias that is given", () => {
    const layer = (forgetBias?: number) =>
      new RowLSTM({ inputChannels: 1, hiddenChannels: 2, ...(forgetBias !== undefined && { forgetBias }) });
    expect(biasOf(layer())).toEqual([0, 0, 1, 1, 0, 0, 0, 0]);
    expect(biasOf(layer(-3))).toEqual([0, 0, -3, -3, 0, 0, 0, 0]);
  });
});
