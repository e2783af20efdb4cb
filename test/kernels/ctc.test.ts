import { describe, expect, test } from "vitest";
import { BYTES, type FloatDType } from "../../src/base/dtype.ts";
import { scope } from "../../src/tensor/tensor.ts";
import { call } from "../../src/wasm/host.ts";
import { ctcForward, ctcOccupancy } from "../../src/wasm/kernels.gen.ts";
import { enumerateAlignments } from "../oracle/ctc.ts";
import { epsilonOf, expectClose, FLOATS, noise, place, room, rounding } from "./memory.ts";

interface Batch {
  readonly T: number;
  readonly C: number;
  /** Labels of the widest sequence there is room for. */
  readonly S: number;
  readonly blank: number;
  readonly targets: readonly (readonly number[])[];
  readonly steps: readonly number[];
}

/** Log-probabilities [T,N,C] whose classes sum to less than one: the recursion takes each as free. */
function logProbsOf({ T, C, targets }: Batch, dtype: FloatDType): number[] {
  return noise(dtype, T * targets.length * C, 7).map((x) => rounding(dtype)(2 * x - 2));
}

function runBoth(batch: Batch, dtype: FloatDType, logProbs: readonly number[]): { losses: number[]; occupancy: number[] } {
  const { T, C, S, blank, targets, steps } = batch;
  const N = targets.length;
  const padded = targets.flatMap((t) => [...t, ...new Array<number>(S - t.length).fill(blank)]);
  const lengths = targets.map((t) => t.length);
  const row = 2 * S + 6;
  const alpha = room("float64", N * T * row);
  const losses = room(dtype, N);
  const occupancy = room(dtype, T * N * C);
  const work = room("float64", 4 * row);
  const at = [place(dtype, logProbs), place("int32", padded), place("int32", steps), place("int32", lengths)] as const;
  call(ctcForward, "int32", BYTES[dtype], T, N, C, S, blank, ...at, alpha.ptr, losses.ptr, work.ptr);
  alpha.read();
  work.read();
  call(ctcOccupancy, "int32", BYTES[dtype], T, N, C, S, blank, ...at, alpha.ptr, occupancy.ptr, work.ptr);
  alpha.read();
  work.read();
  return { losses: losses.read(), occupancy: occupancy.read() };
}

/** What the definition gives, in the kernels' layout. */
function expected({ T, C, blank, targets, steps }: Batch, logProbs: readonly number[]): { losses: number[]; occupancy: number[] } {
  const N = targets.length;
  const rows = (n: number) => Array.from({ length: steps[n] as number }, (_, t) => logProbs.slice((t * N + n) * C, (t * N + n + 1) * C));
  const found = targets.map((target, n) => enumerateAlignments(rows(n), target, blank));
  const occupancy = Array.from({ length: T }, (_, t) => found.flatMap((f) => f.occupancy[t] ?? new Array<number>(C).fill(0)));
  return { losses: found.map((f) => f.loss), occupancy: occupancy.flat() };
}

const BATCHES: Readonly<Record<string, Batch>> = {
  "one step, one label": { T: 1, C: 2, S: 1, blank: 0, targets: [[1]], steps: [1] },
  "no label at all": { T: 3, C: 3, S: 0, blank: 0, targets: [[], []], steps: [3, 2] },
  "several lengths": { T: 6, C: 3, S: 3, blank: 0, targets: [[1, 2, 1], [2], [], [1, 2]], steps: [6, 4, 2, 5] },
  "repeated labels": {
    T: 6,
    C: 3,
    S: 3,
    blank: 0,
    targets: [
      [1, 1, 1],
      [2, 2],
      [1, 2, 2],
    ],
    steps: [5, 3, 6],
  },
  "blank in the middle": {
    T: 5,
    C: 4,
    S: 2,
    blank: 2,
    targets: [
      [3, 0],
      [0, 0],
    ],
    steps: [5, 4],
  },
  "blank last": { T: 5, C: 3, S: 4, blank: 2, targets: [[0, 1, 0, 1], [1]], steps: [5, 5] },
  "just enough steps": {
    T: 5,
    C: 3,
    S: 5,
    blank: 0,
    targets: [
      [1, 2, 1, 2, 1],
      [1, 1, 1],
    ],
    steps: [5, 5],
  },
  "too few steps": {
    T: 4,
    C: 3,
    S: 5,
    blank: 0,
    targets: [
      [1, 2, 1, 2, 1],
      [1, 1, 1],
      [1, 2],
    ],
    steps: [4, 4, 4],
  },
  "no steps": { T: 2, C: 3, S: 1, blank: 0, targets: [[1], [], [2]], steps: [0, 0, 2] },
  "no sequences": { T: 2, C: 3, S: 1, blank: 0, targets: [], steps: [] },
};

describe.each(FLOATS)("ctc %s", (dtype) => {
  const tolerance = 100 * epsilonOf(dtype);

  test.each(Object.keys(BATCHES))("agrees with the enumeration of all alignments: %s", (name) => {
    const batch = BATCHES[name] as Batch;
    scope(() => {
      const logProbs = logProbsOf(batch, dtype);
      const found = runBoth(batch, dtype, logProbs);
      const want = expected(batch, logProbs);
      expectClose(found.losses, want.losses, tolerance);
      expectClose(found.occupancy, want.occupancy, tolerance);
    });
  });

  test("probabilities of zero close the ways through them", () => {
    const batch: Batch = { T: 4, C: 3, S: 2, blank: 0, targets: [[1, 2], [1, 2], [2]], steps: [4, 4, 3] };
    scope(() => {
      const logProbs = logProbsOf(batch, dtype);
      // Class 1 is impossible in the second sequence, and at steps 0 and 2 in the first.
      for (const i of [1, 4, 13, 19, 22, 31]) logProbs[i] = Number.NEGATIVE_INFINITY;
      for (const t of [0, 1, 2, 3]) logProbs[(t * 3 + 1) * 3 + 1] = Number.NEGATIVE_INFINITY;
      const found = runBoth(batch, dtype, logProbs);
      const want = expected(batch, logProbs);
      expect(found.losses[1]).toBe(Number.POSITIVE_INFINITY);
      expectClose(found.losses, want.losses, tolerance);
      expectClose(found.occupancy, want.occupancy, tolerance);
    });
  });

  test("one way through, a thousand steps: its log-probabilities add up", () => {
    const T = 1000;
    const batch: Batch = { T, C: 2, S: T / 2, blank: 0, targets: [Array.from({ length: T / 2 }, () => 1)], steps: [T - 1] };
    scope(() => {
      const logProbs = noise(dtype, T * 2, 3).map((x) => rounding(dtype)(20 * x - 20));
      const { losses, occupancy } = runBoth(batch, dtype, logProbs);
      let sum = 0;
      for (let t = 0; t < T - 1; t++) sum -= logProbs[2 * t + ((t + 1) % 2)] as number;
      expectClose(losses, [sum], tolerance * sum);
      const way = Array.from({ length: 2 * T }, (_, i) => ((i < 2 * (T - 1) && i % 4 === 1) || (i < 2 * (T - 1) && i % 4 === 2) ? 1 : 0));
      expectClose(occupancy, way, tolerance);
    });
  });
});
