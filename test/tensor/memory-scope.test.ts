import { beforeEach, describe, expect, it } from "vitest";
import { enableGrad, isGradEnabled, noGrad } from "../../src/autodiff/tape.ts";
import { StateError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { EMA } from "../../src/optim/ema.ts";
import { LBFGS } from "../../src/optim/lbfgs.ts";
import { full, zeros } from "../../src/tensor/create.ts";
import { dryRun } from "../../src/tensor/dry-run.ts";
import { heldTensors } from "../../src/tensor/parts.ts";
import { keep, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { grad, jacobian, jvp, vjp } from "../../src/transforms/transforms.ts";
import { memory } from "../../src/wasm/host.ts";

let before = 0;
beforeEach(() => {
  before = memory().blocks;
});

/** Values of tensors that came out of a scope, which are then let go; nothing else may be live. */
function valuesOf(...tensors: (Tensor | undefined)[]): number[] {
  const values = tensors.map((t) => t?.item() ?? Number.NaN);
  for (const t of tensors) t?.dispose();
  expect(memory().blocks).toBe(before);
  return values;
}

const one = (value: number) => full([], value);

describe("a scope keeps what its result shows", () => {
  it("in sets, in keys and values of maps, under symbols, in hidden fields, in instances of any class", () => {
    const symbol = Symbol("tensor");
    class Pair {
      readonly left = one(1);
      readonly right = { deep: [new Set([one(2)])] };
      other = 5;
    }
    const made = scope(() => {
      one(-1);
      const hidden = Object.defineProperty({}, "hidden", { value: one(6), enumerable: false });
      return { set: new Set([one(3)]), map: new Map([[one(4), one(5)]]), [symbol]: one(7), hidden, pair: new Pair() };
    });
    const [[key, value] = []] = made.map;
    const [inSet] = made.set;
    const [deep] = made.pair.right.deep[0] ?? [];
    const { hidden } = made.hidden as { hidden: Tensor };
    expect(valuesOf(made.pair.left, deep, inSet, key, value, hidden, made[symbol])).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  it("in circles, and however deep", () => {
    interface Link {
      next: Link | null;
      t: Tensor | null;
    }
    const first = scope(() => {
      const last: Link = { next: null, t: one(9) };
      let first = last;
      for (let i = 0; i < 20_000; i++) first = { next: first, t: null };
      last.next = first;
      return first;
    });
    let at = first;
    while (at.t === null) at = at.next as Link;
    expect(valuesOf(at.t)).toEqual([9]);
  });

  it("on functions, and under an object's [heldTensors], where nobody could see them", () => {
    class Memory {
      #cell = one(3);
      #parts = new Set([one(4)]);
      *[heldTensors]() {
        yield this.#cell;
        yield this.#parts;
      }
      get cells() {
        return [this.#cell, ...this.#parts];
      }
    }
    const step = scope(() => Object.assign(() => 0, { bias: one(2) }));
    const held = scope(() => {
      const t = one(5);
      return { read: () => t, [heldTensors]: () => [t] };
    });
    const cells = scope(() => new Memory()).cells;
    expect(valuesOf(step.bias, ...cells, held.read())).toEqual([2, 3, 4, 5]);
  });

  it("in modules: buffers under registered names, too", () => {
    class Counted extends Module {
      readonly weight = new Parameter(zeros([2]));
      readonly #seen = this.register("seen", one(8));
      get seen() {
        return this.#seen;
      }
    }
    const module = scope(() => new Counted());
    expect(module.weight.data()).toEqual(new Float32Array(2));
    module.weight.dispose();
    expect(valuesOf(module.seen)).toEqual([8]);
  });

  it("without calling getters", () => {
    let calls = 0;
    const made = scope(() => ({
      t: one(1),
      get counted() {
        return ++calls;
      },
      get failing() {
        throw new Error("getter");
      },
    }));
    expect(calls).toBe(0);
    expect(valuesOf(made.t)).toEqual([1]);
  });

  it("behind a proxy; where that throws, everything is released and the scope outside is as it was", () => {
    const made = scope(() => new Proxy({ t: one(2) }, {}));
    expect(valuesOf(made.t)).toEqual([2]);
    const failing = () => new Proxy({ t: one(2) }, { ownKeys: () => ["t"], getOwnPropertyDescriptor: () => fail() });
    const fail = (): never => {
      throw new Error("trap");
    };
    const outer = scope(() => {
      const mine = one(3);
      expect(() => scope(failing)).toThrow("trap");
      return mine;
    });
    expect(valuesOf(outer)).toEqual([3]);
  });

  it("and says why what it could not see is gone", () => {
    const read = scope(() => {
      const t = zeros([2]);
      return () => t;
    });
    expect(() => read().data()).toThrow(StateError);
    expect(() => read().data()).toThrow(/scope has ended.*closures and private fields.*keep\(tensor\).*\[heldTensors\]/);
    const kept = scope(() => {
      const t = keep(one(4));
      return () => t;
    });
    expect(valuesOf(kept())).toEqual([4]);
  });
});

describe("a function that goes on later is refused, and all is as before", () => {
  const p = keep(tensor([1, 2], { requiresGrad: true }));
  const ema = new EMA([p], { decay: 0 });
  const x = tensor([1, 2]);
  const places: Record<string, (fn: () => never) => unknown> = {
    scope: (fn) => scope(fn),
    noGrad: (fn) => noGrad(fn),
    enableGrad: (fn) => enableGrad(fn),
    dryRun: (fn) => dryRun(fn),
    "EMA.withAverages": (fn) => ema.withAverages(fn),
    "LBFGS.step": (fn) => new LBFGS([p]).step(fn),
    jvp: (fn) => jvp(fn, [x], [x]),
    vjp: (fn) => vjp(fn, [x]),
    grad: (fn) => grad(fn)(x),
    "vjp (jacobian)": (fn) => jacobian(fn, x),
  };
  const kinds: Record<string, () => unknown> = {
    "a promise": async () => zeros([1]),
    "a promise that fails": async () => {
      throw new Error("later");
    },
    // biome-ignore lint/suspicious/noThenProperty: that is what a thenable is.
    "a thenable": () => ({ then: () => undefined }),
    "a generator": function* () {
      yield zeros([1]);
    },
    "an asynchronous generator": async function* () {
      yield zeros([1]);
    },
  };
  const cases = Object.keys(places).flatMap((place) => Object.keys(kinds).map((kind) => [place, kind] as const));

  it.each(cases)("%s: %s", async (place, kind) => {
    const live = memory().liveBytes;
    const attempt = () => scope(() => void places[place]?.(kinds[kind] as () => never));
    expect(attempt).toThrow(StateError);
    expect(attempt).toThrow(`${place.split(" ")[0]}: expected a synchronous function, got a`);
    expect(memory().liveBytes).toBe(live);
    expect(isGradEnabled()).toBe(true);
    expect(scope(() => add(x, 1).toArray())).toEqual([2, 3]);
    expect(p.toArray()).toEqual([1, 2]);
    // A promise that fails later must not end the process.
    await new Promise((r) => setTimeout(r));
  });

  it("but results that only look back are let through", () => {
    const map = new Map([[1, 2]]);
    expect([...noGrad(() => map.keys())]).toEqual([1]);
    expect(noGrad(() => null)).toBeNull();
    expect(scope(() => undefined)).toBeUndefined();
    expect(noGrad(() => new Linear(1, 1)).parameters().length).toBe(2);
  });
});
