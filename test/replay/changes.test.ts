/** What a step depends on besides its tensors may change between scans: each scan is that of scanSteps, forward and gradient. */

import { describe, expect, it } from "vitest";
import { addInPlace } from "../../src/autodiff/accumulate.ts";
import { defineOp, type VjpRule } from "../../src/autodiff/define-op.ts";
import { apply, type Primitive } from "../../src/autodiff/primitive.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import { ArgumentError, StateError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Module, Parameter } from "../../src/nn/module.ts";
import { add, mul, neg, square } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { cast } from "../../src/ops/cast.ts";
import { takeRows } from "../../src/ops/gather.ts";
import { linear, matmul } from "../../src/ops/linear.ts";
import { tanh } from "../../src/ops/math.ts";
import { mean } from "../../src/ops/reduce.ts";
import { select, transpose, unsqueeze } from "../../src/ops/shape.ts";
import type { LstmState } from "../../src/recurrence/kinds.ts";
import { Cell, type ScanOptions, scanSteps } from "../../src/recurrence/recurrence.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { Stream } from "../../src/recurrence/stream.ts";
import { eye, full, ones, zeros, zerosLike } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, requireGrad, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { memory } from "../../src/wasm/host.ts";

const [T, B, I] = [5, 3, 4];

type Run = (xs: Tensor) => readonly [ys: Tensor, last: Tensor];

/** Values of a scan, and gradients of a weighted sum of them with respect to xs and to all parameters. */
function evaluate(cell: Module, xs: Tensor, run: Run): number[][] {
  const [ys, last] = run(xs);
  const weights = new Generator(3);
  const loss = [ys, last].map((y) => sum(mul(y, weights.uniform(y.shape, -1, 1, y.dtype as FloatDType)))).reduce((a, b) => add(a, b));
  const wrt = [xs, ...cell.parameters()].filter((t) => t.requiresGrad);
  const grads = gradients([loss], wrt, [ones([], loss.dtype)]).map((g, i) => g ?? zerosLike(wrt[i] as Tensor));
  return [ys, last, ...grads].map((t) => Array.from(t.data()));
}

function inputs(dtype: FloatDType = "float32", shape: number[] = [T, B, I], seed = 1): Tensor {
  return requireGrad(new Generator(seed).uniform(shape, -1, 1, dtype));
}

/** A scan is scanSteps to the bit, both ways, ragged and not; and it is replayed. */
function expectEager(cell: Cell<Tensor>, xs: Tensor, replayed = true): void {
  const lengths = Array.from({ length: xs.dim(1) }, (_, b) => xs.dim(0) - b);
  const all: ScanOptions[] = [{}, { reverse: true }, { lengths }, { lengths, reverse: true }];
  for (const options of all) {
    const expected = evaluate(cell, xs, (x) => scanSteps(cell, x, undefined, options));
    expect(evaluate(cell, xs, (x) => cell.scan(x, undefined, options))).toEqual(expected);
    expect(cell.whyEager(xs, undefined, options) === null).toBe(replayed);
  }
}

/** Sums over several scans are made in another order than by one sweep over all steps. */
function expectClose(got: number[][], expected: number[][]): void {
  const error = Math.max(...got.flatMap((values, i) => values.map((v, k) => Math.abs(v - (expected[i]?.[k] as number)))));
  expect(error <= 1e-13).toBe(true);
}

/** h' = what `next` makes of x and h. */
abstract class OfOneState extends Cell<Tensor> {
  readonly inputSize: number = I;
  readonly outputSize: number = I;
  readonly dtype: FloatDType;
  constructor(dtype: FloatDType = "float32") {
    super();
    this.dtype = dtype;
  }
  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize], this.dtype);
  }
  abstract next(x: Tensor, h: Tensor): Tensor;
  step(x: Tensor, h: Tensor): [Tensor, Tensor] {
    const y = this.next(x, h);
    return [y, y];
  }
}

const weight = (dtype: FloatDType, ...shape: number[]) => new Parameter(new Generator(9).uniform(shape, -1, 1, dtype));

class Sloped extends OfOneState {
  slope = 1;
  readonly w: Parameter;
  constructor(dtype: FloatDType = "float32", w = weight(dtype, I)) {
    super(dtype);
    this.w = w;
  }
  next(x: Tensor, h: Tensor): Tensor {
    return tanh(mul(add(mul(x, this.w), h), this.slope));
  }
}

describe.each(["float32", "float64"] as const)("options, modes and weights that change, %s", (dtype) => {
  it("a number: tanh((x·w + h)·slope) over ones", () => {
    const cell = new Sloped(dtype, new Parameter(ones([I], dtype)));
    for (const slope of [1, 2, 4, 1]) {
      cell.slope = slope;
      expectEager(cell, requireGrad(ones([T, B, I], dtype)));
      const [ys] = cell.scan(ones([3, 1, I], dtype));
      const h1 = Math.tanh(slope);
      const h2 = Math.tanh((1 + h1) * slope);
      const error = Math.max(...[h1, h2, Math.tanh((1 + h2) * slope)].map((h, t) => Math.abs(h - (ys.data()[t * I] as number))));
      expect(error <= (dtype === "float32" ? 1e-6 : 1e-14)).toBe(true);
    }
  });

  it("zero and minus zero, NaN and infinity as numbers", () => {
    const cell = new Sloped(dtype);
    for (const slope of [0, -0, Number.NaN, Number.POSITIVE_INFINITY, 1]) {
      cell.slope = slope;
      expectEager(cell, inputs(dtype));
    }
  });

  it("a submodule's mode", () => {
    class Doubled extends Module {
      forward(x: Tensor): Tensor {
        return this.training ? mul(x, 2) : x;
      }
    }
    class Outer extends OfOneState {
      readonly inner = { deep: [new Doubled()] };
      readonly doubled = this.inner.deep[0] as Doubled;
      readonly w = weight(dtype, I);
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(this.doubled.forward(mul(x, this.w)), h));
      }
    }
    const cell = new Outer(dtype);
    for (const mode of ["train", "eval", "train"] as const) {
      cell.doubled[mode]();
      expectEager(cell, inputs(dtype));
    }
    cell.eval();
    expectEager(cell, inputs(dtype));
  });

  it("what JavaScript writes in the step", () => {
    class Offset extends OfOneState {
      offsets = [1, 2, 3, 4];
      readonly w = weight(dtype, I);
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(mul(matmul(x, eye(I, I, dtype)), tensor(this.offsets, { dtype })), mul(h, this.w)));
      }
    }
    const cell = new Offset(dtype);
    expectEager(cell, inputs(dtype));
    cell.offsets[2] = -1;
    expectEager(cell, inputs(dtype));
    cell.offsets = [1, 2, 3, 4];
    expectEager(cell, inputs(dtype));
  });

  it("a flag that changes the gradient alone", () => {
    class Cut extends OfOneState {
      cut = false;
      readonly w = weight(dtype, I);
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(mul(x, this.w), this.cut ? h.detach() : h));
      }
    }
    const cell = new Cut(dtype);
    for (const cut of [false, true, false]) {
      cell.cut = cut;
      expectEager(cell, inputs(dtype));
    }
  });

  it("a number that only a rule of one's own reads", () => {
    let slope = 1;
    const sloped = defineOp({
      name: "sloped",
      forward: ([x]) => mul(x as Tensor, 1),
      vjp: (g) => mul(g, slope),
      jvp: (t) => mul(t, slope),
    });
    class Ruled extends OfOneState {
      readonly w = weight(dtype, I);
      next(x: Tensor, h: Tensor): Tensor {
        return apply(sloped, [tanh(add(mul(x, this.w), h))], undefined);
      }
    }
    const cell = new Ruled(dtype);
    for (slope of [1, 3, Number.NaN, 1]) expectEager(cell, inputs(dtype));
  });

  it("which of two parameters in the same memory the step reads", () => {
    class Either extends OfOneState {
      first = true;
      readonly a: Parameter = weight(dtype, I);
      readonly b = new Parameter(this.a.detach());
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(mul(x, this.first ? this.a : this.b), h));
      }
    }
    const cell = new Either(dtype);
    expect(cell.a.storage).toBe(cell.b.storage);
    for (const first of [true, false, true]) {
      cell.first = first;
      expectEager(cell, inputs(dtype));
    }
  });

  it("an output that is the next state, or has its values", () => {
    class Twice extends OfOneState {
      same = true;
      readonly w = weight(dtype, I);
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(mul(x, this.w), h));
      }
      override step(x: Tensor, h: Tensor): [Tensor, Tensor] {
        const y = this.next(x, h);
        return [y, this.same ? y : reshape(y, y.shape)];
      }
    }
    const cell = new Twice(dtype);
    for (const same of [true, false, true]) {
      cell.same = same;
      expectEager(cell, inputs(dtype));
    }
  });

  it("a parameter that is no longer trained, and is again", () => {
    const cell = new Sloped(dtype);
    for (const trained of [true, false, true]) {
      cell.w.requiresGrad = trained;
      expectEager(cell, inputs(dtype));
      expectEager(cell, trained ? inputs(dtype).detach() : inputs(dtype));
    }
  });

  it("a value of a parameter that the step reads on the host", () => {
    class Read extends OfOneState {
      readonly w = weight(dtype, I);
      readonly slope = full([], 2, dtype);
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(mul(mul(x, this.w), this.slope.item()), h));
      }
    }
    const cell = new Read(dtype);
    expectEager(cell, inputs(dtype));
    (cell as { slope: Tensor }).slope = full([], 3, dtype);
    expectEager(cell, inputs(dtype));
  });

  it("an inner layer of width 64 replaced by one of width 2: values, gradients, and 200 tensors that are none of it", () => {
    class Wide extends OfOneState {
      inner = new Linear(I, 64, { dtype, generator: new Generator(2) });
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(mean(this.inner.forward(x), { axis: -1, keepDim: true }), h));
      }
    }
    const cell = new Wide(dtype);
    expectEager(cell, inputs(dtype));
    cell.inner = new Linear(I, 2, { dtype, generator: new Generator(2) });
    const others = Array.from({ length: 200 }, (_, i) => full([1 + (i % 64)], i, dtype));
    expectEager(cell, inputs(dtype));
    for (const [i, t] of others.entries()) expect(t.data().every((v) => v === i)).toBe(true);
    cell.inner = new Linear(I, 64, { dtype, generator: new Generator(4) });
    expectEager(cell, inputs(dtype));
    expect(others.every((t, i) => t.data().every((v) => v === i))).toBe(true);
  });

  it("a weight replaced by one that is shared with another, and by a view of a larger one", () => {
    class Two extends OfOneState {
      a: Tensor = weight(dtype, I);
      b: Tensor = new Parameter(full([I], 0.5, dtype));
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(mul(x, this.a), mul(h, this.b)));
      }
    }
    const cell = new Two(dtype);
    expectEager(cell, inputs(dtype));
    cell.b = cell.a;
    expectEager(cell, inputs(dtype));
    const both = new Generator(5).uniform([2, I], -1, 1, dtype);
    cell.a = new Parameter(select(both, 0, 1));
    cell.b = new Parameter(select(both, 0, 0));
    expectEager(cell, inputs(dtype));
    cell.b = select(transpose(both, 0, 1), 1, 1);
    expectEager(cell, inputs(dtype));
  });

  it("the state's own transpose: its cotangent is a view of that of the next one", () => {
    class Turned extends OfOneState {
      readonly w = weight(dtype, I);
      next(x: Tensor): Tensor {
        return mul(x, this.w);
      }
      override step(x: Tensor, h: Tensor): [Tensor, Tensor] {
        return [this.next(x), transpose(h, 0, 1)];
      }
      override initialState(batch: number): Tensor {
        return mul(unsqueeze(this.w, 0), new Generator(4).uniform([batch, I], -1, 1, dtype));
      }
    }
    const cell = new Turned(dtype);
    const xs = inputs(dtype, [T, I, I]);
    expect(evaluate(cell, xs, (x) => cell.scan(x))).toEqual(evaluate(cell, xs, (x) => scanSteps(cell, x)));
    expect(cell.whyEager(xs)).toBeNull();
  });
});

describe("weights of another dtype", () => {
  it("are what they are for the definition: here an error, and right when the input follows", () => {
    class Product extends OfOneState {
      w = weight("float32", I, I);
      override dtype: FloatDType = "float32";
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(linear(x, this.w), h));
      }
    }
    const cell = new Product();
    expectEager(cell, inputs());
    cell.w = new Parameter(cast(cell.w, "float64"));
    const message = (run: () => unknown): string => {
      try {
        run();
      } catch (e) {
        return String(e);
      }
      return "none";
    };
    const refusal = message(() => scanSteps(cell, inputs()));
    expect(refusal).toMatch(/float64/);
    expect(message(() => cell.scan(inputs()))).toBe(refusal);
    cell.dtype = "float64";
    expectEager(cell, inputs("float64"));
  });
});

describe("steps that are not pure", () => {
  const counting = {
    "counts in a field": () =>
      new (class extends OfOneState {
        count = 0;
        next(x: Tensor, h: Tensor): Tensor {
          return tanh(add(mul(x, ++this.count), h));
        }
      })(),
    "counts in a private field": () =>
      new (class extends OfOneState {
        #count = 0;
        get count() {
          return this.#count;
        }
        next(x: Tensor, h: Tensor): Tensor {
          return tanh(add(mul(x, ++this.#count), h));
        }
      })(),
    "counts in a field of an object, and makes use of it in every fourth step": () =>
      new (class extends OfOneState {
        readonly clock = { ticks: [0] };
        get count() {
          return this.clock.ticks[0] as number;
        }
        next(x: Tensor, h: Tensor): Tensor {
          this.clock.ticks[0] = this.count + 1;
          return tanh(add(this.count % 4 === 0 ? mul(x, 2) : x, h));
        }
      })(),
    "counts, and reads a value of the state half-way": () =>
      new (class extends OfOneState {
        count = 0;
        next(x: Tensor, h: Tensor): Tensor {
          const y = tanh(add(mul(x, ++this.count), h));
          return mul(y, 1 + (sum(y).item() > 0 ? 1 : 0));
        }
      })(),
    "keeps what it computes": () =>
      new (class extends OfOneState {
        count = 0;
        last: Tensor = zeros([1]);
        next(x: Tensor, h: Tensor): Tensor {
          this.count++;
          this.last = tanh(add(x, h));
          return this.last;
        }
      })(),
    "draws random numbers": () =>
      new (class extends OfOneState {
        count = 0;
        readonly generator = new Generator(5);
        next(x: Tensor, h: Tensor): Tensor {
          this.count++;
          return tanh(add(mul(x, this.generator.uniform([I])), h));
        }
      })(),
  };

  it.each(Object.entries(counting))("%s: called once a step, with the values of the definition", (_, make) => {
    const [cell, twin] = [make(), make()];
    for (const options of [{}, { reverse: true }, { lengths: [5, 4, 2] }] as ScanOptions[]) {
      for (const grad of [true, false]) {
        const xs = inputs();
        const run = (c: Cell<Tensor>, scan: Run) =>
          grad ? evaluate(c, xs, scan) : noGrad(() => scan(xs).map((t) => Array.from(t.data())));
        const expected = run(twin, (x) => scanSteps(twin, x, undefined, options));
        expect(run(cell, (x) => cell.scan(x, undefined, options))).toEqual(expected);
        expect(cell.count).toBe(twin.count);
      }
    }
    if ("last" in cell && "last" in twin) {
      expect((cell.last as Tensor).toArray()).toEqual((twin.last as Tensor).toArray());
    }
  });

  it("a question about a step changes none of its fields", () => {
    const cell = counting["counts in a field"]();
    expect(cell.whyEager(inputs())).toBe("sets fields of its module");
    expect(cell.count).toBe(0);
  });

  it("a step that throws leaves nothing behind", () => {
    class Failing extends Sloped {
      fails = false;
      override next(x: Tensor, h: Tensor): Tensor {
        const y = super.next(x, h);
        if (this.fails) throw new RangeError("in the step");
        return y;
      }
    }
    const cell = new Failing();
    cell.fails = true;
    expect(() => cell.scan(inputs())).toThrow("in the step");
    expect(() => cell.whyEager(inputs())).toThrow("in the step");
    cell.fails = false;
    expectEager(cell, inputs());
  });

  it("rows by numbers of the input are checked at every step", () => {
    class Embedded extends OfOneState {
      override readonly inputSize = 1;
      readonly table = weight("float32", 6, I);
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(takeRows(this.table, reshape(x, [x.dim(0)])), h));
      }
    }
    const cell = new Embedded();
    const ids = (...values: number[]) => tensor(Int32Array.from(values), { shape: [values.length, 1, 1] });
    const run = (scan: (xs: Tensor) => readonly [Tensor, Tensor]) => Array.from(scan(ids(0, 5, 3, 2))[0].data());
    expect(run((x) => cell.scan(x))).toEqual(run((x) => scanSteps(cell, x)));
    expect(() => cell.scan(ids(0, 1, 2, 6))).toThrow(ArgumentError);
    expect(() => cell.scan(ids(0, 1, 2, -1))).toThrow(ArgumentError);
    expect(cell.whyEager(ids(0, 1, 2))).toBe("reads values on the host");
  });
});

/** A step whose operations have rules of one's own: of the new state, of the output, of the state before, of the weight. */
class Probed extends OfOneState {
  readonly w = weight("float32", I);
  where = "state";
  readonly #op: Primitive<void>;
  constructor(vjp: VjpRule<void>) {
    super();
    this.#op = defineOp({ name: "probed", forward: ([x]) => mul(x as Tensor, 1), vjp, jvp: (t) => t });
  }
  #at(where: string, x: Tensor): Tensor {
    return this.where === where ? apply(this.#op, [x], undefined) : x;
  }
  next(x: Tensor, h: Tensor): Tensor {
    return this.#at("state", tanh(add(mul(this.#at("input", x), this.#at("weight", this.w)), this.#at("state before", h))));
  }
  override step(x: Tensor, h: Tensor): [Tensor, Tensor] {
    const next = this.next(x, h);
    return [this.where === "state" ? next : this.#at("output", mul(next, 2)), next];
  }
}

describe("rules of one's own", () => {
  const sign = (v: number) => (v > 0 ? 2 : 3);
  const places = ["state", "output", "state before", "input", "weight"];

  const reading: Record<string, VjpRule<void>> = {
    "all of the cotangent": (g) => mul(g, Math.min(1, 0.1 / Math.max(...Array.from(g.data(), Math.abs)))),
    "one element of it": (g) => mul(g, sign(reshape(g, [g.size]).data()[g.size - 1] as number)),
    "its sum": (g) => mul(g, sign(sum(g).item())),
    "it, to make a tensor of it": (g) =>
      tensor(
        g.data().map((v) => 2 * v),
        { shape: g.shape },
      ),
    "it, and goes on where that fails": (g) => {
      try {
        return mul(g, sign(sum(g).item()));
      } catch {
        return mul(g, 100);
      }
    },
    "the operation's input": (g, _, [x]) => mul(g, sign(sum(x as Tensor).item())),
    "its output": (g, y) => mul(g, sign(sum(y).item())),
  };
  describe.each(Object.entries(reading))("that read %s on the host run with its values", (_, vjp) => {
    it.each(places)("on the way to the %s", (where) => {
      const cell = new Probed(vjp);
      cell.where = where;
      expectEager(cell, inputs(), false);
    });
  });

  it("that read a weight on the host are replayed with its values at the scan", () => {
    const cell = new Probed((g, _, [x]) => mul(g, sign((x as Tensor).data()[0] as number)));
    cell.where = "weight";
    expectEager(cell, inputs());
    assign(cell.w, neg(cell.w).data());
    expectEager(cell, inputs());
  });

  it("that fail do so when a gradient is asked for, not in the scan", () => {
    const cell = new Probed(() => {
      throw new RangeError("no gradient here");
    });
    const xs = inputs();
    const [ys] = cell.scan(xs);
    expect(ys.toArray()).toEqual(scanSteps(cell, xs)[0].toArray());
    expect(() => gradients([ys], [xs], [ones(ys.shape)])).toThrow(new RangeError("no gradient here"));
    expect(cell.whyEager(xs)).toBe("a rule of its gradient fails: no gradient here");
  });

  it("that set fields of the module run once for each step of the sweep", () => {
    const fields = { calls: 0, norms: [] as number[], first: undefined as number | undefined };
    class Counting extends Probed {
      readonly fields = fields;
    }
    const cell = new Counting((g) => {
      fields.calls++;
      fields.norms.push(fields.calls);
      return g;
    });
    expect(cell.whyEager(inputs())).toBe("has a rule of its gradient that sets fields of its module");
    expect(fields).toEqual({ calls: 0, norms: [], first: undefined });
    const xs = inputs();
    const [ys] = cell.scan(xs);
    expect(fields.calls).toBe(0);
    gradients([ys], [xs], [ones(ys.shape)]);
    expect(fields).toEqual({ calls: T, norms: [1, 2, 3, 4, 5], first: undefined });
  });
});

describe("steps that read on the host", () => {
  const reading: Record<string, (x: Tensor, h: Tensor) => number> = {
    "their input": (x) => sum(x).item(),
    "one element of their input": (x) => x.data()[I] as number,
    "their state": (_, h) => h.data()[0] as number,
    "what they computed": (x, h) => sum(add(x, h)).item(),
    "a constant that they added to": (x) => {
      const total = zeros([I]);
      addInPlace(total, sum(x, { axis: 0 }));
      return total.data()[1] as number;
    },
  };
  it.each(Object.entries(reading))("%s run with its values", (_, read) => {
    class Reads extends OfOneState {
      readonly w = weight("float32", I);
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(add(mul(mul(x, this.w), read(x, h) > 0 ? 2 : 3), h));
      }
    }
    const cell = new Reads();
    expectEager(cell, inputs(), false);
    const stream = new Stream(cell, { batch: B });
    const xs = inputs();
    const [ys] = noGrad(() => scanSteps(cell, xs));
    for (let t = 0; t < T; t++) expect(Array.from(stream.step(select(xs, 0, t)))).toEqual(Array.from(select(ys, 0, t).data()));
  });
});

describe("scans side by side", () => {
  it("forward and backward in turns, with an option that changes in between", () => {
    const [cell, xs] = [new Sloped(), inputs()];
    const run = (scan: Run) => {
      const losses = [1, 3].map((slope) => {
        cell.slope = slope;
        return sum(square(scan(xs)[0]));
      });
      cell.slope = 7;
      return losses.map((loss) => gradients([loss], [xs, cell.w], [ones([])]).map((g) => Array.from((g as Tensor).data())));
    };
    expect(run((x) => cell.scan(x))).toEqual(run((x) => scanSteps(cell, x)));
  });

  it("two cells that share a module", () => {
    class Sharing extends OfOneState {
      readonly shared: Linear;
      readonly scale: number;
      constructor(shared: Linear, scale: number) {
        super("float64");
        this.shared = shared;
        this.scale = scale;
      }
      next(x: Tensor, h: Tensor): Tensor {
        return tanh(mul(add(this.shared.forward(x), h), this.scale));
      }
    }
    const shared = new Linear(I, I, { dtype: "float64", generator: new Generator(8) });
    const [a, b, xs] = [new Sharing(shared, 1), new Sharing(shared, 2), inputs("float64")];
    const run = (scan: (cell: Sharing, x: Tensor) => readonly [Tensor, Tensor]) => {
      const loss = add(sum(scan(a, xs)[0]), sum(square(scan(b, scan(a, xs)[0])[0])));
      return gradients([loss], [xs, ...shared.parameters()], [ones([], "float64")]).map((g) => Array.from((g as Tensor).data()));
    };
    expectClose(
      run((cell, x) => cell.scan(x)),
      run((cell, x) => scanSteps(cell, x)),
    );
  });

  it("a scan inside the step of another", () => {
    class Nested extends OfOneState {
      readonly inner = new Sloped("float64");
      readonly w = weight("float64", I);
      next(x: Tensor, h: Tensor): Tensor {
        const xs = mul(full([4, 1, 1], 0.5, "float64"), unsqueeze(add(x, mul(h, this.w)), 0));
        return mean(this.inner.scan(xs)[0], { axis: 0 });
      }
    }
    const [cell, xs] = [new Nested("float64"), inputs("float64")];
    for (const slope of [1, 3]) {
      cell.inner.slope = slope;
      expectClose(
        evaluate(cell, xs, (x) => cell.scan(x)),
        evaluate(cell, xs, (x) => scanSteps(cell, x)),
      );
      expect(cell.whyEager(xs)).toBeNull();
    }
  });

  it("a submodule with states of another form: ragged sequences keep theirs along the right axis", () => {
    class Holder extends Cell<LstmState> {
      readonly inputSize = I;
      readonly outputSize = I;
      inner: LSTMCell | LSTM = new LSTMCell({ inputSize: I, hiddenSize: I, generator: new Generator(4) });
      initialState(batch: number): LstmState {
        return this.inner.initialState(batch);
      }
      step(x: Tensor, state: LstmState): [Tensor, LstmState] {
        return this.inner.step(x, state);
      }
    }
    const cell = new Holder();
    const [xs, lengths] = [inputs("float32", [T, 1, I]), [2]];
    expect(stateTensors(cell.scan(xs, undefined, { lengths })[1]).map((t) => t.shape)).toEqual([
      [1, I],
      [1, I],
    ]);
    const layer = new LSTM({ inputSize: I, hiddenSize: I, numLayers: 3, generator: new Generator(4) });
    cell.inner = layer;
    const ragged = inputs("float32", [T, 3, I]);
    const got = cell.scan(ragged, undefined, { lengths: [5, 1, 3] });
    const expected = layer.scan(ragged, undefined, { lengths: [5, 1, 3] });
    const numbers = ([ys, last]: readonly [Tensor, LstmState]) => [ys, ...stateTensors(last)].map((t) => Array.from(t.data()));
    expect(numbers(got)).toEqual(numbers(expected));
  });

  it("a second derivative of a step that has changed is refused, not wrong", () => {
    const [cell, xs] = [new Sloped("float64"), inputs("float64")];
    const second = (scan: Run, change = () => {}) => {
      const [ys] = scan(xs);
      change();
      const [dx] = gradients([sum(square(ys))], [xs], [ones([], "float64")], { createGraph: true }) as [Tensor];
      return gradients([sum(square(dx))], [xs], [ones([], "float64")]).map((g) => Array.from((g as Tensor).data()));
    };
    expectClose(
      second((x) => cell.scan(x)),
      second((x) => scanSteps(cell, x)),
    );
    const change = () => {
      cell.slope = 5;
    };
    expect(() => second((x) => cell.scan(x), change)).toThrow(StateError);
  });

  it("an option that is another one at every scan holds no memory", () => {
    const [cell, xs] = [new Sloped(), inputs()];
    const once = (slope: number) => {
      cell.slope = slope;
      scope(() => void evaluate(cell, xs, (x) => cell.scan(x)));
    };
    for (let i = 0; i < 40; i++) once(1 + i / 100);
    const { liveBytes } = memory();
    for (let i = 0; i < 100; i++) once(2 + i / 100);
    expect(memory().liveBytes).toBe(liveBytes);
  });
});
