import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { JordanNetwork, JordanSequentialNetwork, JordanStateNetwork, TeacherForced } from "../../../src/cells/simple/jordan.ts";
import { crossEntropy } from "../../../src/nn/losses.ts";
import { mul } from "../../../src/ops/arithmetic.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { Adam } from "../../../src/optim/adam.ts";
import type { Cell } from "../../../src/recurrence/recurrence.ts";
import type { State } from "../../../src/recurrence/state.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { logistic, plus, times as product, rows, logistic as sigma, plus as sumOf, times } from "../../oracle/numbers.ts";
import {
  accept,
  checkStepsEqualScan,
  expectClose,
  fillGolden,
  GOLDEN,
  GOLDEN_TOLERANCE,
  goldenInputs,
  learn,
  runGolden,
  SIZES,
} from "../acceptance.ts";

const options = () => ({ ...SIZES, outputSize: 2, dtype: "float64" as const, generator: new Generator(2) });

describe("Jordan's networks", () => {
  it("have the gradients of their equations, and steps that equal their scans", () => {
    accept(new JordanNetwork(options()));
    accept(new JordanSequentialNetwork({ ...options(), decay: 0.7 }));
    accept(new JordanStateNetwork({ ...options(), stateSize: 3 }));
  });

  it.each(["float32", "float64"] as const)("reach the golden vectors, %s", (dtype) => {
    const context = new JordanNetwork({ ...GOLDEN, outputSize: 2, dtype });
    fillGolden(context);
    expectClose(runGolden(context, dtype).y, [0.58745, 0.534778], GOLDEN_TOLERANCE[dtype]);
    const layer = new JordanStateNetwork({ ...GOLDEN, outputSize: 2, dtype });
    fillGolden(layer);
    const { y, state } = runGolden(layer, dtype);
    expectClose(y, [0.55381, 0.605809], GOLDEN_TOLERANCE[dtype]);
    expectClose(state[0] as Tensor, [-0.684882, -0.790563], GOLDEN_TOLERANCE[dtype]);
  });

  it("of 1986 is the paper's recurrence", () => {
    const net = new JordanSequentialNetwork({ ...options(), decay: 0.7, hiddenActivation: "logistic" });
    const xs = goldenInputs("float64");
    let [s, y] = [
      [0, 0],
      [0, 0],
    ];
    for (let t = 0; t < 4; t++) {
      s = s.map((v, k) => 0.7 * v + (y[k] as number));
      const x = Array.from(xs.data()).slice(3 * t, 3 * t + 3);
      const h = plus(times(rows(net.weightIh), x), times(rows(net.weightCh), s), Array.from(net.biasH.data())).map(logistic);
      y = plus(times(rows(net.weightHo), h), Array.from(net.biasO.data())).map(logistic);
    }
    const [, last] = net.scan(xs);
    expectClose([...last.s.data(), ...last.y.data()], [...s, ...y], 1e-12);
  });

  it("with trained state units are the report's equations with any functions, values and derivatives", () => {
    const [I, H, O, S] = [SIZES.inputSize, SIZES.hiddenSize, 2, 3];
    const functions = { hiddenActivation: "logistic", outputActivation: "tanh", stateActivation: "logistic" } as const;
    holdAgainst(new JordanStateNetwork({ ...options(), ...functions, stateSize: S }), (p, x, [s, y]) => {
      const state = sumOf(
        product(p.matrix("weight_ss", S), s as number[]),
        product(p.matrix("weight_os", O), y as number[]),
        p.vector("bias_s"),
      );
      const next = state.map(sigma);
      const h = sumOf(product(p.matrix("weight_ih", I), x), product(p.matrix("weight_ch", S), next), p.vector("bias_h")).map(sigma);
      const out = sumOf(product(p.matrix("weight_ho", H), h), p.vector("bias_o")).map(Math.tanh);
      return [out, [next, out]];
    });
  });

  it("forced by a teacher, step from the target and not from the output", () => {
    const net = new JordanNetwork(options());
    const forced = new TeacherForced(net);
    checkStepsEqualScan(forced);
    const [x, d] = [
      [0.1, -0.2, 0.3],
      [0.9, -0.4],
    ];
    const [y] = forced.step(tensor([[...x, ...d]], { dtype: "float64" }), net.initialState(1));
    const [expected] = net.step(tensor([x], { dtype: "float64" }), { y: tensor([d], { dtype: "float64" }) });
    expect(Array.from(y.data())).toEqual(Array.from(expected.data()));
  });

  it("learn AAAB and BBBA only with state units", () => {
    const make = { inputSize: 1, hiddenSize: 8, outputSize: 2, outputActivation: "linear" as const };
    // The output sees only the letter before: ln 3 - (2/3) ln 2 = 0.6365 nats three times.
    const context = train(new TeacherForced(new JordanNetwork({ ...make, generator: new Generator(1) })));
    expect(context).toBeGreaterThan(1.9);
    expect(context).toBeLessThan(2);
    expect(train(new TeacherForced(new JordanSequentialNetwork({ ...make, generator: new Generator(1) })))).toBeLessThan(0.05);
    expect(train(new TeacherForced(new JordanStateNetwork({ ...make, stateSize: 4, generator: new Generator(1) })))).toBeLessThan(0.05);
  });
});

/** Nats for each of the two sequences, after 500 updates. */
function train<S extends State>(net: Cell<S>): number {
  const sequences = [
    [0, 0, 0, 1],
    [1, 1, 1, 0],
  ];
  // Plan, then the letter before as one of two.
  const inputs = [0, 1, 2, 3].flatMap((t) =>
    sequences.flatMap((letters, plan) => [plan, ...(t === 0 ? [0, 0] : [1 - (letters[t - 1] as number), letters[t - 1] as number])]),
  );
  const xs = tensor(inputs, { shape: [4, 2, 3], dtype: "float32" });
  const targets = tensor(
    [0, 1, 2, 3].flatMap((t) => sequences.map((letters) => letters[t] as number)),
    { dtype: "int32" },
  );
  const optimizer = new Adam(net.parameters(), { lr: 2e-2 });
  return learn(500, () => {
    const loss = mul(crossEntropy(reshape(net.scan(xs)[0], [8, 2]), targets), 4);
    optimizer.zeroGrad();
    backward(loss);
    optimizer.step();
    return loss;
  });
}
