/** Recurrent kernels against plain loops: values, gradients by differences of the plain loops, edges and canaries. */

import { describe, expect, it } from "vitest";
import { BYTES, type FloatDType } from "../../src/base/dtype.ts";
import { empty, scope } from "../../src/tensor/tensor.ts";
import { call, view } from "../../src/wasm/host.ts";
import {
  elmanBackward,
  elmanForward,
  gruBackward,
  gruForward,
  lstmBackward,
  lstmForward,
  packWeights,
} from "../../src/wasm/kernels.gen.ts";

const CANARY = -777.25;
const GUARD = 3;

type Values = number[];
type Arrays = Record<string, Values>;
/** Derivatives by element, where they were taken. */
type Slopes = (number | undefined)[];

// ---- Memory ----

/** Elements in linear memory between canaries, at an address that is not aligned. */
class Block {
  readonly ptr: number;
  readonly #dtype: FloatDType;
  readonly #start: number;
  readonly #n: number;

  constructor(dtype: FloatDType, content: Values | number) {
    this.#n = typeof content === "number" ? content : content.length;
    this.#dtype = dtype;
    this.#start = empty([this.#n + 2 * GUARD], dtype).ptr;
    this.ptr = this.#start + GUARD * BYTES[dtype];
    this.#all().fill(CANARY);
    if (typeof content !== "number") view(dtype, this.ptr, this.#n).set(content);
  }

  #all(): Float32Array | Float64Array {
    return view(this.#dtype, this.#start, this.#n + 2 * GUARD) as Float32Array | Float64Array;
  }

  /** The elements, after a look at the canaries. */
  read(): Values {
    const all = [...this.#all()];
    const guards = [...all.slice(0, GUARD), ...all.slice(GUARD + this.#n)];
    expect(guards).toEqual(new Array(2 * GUARD).fill(CANARY));
    return all.slice(GUARD, GUARD + this.#n);
  }
}

function noise(n: number, seed: number, scale = 1): Values {
  let state = (seed * 7919 + 1) >>> 0;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.fround((scale * state) / 2 ** 31 - scale);
  });
}

function expectClose(got: Values, expected: Values | Slopes, tolerance: number, what: string): void {
  expect(got.length).toBe(expected.length);
  const scale = Math.max(1, ...expected.map((e) => Math.abs(e ?? 0)));
  expected.forEach((e, i) => {
    if (e === undefined) return;
    const error = Math.abs((got[i] as number) - e) / scale;
    if (!(error <= tolerance)) throw new Error(`${what}[${i}]: expected ${e}, got ${got[i]} (error ${error})`);
  });
}

// ---- Rows ----

interface Rows {
  readonly batch: number;
  readonly batchSizes: readonly number[];
  readonly reverse: boolean;
}

const firstRow = (rows: Rows, t: number): number => rows.batchSizes.slice(0, t).reduce((a, b) => a + b, 0);
const total = (rows: Rows): number => firstRow(rows, rows.batchSizes.length);

/** The rows of one sequence in the order in which they are walked. */
function rowsOf(rows: Rows, b: number): number[] {
  const own = rows.batchSizes.flatMap((count, t) => (b < count ? [firstRow(rows, t) + b] : []));
  return rows.reverse ? own.reverse() : own;
}

function table(rows: Rows): number {
  const steps = rows.batchSizes.map((count, t) => [firstRow(rows, t), count]);
  const flat = (rows.reverse ? steps.reverse() : steps).flat();
  const { ptr } = empty([flat.length], "int32");
  view("int32", ptr, flat.length).set(flat);
  return ptr;
}

const ROWS: readonly Rows[] = [
  { batch: 1, batchSizes: [1], reverse: false },
  { batch: 3, batchSizes: [3, 3], reverse: false },
  { batch: 5, batchSizes: [5, 4, 4, 1], reverse: false },
  { batch: 5, batchSizes: [4, 2, 2, 0], reverse: true },
  { batch: 2, batchSizes: [0], reverse: false },
];

// ---- The same in plain loops ----

const sigmoid = (a: number): number => 1 / (1 + Math.exp(-a));
const get = (a: Values | undefined, i: number): number => a?.[i] ?? 0;

/** Σ_k w[row,k]·h[k] over a row-major matrix. */
function product(w: Values, row: number, h: Values): number {
  return h.reduce((s, hk, k) => s + (w[row * h.length + k] as number) * hk, 0);
}

interface Net {
  readonly outputs: (x: Arrays, rows: Rows) => Arrays;
}

/** Walks every sequence: `step` maps the sequence's state at a row to the next; the first of the state is the output. */
function sequences(rows: Rows, initial: Values[][], step: (state: Values[], row: number) => Values[]): { ys: Values; last: Values[] } {
  const ys: Values[] = [];
  const last: Values[] = initial.map(() => []);
  for (let b = 0; b < rows.batch; b++) {
    let state = initial.map((s) => s[b] as Values);
    for (const row of rowsOf(rows, b)) {
      state = step(state, row);
      ys[row] = state[0] as Values;
    }
    state.forEach((s, i) => {
      (last[i] as Values).push(...s);
    });
  }
  return { ys: ys.flat(), last };
}

const split = (values: Values, batch: number): Values[] =>
  Array.from({ length: batch }, (_, b) => values.slice((b * values.length) / batch, ((b + 1) * values.length) / batch));

const elmanNet =
  (H: number, relu: boolean): Net["outputs"] =>
  (x, rows) => {
    const { gx = [], w = [], h0 = [] } = x;
    const { ys, last } = sequences(rows, [split(h0, rows.batch)], ([h = []], row) => [
      h.map((_, j) => {
        const a = get(gx, row * H + j) + product(w, j, h);
        return relu ? Math.max(a, 0) : Math.tanh(a);
      }),
    ]);
    return { ys, h: last[0] as Values };
  };

const lstmNet =
  (H: number, P: number): Net["outputs"] =>
  ({ gx = [], w = [], h0 = [], c0 = [], peepholes, projection, eh }, rows) => {
    const { ys, last } = sequences(rows, [split(h0, rows.batch), split(c0, rows.batch)], ([h = [], c = []], row) => {
      const sum = (gate: number, j: number): number => get(gx, row * 4 * H + gate * H + j) + product(w, gate * H + j, h);
      const c1 = c.map((cj, j) => {
        const i = sigmoid(sum(0, j) + get(peepholes, j) * cj);
        const f = sigmoid(sum(1, j) + get(peepholes, H + j) * cj);
        return f * cj + i * Math.tanh(sum(2, j));
      });
      const m = c1.map((cj, j) => sigmoid(sum(3, j) + get(peepholes, 2 * H + j) * cj) * Math.tanh(cj));
      const h1 = projection ? h.map((_, j) => product(projection, j, m)) : m;
      return [h1.map((v, j) => v + get(eh, row * P + j)), c1];
    });
    return { ys, h: last[0] as Values, c: last[1] as Values };
  };

const gruNet =
  (H: number, after: boolean): Net["outputs"] =>
  ({ gx = [], w = [], h0 = [], bias, eq }, rows) => {
    const { ys, last } = sequences(rows, [split(h0, rows.batch)], ([h = []], row) => {
      const sum = (gate: number, j: number): number => get(gx, row * 3 * H + gate * H + j) + product(w, gate * H + j, h);
      const r = h.map((_, j) => sigmoid(sum(0, j)));
      const q = h.map((hj, j) => (after ? product(w, 2 * H + j, h) + get(bias, j) : (r[j] as number) * hj) + get(eq, row * H + j));
      return [
        h.map((hj, j) => {
          const z = sigmoid(sum(1, j));
          const fromState = after ? (r[j] as number) * (q[j] as number) : product(w, 2 * H + j, q);
          const n = Math.tanh(get(gx, row * 3 * H + 2 * H + j) + fromState);
          return (1 - z) * n + z * hj;
        }),
      ];
    });
    return { ys, h: last[0] as Values };
  };

/** Derivatives taken of each input: all when there are few, else evenly spread. */
const SAMPLES = 60;

/** Derivatives of Σ outputs·cotangents by fourth-order central differences; undefined where not sampled. */
function differences(net: Net["outputs"], x: Arrays, rows: Rows, cotangents: Arrays, names: readonly string[]): Record<string, Slopes> {
  const weighed = (): number =>
    Object.entries(net(x, rows)).reduce((s, [name, y]) => s + y.reduce((t, v, i) => t + v * get(cotangents[name], i), 0), 0);
  const e = 1e-4;
  return Object.fromEntries(
    names.map((name) => {
      const values = x[name] as Values;
      const stride = Math.ceil(values.length / SAMPLES);
      const slopes = values.map((v, i) => {
        if (i % stride !== 0) return undefined;
        const along = [-2, -1, 1, 2].map((k) => {
          values[i] = v + k * e;
          return weighed();
        }) as [number, number, number, number];
        values[i] = v;
        return (along[0] - 8 * along[1] + 8 * along[2] - along[3]) / (12 * e);
      });
      return [name, slopes];
    }),
  );
}

// ---- Tests ----

const SIZES = [1, 3, 4, 5, 8, 9, 19];

describe.each<FloatDType>(["float32", "float64"])("recurrent kernels, %s", (dtype) => {
  const value = dtype === "float32" ? 2e-6 : 1e-14;
  const slope = dtype === "float32" ? 2e-5 : 1e-10;
  const block = (content: Values | number): Block => new Block(dtype, content);
  /** Elements of a k × n weight in the work space of T steps. */
  const packedSize = (T: number, n: number, k: number): number => {
    const columns = 32 / BYTES[dtype];
    return T > 1 ? Math.ceil(n / columns) * columns * k : 0;
  };

  describe.each(ROWS)("$batchSizes of $batch, reverse $reverse", (rows) => {
    const N = total(rows);
    const B = rows.batch;
    const T = rows.batchSizes.length;

    it.each(
      SIZES.flatMap(
        (H) =>
          [
            [H, 0],
            [H, 1],
          ] as const,
      ),
    )("elman H=%i relu=%i", (H, relu) => {
      scope(() => {
        const x = { gx: noise(N * H, 1), w: noise(H * H, 2, 1 / Math.sqrt(H)), h0: noise(B * H, 3) };
        const net = elmanNet(H, relu === 1);
        const [h, ys, hidden] = [block(x.h0), block(N * H), block(N * H)];
        const [gx, w] = [block(x.gx), block(x.w)];
        const work = block(packedSize(T, H, H));
        call(elmanForward, dtype, T, table(rows), H, relu, gx.ptr, w.ptr, h.ptr, ys.ptr, hidden.ptr, work.ptr);
        const expected = net(x, rows);
        expectClose(ys.read(), expected.ys as Values, value, "ys");
        expectClose(h.read(), expected.h as Values, value, "h");

        const cotangents = { ys: noise(N * H, 4), h: noise(B * H, 5) };
        const [dys, dh, dgx] = [block(cotangents.ys), block(cotangents.h), block(N * H)];
        call(elmanBackward, dtype, T, table(rows), H, relu, w.ptr, ys.ptr, dys.ptr, dh.ptr, dgx.ptr, work.ptr);
        work.read();
        const slopes = differences(net, x, rows, cotangents, ["gx", "h0"]);
        expectClose(dgx.read(), slopes.gx as Slopes, slope, "dgx");
        expectClose(dh.read(), slopes.h0 as Slopes, slope, "dh0");
      });
    });

    const forms = SIZES.flatMap((H) => [
      { H, P: H, peepholes: false },
      { H, P: H, peepholes: true },
      { H, P: Math.max(1, H >> 1), peepholes: H % 2 === 1 },
    ]);
    it.each(forms)("lstm H=$H P=$P peepholes=$peepholes", ({ H, P, peepholes }) => {
      scope(() => {
        const projected = P !== H || H === 1;
        const x: Arrays = {
          gx: noise(N * 4 * H, 1),
          w: noise(4 * H * P, 2, 1 / Math.sqrt(H)),
          h0: noise(B * P, 3),
          c0: noise(B * H, 4),
          eh: noise(N * P, 0, 0),
        };
        if (peepholes) x.peepholes = noise(3 * H, 6);
        if (projected) x.projection = noise(P * H, 7, 1 / Math.sqrt(H));
        const net = lstmNet(H, P);
        const inputs = Object.fromEntries(Object.entries(x).map(([name, values]) => [name, block(values)]));
        const ptr = (name: string): number => inputs[name]?.ptr ?? 0;
        const expected = net(x, rows);
        const size = N * (6 * H + P + (projected ? H : 0));
        const savedBlocks = [0, size].map((n) => {
          const [h, c, ys, saved] = [block(x.h0 as Values), block(x.c0 as Values), block(N * P), block(n)];
          const kept = n === 0 && size > 0 ? 0 : saved.ptr;
          const work = block(packedSize(T, 4 * H, P) + (projected ? packedSize(T, P, H) : 0) + 5 * H * B);
          const pointers = [ptr("gx"), ptr("w"), ptr("projection"), ptr("peepholes")] as const;
          call(lstmForward, dtype, T, table(rows), N, B, H, P, ...pointers, h.ptr, c.ptr, ys.ptr, kept, work.ptr);
          work.read();
          expectClose(ys.read(), expected.ys as Values, value, "ys");
          expectClose(h.read(), expected.h as Values, value, "h");
          expectClose(c.read(), expected.c as Values, value, "c");
          saved.read();
          return saved;
        });

        const cotangents = { ys: noise(N * P, 8), h: noise(B * P, 9), c: noise(B * H, 10) };
        const [dys, dh, dc] = [block(cotangents.ys), block(cotangents.h), block(cotangents.c)];
        const [dgx, dhs, dp] = [block(4 * N * H), block(N * P), block(new Array(3 * H).fill(0))];
        const saved = (savedBlocks[1] as Block).ptr;
        const work = block(packedSize(T, P, 4 * H) + (projected ? packedSize(T, H, P) + B * H : 0));
        const gradients = [dgx.ptr, projected ? dhs.ptr : 0, peepholes ? dp.ptr : 0] as const;
        call(
          lstmBackward,
          dtype,
          T,
          table(rows),
          N,
          H,
          P,
          ptr("w"),
          ptr("projection"),
          ptr("peepholes"),
          saved,
          dys.ptr,
          dh.ptr,
          dc.ptr,
          ...gradients,
          work.ptr,
        );
        work.read();
        const names = ["gx", "h0", "c0", ...(peepholes ? ["peepholes"] : []), ...(projected ? ["eh"] : [])];
        const slopes = differences(net, x, rows, cotangents, names);
        expectClose(dgx.read(), slopes.gx as Slopes, slope, "dgx");
        expectClose(dh.read(), slopes.h0 as Slopes, slope, "dh0");
        expectClose(dc.read(), slopes.c0 as Slopes, slope, "dc0");
        if (peepholes) expectClose(dp.read(), slopes.peepholes as Slopes, slope, "dpeepholes");
        if (projected) expectClose(dhs.read(), slopes.eh as Slopes, slope, "dhs");
      });
    });

    it.each(
      SIZES.flatMap(
        (H) =>
          [
            [H, 0],
            [H, 1],
          ] as const,
      ),
    )("gru H=%i after=%i", (H, after) => {
      scope(() => {
        const x: Arrays = {
          gx: noise(N * 3 * H, 1),
          w: noise(3 * H * H, 2, 1 / Math.sqrt(H)),
          h0: noise(B * H, 3),
          eq: noise(N * H, 0, 0),
        };
        if (after && H % 2 === 1) x.bias = noise(H, 4);
        const net = gruNet(H, after === 1);
        const [gx, w, bias] = [block(x.gx as Values), block(x.w as Values), block(x.bias ?? 0)];
        const expected = net(x, rows);
        const savedBlocks = [0, 5 * N * H].map((n) => {
          const [h, ys, saved] = [block(x.h0 as Values), block(N * H), block(n)];
          const kept = n === 0 && N > 0 ? 0 : saved.ptr;
          const biasPtr = x.bias ? bias.ptr : 0;
          const work = block(packedSize(T, 2 * H, H) + packedSize(T, H, H) + 4 * H * B);
          call(gruForward, dtype, T, table(rows), N, B, H, after, gx.ptr, w.ptr, biasPtr, h.ptr, ys.ptr, kept, work.ptr);
          work.read();
          expectClose(ys.read(), expected.ys as Values, value, "ys");
          expectClose(h.read(), expected.h as Values, value, "h");
          saved.read();
          return saved;
        });

        const cotangents = { ys: noise(N * H, 5), h: noise(B * H, 6) };
        const [dys, dh, dgx, dq] = [block(cotangents.ys), block(cotangents.h), block(3 * N * H), block(N * H)];
        const saved = (savedBlocks[1] as Block).ptr;
        const work = block(packedSize(T, H, 2 * H) + packedSize(T, H, H));
        call(gruBackward, dtype, T, table(rows), N, H, after, w.ptr, saved, dys.ptr, dh.ptr, dgx.ptr, dq.ptr, work.ptr);
        work.read();
        const slopes = differences(net, x, rows, cotangents, ["gx", "h0", "eq"]);
        expectClose(dgx.read(), slopes.gx as Slopes, slope, "dgx");
        expectClose(dh.read(), slopes.h0 as Slopes, slope, "dh0");
        expectClose(dq.read(), slopes.eq as Slopes, slope, "dq");
      });
    });
  });

  it.each([1, 3])("weights that were packed before give the same bits, %i steps", (T) => {
    scope(() => {
      const [B, H, P] = [2, 9, 5];
      const N = T * B;
      const steps = table({ batch: B, batchSizes: new Array(T).fill(B), reverse: false });
      const run = (forward: (w: number, h: number, ys: number, work: number) => void, w: number, work: number): Values[] => {
        const [h, ys] = [block(noise(B * H, 3)), block(N * H)];
        forward(w, h.ptr, ys.ptr, work);
        return [h.read(), ys.read()];
      };
      const packs = (work: number, ...weights: (readonly [w: number, n: number, k: number])[]): void => {
        for (const [w, n, k] of weights) {
          call(packWeights, dtype, n, k, w, 1, k, work);
          work += packedSize(2, n, k) * BYTES[dtype];
        }
      };
      const [gx, w, r, c] = [4 * N * H, 4 * H * H, P * H, B * H].map((n, i) => block(noise(n, i, 0.3))) as [Block, Block, Block, Block];
      const room = block(3 * packedSize(2, 4 * H, H) + 5 * H * B).ptr;
      const check = (forward: Parameters<typeof run>[0], ...weights: Parameters<typeof packs>[1][]): void => {
        const expected = run(forward, w.ptr, room);
        packs(room, ...weights);
        expect(run(forward, 0, room)).toEqual(expected);
      };
      const { ptr } = gx;
      check((wp, h, ys, work) => call(elmanForward, dtype, T, steps, H, 0, ptr, wp, h, ys, 0, work), [w.ptr, H, H]);
      for (const after of [0, 1]) {
        check(
          (wp, h, ys, work) => call(gruForward, dtype, T, steps, N, B, H, after, ptr, wp, 0, h, ys, 0, work),
          [w.ptr, 2 * H, H],
          [w.ptr + 2 * H * H * BYTES[dtype], H, H],
        );
      }
      const cell = noise(B * H, 5);
      const lstm = (projection: number, width: number) => (wp: number, h: number, ys: number, work: number) => {
        view(dtype, c.ptr, B * H).set(cell);
        call(lstmForward, dtype, T, steps, N, B, H, width, ptr, wp, projection, 0, h, c.ptr, ys, 0, work);
      };
      check(lstm(0, H), [w.ptr, 4 * H, H]);
      check(lstm(r.ptr, P), [w.ptr, 4 * H, P], [r.ptr, P, H]);
    });
  });
});
