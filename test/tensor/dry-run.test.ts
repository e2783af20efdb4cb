import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { MemoryLimitError, StateError } from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import { add } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { tanh } from "../../src/ops/math.ts";
import { Adam } from "../../src/optim/adam.ts";
import { Cell, scanSteps } from "../../src/recurrence/recurrence.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { ones, onesLike, zeros } from "../../src/tensor/create.ts";
import { dryRun, type MemoryPlan } from "../../src/tensor/dry-run.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, keep, scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { Heap } from "../../src/wasm/heap.ts";
import { memory, setMemoryLimit } from "../../src/wasm/host.ts";

const MIB = 1 << 20;

/** A cell without a kernel of its own: s' = tanh(s + x·Wᵀ), y = s'. */
class Accumulator extends Cell<Tensor> {
  readonly inputSize = 4;
  readonly outputSize = 8;
  readonly linear = new Linear(4, 8);

  initialState(batch: number): Tensor {
    return zeros([batch, 8]);
  }

  step(x: Tensor, state: Tensor): [Tensor, Tensor] {
    const next = tanh(add(state, this.linear.forward(x)));
    return [next, next];
  }
}

/** What a computation really takes: the rise of live bytes, watched at every allocation. */
function measured(fn: () => unknown): Pick<MemoryPlan, "peakBytes" | "keptBytes"> {
  const before = memory().liveBytes;
  let peak = before;
  const allocate = Heap.prototype.allocate;
  Heap.prototype.allocate = function (this: Heap, bytes) {
    const ptr = allocate.call(this, bytes);
    peak = Math.max(peak, this.liveBytes);
    return ptr;
  };
  try {
    scope(() => void fn());
  } finally {
    Heap.prototype.allocate = allocate;
  }
  return { peakBytes: peak - before, keptBytes: memory().liveBytes - before };
}

function expectSame(fn: () => unknown): void {
  const { peakBytes, keptBytes } = dryRun(fn);
  expect({ peakBytes, keptBytes }).toEqual(measured(fn));
  expect(peakBytes).toBeGreaterThan(0);
}

describe("a dry run counts what the real run takes", () => {
  it("for one operation: 256 float64 numbers are 2048 bytes", () => {
    expect(dryRun(() => void ones([16, 16], "float64"))).toEqual({ peakBytes: 2048, keptBytes: 0, linearBytes: 2048 });
  });

  it("for a fused layer, inference and training", () => {
    const lstm = new LSTM({ inputSize: 5, hiddenSize: 16, numLayers: 2, dropout: 0.3 });
    const xs = zeros([11, 3, 5]);
    expectSame(() => lstm.forward(xs));
    expectSame(() => backward(sum(lstm.forward(xs).output)));
  });

  it("for a captured scan, whose capture is part of it, and for its steps one by one", () => {
    expectSame(() => backward(sum(new Accumulator().scan(zeros([7, 2, 4]))[0])));
    expectSame(() => backward(sum(scanSteps(new Accumulator(), zeros([7, 2, 4]))[0])));
  });

  it("for a model, its gradients and its optimiser, all made inside", () => {
    expectSame(() => {
      const lstm = new LSTM({ inputSize: 5, hiddenSize: 16 });
      const optimizer = new Adam(lstm.parameters());
      for (let i = 0; i < 2; i++) {
        scope(() => {
          backward(sum(lstm.forward(zeros([11, 3, 5])).output));
          optimizer.step();
        });
        lstm.zeroGrad();
      }
    });
  });

  it("for more than any memory holds", () => {
    const { peakBytes } = dryRun(() => {
      const xs = Array.from({ length: 4 }, () => zeros([2 ** 14, 2 ** 14], "float64"));
      return xs.length;
    });
    expect(peakBytes).toBe(4 * 2 ** 31);
    expect(memory().linearBytes).toBeLessThan(2 ** 31);
  });
});

describe("a dry run leaves no trace", () => {
  it("in what lives outside: values can be read, writes are lost, generators stay, live bytes too", () => {
    const generator = new Generator(3);
    const before = generator.state;
    const outside = tensor([1, 2, 3]);
    const live = memory();
    let read: number[] = [];
    dryRun(() => {
      read = [...outside.data()];
      assign(outside, [9, 9, 9]);
      generator.normal([100]);
    });
    expect(read).toEqual([1, 2, 3]);
    expect([...outside.data()]).toEqual([1, 2, 3]);
    expect(generator.state).toEqual(before);
    expect(memory()).toEqual(live);
  });

  it("in modules: a cell scans to the same bits after a plan, and a tensor kept inside cannot be used", () => {
    const cell = new Accumulator();
    const xs = new Generator(1).normal([5, 2, 4]);
    const expected = scope(() => scanSteps(cell, xs)[0].data());
    cell.plan({ batch: 2, time: 5 });
    expect(scope(() => cell.scan(xs)[0].data())).toEqual(expected);
    let escaped: Tensor | null = null;
    dryRun(() => {
      escaped = keep(zeros([3]));
    });
    expect(() => (escaped as unknown as Tensor).data()).toThrow(StateError);
  });

  it("in parameters: their gradients are as they were", () => {
    const lstm = new LSTM({ inputSize: 2, hiddenSize: 3 });
    dryRun(() => backward(sum(lstm.forward(zeros([4, 2, 2])).output)));
    expect(lstm.parameters().map((p) => p.grad)).toEqual([null, null, null, null]);
  });

  it("when it fails: the error comes through and the real host is back", () => {
    expect(() => dryRun(() => dryRun(() => undefined))).toThrow("dryRun: expected no dry run in progress");
    expect(() => dryRun(async () => undefined)).toThrow(StateError);
    expect(scope(() => ones([2]).data())).toEqual(Float32Array.of(1, 1));
  });

  it("under a limit: it can plan what would not fit", () => {
    setMemoryLimit(8 * MIB);
    try {
      expect(dryRun(() => void zeros([4 * MIB])).peakBytes).toBe(16 * MIB);
      expect(() => zeros([4 * MIB])).toThrow(MemoryLimitError);
    } finally {
      setMemoryLimit(Number.POSITIVE_INFINITY);
    }
  });
});

describe("plan", () => {
  const models = [
    new LSTM({ inputSize: 6, hiddenSize: 32, bidirectional: true }),
    new LSTM({ inputSize: 6, hiddenSize: 32, dtype: "float64" }),
    new LSTMCell({ inputSize: 6, hiddenSize: 9 }),
    new Accumulator(),
  ];

  it.each(models)("is the bytes of a scan over a sequence made for it, and of its gradients", (model) => {
    const [batch, time] = [4, 20];
    const sequence = () => zeros([time, batch, model.inputSize], (model.parameters()[0] as Tensor).dtype);
    const infer = model.plan({ batch, time, training: false }).peakBytes;
    const train = model.plan({ batch, time }).peakBytes;
    expect(infer).toBe(measured(() => noGrad(() => model.scan(sequence()))).peakBytes);
    const step = () => {
      const [ys] = model.scan(sequence());
      gradients([ys], model.parameters(), [onesLike(ys)]);
    };
    expect(train).toBe(measured(step).peakBytes);
    expect(train).toBeGreaterThan(infer);
    expect(model.plan({ batch, time: 2 * time }).peakBytes).toBeGreaterThan(train);
    expect(model.plan({ batch: 2 * batch, time }).peakBytes).toBeGreaterThan(train);
  });
});
