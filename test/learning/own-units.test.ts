/** The sparse approximation of one step against its definition with whole matrices, and which recurrences need no whole Jacobian for it. */

import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { FullyRecurrentNetwork } from "../../src/cells/index.ts";
import { forwardAlgorithm } from "../../src/learning/forward.ts";
import { type GradientAlgorithm, snap } from "../../src/learning/index.ts";
import { type Influence, settingOf } from "../../src/learning/influence.ts";
import { ownDerivatives, unitsOf } from "../../src/learning/own-units.ts";
import { Reach, trySteps } from "../../src/learning/reach.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { onesLike, zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { every } from "../recurrence/every.ts";
import { expectEqual } from "./recurrences.ts";

const make = (name: string, dtype: "float64" | "float32" = "float64"): Recurrence =>
  every[name]?.({ dtype, generator: new Generator(3) }) as Recurrence;

const setting = (cell: Recurrence) => settingOf("test", cell, cell.parameters(), cell.initialState(1), "fixed");

/** G' = M∘(J·G + I) with every matrix whole, M where weights reach in one step. */
function wholeMatrices(): GradientAlgorithm {
  return forwardAlgorithm("whole", (given) => {
    const { S, P, dtype } = given;
    const mask = new Uint8Array(S * P);
    const { starts, rows } = Reach.of(given).direct;
    for (let p = 0; p < P; p++) for (const row of rows.subarray(starts[p], starts[p + 1])) mask[row * P + p] = 1;
    const influence: Influence<Tensor> = {
      initial: tensor(new Float64Array(S * P), { shape: [S, P], dtype }),
      gradient(step, G, dys, dNext) {
        const { state, parameters } = step.pull(dys, dNext);
        const [lambda, rows] = [state.data(), G.data()];
        const total = Float64Array.from(parameters.data(), (g, p) =>
          Array.from({ length: S }, (_, i) => Number(lambda[i]) * Number(rows[i * P + p])).reduce((a, b) => a + b, Number(g)),
        );
        return tensor(total, { dtype });
      },
      next(step, G) {
        const { state, parameters } = step.jacobians();
        const [J, I, rows] = [state.data(), parameters.data(), G.data()];
        const out = Float64Array.from(I, Number);
        for (let i = 0; i < S; i++) {
          for (let p = 0; p < P; p++) {
            for (let j = 0; j < S; j++) out[i * P + p] = Number(out[i * P + p]) + Number(J[i * S + j]) * Number(rows[j * P + p]);
          }
        }
        return tensor(
          out.map((v, i) => (mask[i] ? v : 0)),
          { shape: [S, P], dtype },
        );
      },
    };
    return influence as Influence;
  });
}

function gradientOf(cell: Recurrence, algorithm: GradientAlgorithm, T = 3): (Tensor | null)[] {
  const xs = new Generator(4).uniform([T, 1, cell.inputSize], -1, 1, cell.parameters()[0]?.dtype as "float64");
  const [ys] = algorithm.scan(cell, xs);
  const loss = sum(mul(mul(ys, ys), new Generator(5).uniform([...ys.shape], -1, 1, ys.dtype as "float64")));
  return gradients([loss], cell.parameters(), [onesLike(loss)]);
}

/** Recurrences of which SnAp-1 costs O(P): whose weights reach one unit, and whose units see each other by one product. */
const OWN_UNITS = [
  ...['SimpleRecurrentNetwork, "none"', 'SimpleRecurrentNetwork, "elman1"', "FullyRecurrentNetwork", 'RNNCell, "tanh"', 'RNNCell, "relu"'],
  ...[
    "LSTMCell",
    "GRUCell, true",
    "LeakyRNN",
    "PearlmutterNetwork",
    "ClockworkRNN",
    "GatedStore",
    "StateClip",
    "MooreMachine",
    "Predictor, 3",
  ],
  ...["V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP"].map((variant) => `OdysseyLSTM, "${variant}"`),
  ...['IndRNN, "relu"', 'IndRNN, "tanh"', "MinGRU", "MinLSTM", "MinGRU, logarithms", "SRU", "LRU"],
];

/** Some of the others: two products in a row, weights that reach several units, units of several sizes. */
const OTHERS = [
  "GRUCell, false",
  "MGU",
  "MUT1",
  "GRU1",
  "SecondOrderRNN",
  "StackedRNN",
  "LSTMCell, projected",
  "CTRNN, on a line",
  "NARX, 4",
];

const unitsFor = (cell: Recurrence) => unitsOf(setting(cell), Reach.of(setting(cell)));

describe("snap(1)", () => {
  it.each([...OWN_UNITS, ...OTHERS])("is its definition in whole matrices: %s", (name) => {
    scope(() => {
      const cell = make(name);
      expectEqual(gradientOf(cell, snap(1)), gradientOf(cell, wholeMatrices()));
      expect(unitsFor(cell) !== null).toBe(OWN_UNITS.includes(name));
    });
  });

  it("is that in float32, too", () => {
    for (const name of ['RNNCell, "tanh"', "LSTMCell", "GRUCell, true"]) {
      const cell = make(name, "float32");
      expect(unitsFor(cell)).not.toBeNull();
      expectEqual(gradientOf(cell, snap(1)), gradientOf(cell, wholeMatrices()), 1e-5);
    }
  });

  it("is not taken in by weights that are zero at first", () => {
    for (const name of ["GRUCell, false", "SecondOrderRNN"]) {
      const cell = make(name);
      const weights = cell.parameters().map((p) => tensor(p.data(), { shape: p.shape, dtype: p.dtype }));
      for (const p of cell.parameters()) if (p.rank > 1) assign(p, zeros(p.shape, p.dtype));
      gradientOf(cell, snap(1));
      cell.parameters().forEach((p, i) => {
        assign(p, weights[i] as Tensor);
      });
      gradientOf(cell, snap(1));
      expectEqual(gradientOf(cell, snap(1)), gradientOf(cell, wholeMatrices()));
    }
  });

  it("takes from the step what a unit does to itself: a fully recurrent net by hand", () => {
    const net = new FullyRecurrentNetwork({ inputSize: 1, units: 2, dtype: "float64", generator: new Generator(1) });
    trySteps(setting(net), 3, (step) => {
      const weight = Array.from(net.weight.data(), Number);
      const own = ownDerivatives(step, { units: 2, tensors: 1 }) as Float64Array;
      const after = (step.next as unknown as Tensor).data();
      [0, 1].forEach((i) => {
        const f = Number(after[i]);
        expect(own[i]).toBeCloseTo(f * (1 - f) * Number(weight[i * 4 + 2 + i]), 12);
      });
      return true;
    });
  });
});
