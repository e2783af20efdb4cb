/** Two copies of the library in one program, each with a memory of its own: tensors of one are refused by the other. */

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
// @ts-expect-error: a script has no declarations
import { smallEntry } from "../../scripts/small-entry.mjs";
import { LIBRARY as INFERENCE } from "../../src/base/library.inference.ts";
import { LIBRARY } from "../../src/base/library.ts";
import type * as Library from "../../src/index.ts";
import type * as Inference from "../../src/inference.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
let one: typeof Library;
let two: typeof Library;
let small: typeof Inference;

async function bundled<T>(name: string, entry: string, plugins: Plugin[] = []): Promise<T> {
  const outfile = join(folder, `${name}.mjs`);
  await build({ entryPoints: [join(root, entry)], outfile, bundle: true, format: "esm", platform: "neutral", target: "es2022", plugins });
  return (await import(/* @vite-ignore */ pathToFileURL(outfile).href)) as T;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tapeloop-copies-"));
  one = await bundled("one", "src/index.ts");
  two = await bundled("two", "src/index.ts");
  small = await bundled("small", "src/inference.ts", [smallEntry(root, "src/inference.ts") as Plugin]);
}, 60_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Fails unless `run` throws the error of copies, with both names in it. */
function expectRefused(run: () => unknown, own: string, other: string): void {
  let error: unknown;
  try {
    run();
  } catch (e) {
    error = e;
  }
  expect(error, String(run)).toMatchObject({ name: "StateError", code: "ERR_STATE" });
  const { message } = error as Error;
  expect(message).toContain(`expected a tensor of this copy of the library (${own}), got one of ${other}`);
}

it("the copies say what they are", async () => {
  const { name, version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { name: string; version: string };
  expect(LIBRARY).toBe(`${name} ${version}`);
  expect(INFERENCE).toBe(`${name}/inference ${version}`);
});

describe("a tensor of another copy", () => {
  const refused = (run: () => unknown) => expectRefused(run, LIBRARY, "another copy of it");

  it("is no operand, whichever it is", () => {
    // At the addresses of the other copy's tensors lie 5 and 6 in this one.
    const own = one.tensor([5, 6]);
    const other = two.tensor([1, 2]) as unknown as Library.Tensor;
    const index = two.tensor([[0]], { dtype: "int32" }) as unknown as Library.Tensor;
    const mask = two.tensor([true, false], { dtype: "bool" }) as unknown as Library.Tensor;
    const runs: (() => unknown)[] = [
      () => one.add(own, other),
      () => one.add(other, own),
      () => one.mul(other, 2),
      () => one.div(other, other),
      () => one.exp(other),
      () => one.sum(other),
      () => one.less(own, other),
      () => one.less(other, 1),
      () => one.equal(2, other),
      () => one.logicalNot(other),
      () => one.logicalAnd(own, mask),
      () => one.where(mask, own, 0),
      () => one.maskedSelect(own, mask),
      () => one.argmax(other),
      () => one.gather(one.tensor([[1, 2]]), 1, index),
      () => one.embedding(index, one.ones([2, 2])),
      () => one.reshape(other, [2, 1]),
      () => one.matmul(one.ones([2, 2]), other),
      () => one.einsum("i,i->", own, other),
      () => one.cat([own, other]),
      () => one.softmax(other),
      () => one.crossEntropy(one.ones([1, 2]), two.tensor([0], { dtype: "int32" }) as never),
      () => one.assign(own, other),
      () => one.assign(other, own),
      () => one.assign(other, [1, 2]),
      () => one.backward(other),
      () => new one.Parameter(other),
      () => new one.Tensor(other.storage, "float32", [2]),
      () => new one.SGD([other], { lr: 0.1 }),
      () => new one.LSTM({ inputSize: 2, hiddenSize: 2 }).forward(two.ones([1, 1, 2]) as never),
    ];
    for (const run of runs) refused(run);
    expect(own.toArray()).toEqual([5, 6]);
    expect(other.toArray()).toEqual([1, 2]);
    expect(one.tensor(other.data()).toArray()).toEqual([1, 2]);
  });

  it("is none of a module's parts, and not in its state dict", () => {
    class Holder extends one.Module {
      readonly part: unknown;
      constructor(part: unknown) {
        super();
        this.part = part;
      }
    }
    for (const part of [two.ones([2]), new two.Parameter(two.ones([2])), [two.ones([2])], new two.Linear(2, 2)]) {
      refused(() => new Holder(part).parameters());
      refused(() => new Holder(part).stateDict());
    }
    const linear = new one.Linear(2, 2);
    const before = linear.weight.toArray();
    refused(() => linear.loadStateDict(new two.Linear(2, 2).stateDict() as never));
    expect(linear.weight.toArray()).toEqual(before);
    refused(() => new one.Adam(new two.Linear(2, 2).parameters() as never));
  });

  it("is no state", () => {
    const stream = new one.Stream(new one.GRU({ inputSize: 2, hiddenSize: 2 }));
    expect(() => (stream.state = two.zeros([1, 1, 2]) as never)).toThrow(/StateError|tensor/);
  });

  it("is told by name where it comes from the small entry, and the small entry tells of the whole one", () => {
    expectRefused(() => one.add(one.ones([2]), small.tensor([1, 2]) as never), LIBRARY, INFERENCE);
    expectRefused(() => small.assign(small.tensor([1]), one.ones([1]) as never), INFERENCE, LIBRARY);
    expectRefused(() => new small.Linear(2, 2).forward(one.ones([1, 2]) as never), INFERENCE, LIBRARY);
    const lstm = new small.LSTM({ inputSize: 2, hiddenSize: 2 });
    expectRefused(() => lstm.loadStateDict(new one.LSTM({ inputSize: 2, hiddenSize: 2 }).stateDict() as never), INFERENCE, LIBRARY);
  });

  it("made by a version that does not name itself is refused all the same", () => {
    const old = { storage: { ptr: 64 }, dtype: "float32", shape: [1], strides: [1], offset: 0, size: 1, ptr: 64, isContiguous: true };
    expectRefused(() => one.add(one.ones([1]), old as never), LIBRARY, "another version");
  });
});

it("what is no tensor at all is no operand either", () => {
  for (const [value, kind] of [[null, "null"], [undefined, "undefined"], ["1", "a string"], [true, "a boolean"], [[1], "an Array: wrap it in tensor()"], [{}, "an Object"]] as const) {
    for (const fn of [one.add, one.div, one.less, one.maximum]) {
      expect(() => fn(one.ones([1]), value as never)).toThrow(`expected a tensor, got ${kind}`);
      expect(() => fn(value as never, 1)).toThrow(`expected a tensor, got ${kind}`);
    }
  }
}); // biome-ignore format: a table

describe("float64 in the small entry, whose kernels have none", () => {
  it("is held and loaded from, but refused where something is computed, before anything is allocated", () => {
    const x = small.tensor(Float64Array.of(1 / 3, 2));
    expect(x.dtype).toBe("float64");
    const x2 = small.tensor([[1, 2]], { dtype: "float64" });
    const linear = new small.Linear(2, 1, { bias: false });
    linear.loadStateDict(new Map([["weight", x2]]));
    expect(linear.forward(small.tensor([[3, 4]])).toArray()).toEqual([[11]]);
    const cell = { inputSize: 2, hiddenSize: 2, dtype: "float64" } as const;
    const runs: (() => unknown)[] = [
      () => new small.Linear(2, 2, { dtype: "float64" }),
      () => new small.LSTM(cell),
      () => new small.GRU(cell),
      () => new small.RNN(cell),
      () => linear.forward(x2),
      () => new small.LSTM({ inputSize: 2, hiddenSize: 2 }).forward(small.tensor([[[1, 2]]], { dtype: "float64" })),
    ];
    for (const run of runs.slice(0, 5)) {
      const before = small.memory().liveBytes;
      expect(run, String(run)).toThrow(small.DTypeError);
      expect(small.memory().liveBytes, String(run)).toBe(before);
    }
    for (const run of runs) expect(run, String(run)).toThrow(small.DTypeError);
    expect(runs[0]).toThrow(`expected float32, the only float dtype that ${INFERENCE} computes in, got float64`);
  });

  it("is computed with in the whole library", () => {
    expect(new one.Linear(2, 2, { dtype: "float64" }).forward(one.ones([1, 2], "float64")).dtype).toBe("float64");
  });
});
