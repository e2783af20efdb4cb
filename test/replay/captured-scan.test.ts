import { describe, expect, it } from "vitest";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { add, mul, neg } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { linear, matmul } from "../../src/ops/linear.ts";
import { sigmoid, tanh } from "../../src/ops/math.ts";
import { cat, select, slice } from "../../src/ops/shape.ts";
import { CaptureCache } from "../../src/replay/capture.ts";
import { type Scan, scanCaptured, scanEagerly, whyEager } from "../../src/replay/captured-scan.ts";
import { ones, zerosLike } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const g = new Generator(7);
const leaf = (shape: number[], dtype: "float32" | "float64") => requireGrad(g.uniform(shape, -1, 1, dtype));

/** Values and gradients of a scan under fixed weights of its outputs. */
function evaluate(run: (s: Scan) => { ys: Tensor; carry: readonly Tensor[] }, scan: Scan, wrt: Tensor[]): number[][] {
  const { ys, carry } = run(scan);
  const outputs = [ys, ...carry];
  const weights = new Generator(3);
  const loss = outputs.map((y) => sum(mul(y, weights.uniform(y.shape, -1, 1, y.dtype as "float32")))).reduce((a, b) => add(a, b));
  const grads = gradients([loss], wrt, [ones([], loss.dtype)]);
  return [...outputs, ...grads.map((d, i) => d ?? zerosLike(wrt[i] as Tensor))].map((t) => Array.from(t.data()));
}

describe.each(["float32", "float64"] as const)("captured scan, %s", (dtype) => {
  const [T, B, H] = [7, 3, 5];
  const w = leaf([H], dtype);
  const u = leaf([H], dtype);
  const xs = leaf([T, B, H], dtype);
  const h0 = leaf([B, H], dtype);
  const c0 = leaf([B, H], dtype);
  const m = leaf([H, H], dtype);

  const steps: Record<string, Scan["step"]> = {
    "output is the state": ([x], [h]) => {
      const next = add(mul(w, mul(h as Tensor, h as Tensor)), mul(u, add(x as Tensor, mul(w, h as Tensor))));
      return { y: next, carry: [next, h as Tensor] };
    },
    "output read from the state, state of two swapped": ([x], [h, c]) => {
      const next = add(mul(w, c as Tensor), x as Tensor);
      return { y: mul(u, mul(next, h as Tensor)), carry: [next, add(h as Tensor, mul(u, 0.5))] };
    },
    "a shift register": ([x], [h, c]) => ({ y: add(mul(w, h as Tensor), mul(u, c as Tensor)), carry: [c as Tensor, x as Tensor] }),
    "views, joining and broadcasting": ([x], [h, c]) => {
      const left = slice(h as Tensor, 1, 0, 2);
      const right = slice(c as Tensor, 1, 2, H);
      const joined = mul(cat([left, right], 1), reshape(select(x as Tensor, 1, 0), [B, 1]));
      return { y: joined, carry: [add(joined, w), neg(mul(joined, u))] };
    },
    "gates of a product with a packed weight": ([x], [h, c]) => {
      const a = tanh(add(linear(x as Tensor, m, w), linear(h as Tensor, m)));
      const next = add(mul(sigmoid(a), c as Tensor), mul(a, u));
      return { y: next, carry: [mul(next, a), next] };
    },
    "values of fixed tensors alone, which the backward step reads again": ([x], [h, c]) => {
      const gate = sigmoid(w);
      return { y: add(x as Tensor, mul(gate, h as Tensor)), carry: [add(mul(gate, h as Tensor), x as Tensor), mul(tanh(u), c as Tensor)] };
    },
    "output is the input": ([x], [h, c]) => ({ y: x as Tensor, carry: [mul(h as Tensor, c as Tensor), mul(c as Tensor, w)] }),
  };

  describe.each(Object.keys(steps))("%s", (name) => {
    it.each([false, true])("is eager execution to the bit, reverse = %s", (reverse) => {
      const scan: Scan = { step: steps[name] as Scan["step"], sequences: [xs], carry: [h0, c0], fixed: [w, u, m], reverse, owner: {} };
      const cache = new CaptureCache();
      const wrt = [xs, h0, c0, w, u, m];
      const eager = evaluate(scanEagerly, scan, wrt);
      for (let round = 0; round < 2; round++) expect(evaluate((s) => scanCaptured(s, cache), scan, wrt)).toEqual(eager);
      expect(whyEager(scan, cache)).toBeNull();
      expect(cache.steps.length).toBe(1);
      const plain = noGrad(() => scanCaptured(scan, cache));
      expect([plain.ys, ...plain.carry].map((t) => Array.from(t.data()))).toEqual(eager.slice(0, 3));
    });

    it("leaves out the gradient of inputs that want none, and has it again for those that do", () => {
      const cache = new CaptureCache();
      for (const inputs of [xs.detach(), xs]) {
        const scan: Scan = {
          step: steps[name] as Scan["step"],
          sequences: [inputs],
          carry: [h0, c0],
          fixed: [w, u, m],
          reverse: false,
          owner: {},
        };
        const wrt = [inputs, h0, c0, w, u, m];
        expect(evaluate((s) => scanCaptured(s, cache), scan, wrt)).toEqual(evaluate(scanEagerly, scan, wrt));
      }
      const reached = cache.steps.map((c) => c.backward?.inputs);
      expect(reached).toEqual([[true], [false]]);
    });
  });

  const [v, q] = [leaf([H, H], dtype), leaf([H, H], dtype)];
  const products: Record<string, { step: Scan["step"]; deferred: number }> = {
    "weights of the input and of the state": {
      step: ([x], [h]) => {
        const next = tanh(add(linear(x as Tensor, v), matmul(h as Tensor, q)));
        return { y: next, carry: [next] };
      },
      deferred: 2,
    },
    "a weight used twice, whose gradient takes both in turns": {
      step: ([x], [h]) => {
        const next = tanh(add(linear(x as Tensor, v), linear(h as Tensor, v)));
        return { y: mul(next, sum(q)), carry: [next] };
      },
      deferred: 0,
    },
    "a cotangent that the next step overwrites": {
      step: ([x], [h]) => ({ y: matmul(x as Tensor, v), carry: [linear(h as Tensor, q)] }),
      deferred: 1,
    },
    "the input of a product made in the step": {
      step: ([x], [h]) => {
        const next = mul(
          sigmoid(linear(mul(x as Tensor, h as Tensor), v)),
          tanh(linear(cat([slice(h as Tensor, 1, 1), slice(x as Tensor, 1, 0, 1)], 1), q)),
        );
        return { y: neg(next), carry: [next] };
      },
      deferred: 2,
    },
  };

  // Batches of 1, 100 and 300: all steps at once, two at a time, and more than can be added at once.
  describe.each(Object.keys(products))("%s", (name) => {
    it.each([
      [1, 5],
      [100, 5],
      [300, 3],
    ])("has the bits of eager execution where products of steps are added together, batch %i", (batch, steps) => {
      const { step, deferred } = products[name] as { step: Scan["step"]; deferred: number };
      const [inputs, state] = [leaf([steps, batch, H], dtype), leaf([batch, H], dtype)];
      for (const reverse of [false, true]) {
        const scan: Scan = { step, sequences: [inputs], carry: [state], fixed: [v, q], reverse, owner: {} };
        const cache = new CaptureCache();
        const wrt = [inputs, state, v, q];
        expect(evaluate((s) => scanCaptured(s, cache), scan, wrt)).toEqual(evaluate(scanEagerly, scan, wrt));
        expect(cache.steps.map((c) => c.backward?.deferred.length)).toEqual([batch > 256 ? 0 : deferred]);
      }
    });
  });

  const plain = (): Scan => ({
    step: steps["output is the state"] as Scan["step"],
    sequences: [xs],
    carry: [h0, c0],
    fixed: [w, u],
    reverse: false,
    owner: {},
  });

  it("differentiates twice through the eager form", () => {
    const scan = plain();
    const second = (run: typeof scanEagerly) => {
      const { ys } = run(scan);
      const [dx] = gradients([sum(ys)], [xs], [ones([], dtype)], { createGraph: true }) as [Tensor];
      return gradients([sum(mul(dx, dx))], [xs, w], [ones([], dtype)]).map((t) => Array.from((t as Tensor).data()));
    };
    expect(second((s) => scanCaptured(s, new CaptureCache()) as never)).toEqual(second(scanEagerly));
  });

  it.each([
    [
      "reads a value on the host",
      ([x]: readonly Tensor[], [h, c]: readonly Tensor[]) => ({
        y: mul(x as Tensor, sum(x as Tensor).item()),
        carry: [h as Tensor, c as Tensor],
      }),
    ],
    [
      "draws random numbers",
      ([x]: readonly Tensor[], [h, c]: readonly Tensor[]) => ({
        y: mul(x as Tensor, new Generator(1).uniform([H], 0, 1, dtype)),
        carry: [h as Tensor, c as Tensor],
      }),
    ],
    [
      "state tensor 0 changes",
      ([x]: readonly Tensor[], [, c]: readonly Tensor[]) => ({ y: x as Tensor, carry: [w as Tensor, c as Tensor] }),
    ],
    [
      "tensor made outside the step",
      ([x]: readonly Tensor[], [h, c]: readonly Tensor[]) => ({ y: mul(x as Tensor, outside), carry: [h as Tensor, c as Tensor] }),
    ],
  ])("says why a step is not captured: %s", (reason, step) => {
    const cache = new CaptureCache();
    const scan: Scan = { step, sequences: [xs], carry: [h0, c0], fixed: [w, u], reverse: false, owner: {} };
    try {
      const { ys } = scanCaptured(scan, cache);
      expect(Array.from(ys.data())).toEqual(Array.from(scanEagerly(scan).ys.data()));
    } catch (e) {
      expect(String(e)).toMatch(/Shape/);
    }
    expect(cache.steps).toEqual([]);
    expect(whyEager(scan, cache)).toContain(reason);
  });
  const outside = tensor(new Array(H).fill(2), { dtype });

  it("holds no memory between runs", () => {
    const scan = plain();
    const cache = new CaptureCache();
    const once = () => scope(() => void evaluate((s) => scanCaptured(s, cache), scan, [xs, w]));
    once();
    const before = memory().liveBytes;
    for (let i = 0; i < 50; i++) once();
    expect(memory().liveBytes).toBe(before);
  });
});

describe("inputs of a captured scan", () => {
  it("stay the leaves they were", () => {
    const xs = new Generator(1).uniform([3, 2, 2]);
    const w = requireGrad(new Generator(2).uniform([2]));
    const step: Scan["step"] = ([x], [h]) => ({ y: mul(w, x as Tensor), carry: [h as Tensor] });
    const carry = [new Generator(3).uniform([2, 2])];
    scope(() => void scanCaptured({ step, sequences: [xs], carry, fixed: [w], reverse: false, owner: {} }, new CaptureCache()));
    expect([xs.node, w.node, carry[0]?.node]).toEqual([null, null, null]);
  });
});
