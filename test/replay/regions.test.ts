import { describe, expect, it } from "vitest";
import { StateError } from "../../src/base/errors.ts";
import { Program } from "../../src/replay/program.ts";
import { Places, Regions } from "../../src/replay/regions.ts";
import { full, zeros } from "../../src/tensor/create.ts";
import type { Tensor } from "../../src/tensor/tensor.ts";
import { isAddress, mayWrite, targetOf } from "../../src/wasm/calls.ts";
import { call, runKernel } from "../../src/wasm/host.ts";
import * as kernels from "../../src/wasm/kernels.gen.ts";
import { Recording } from "../../src/wasm/recorder.ts";
import * as SLOTS from "../../src/wasm/slots.gen.ts";

const counts = { inputs: 2, carried: 3, fixed: 4, fixedBlocks: 2 };

describe("regions", () => {
  const regions = new Regions(counts);

  it("have a number for each of a kind, and no others", () => {
    const numbers = [
      regions.of("input", 0),
      regions.of("input", 1),
      ...[0, 1, 2].flatMap((i) => [regions.of("state", i), regions.of("next", i), regions.of("stateGradient", i)]),
      ...[0, 1].flatMap((i) => [regions.of("fixed", i), regions.of("inputGradient", i)]),
      ...[0, 1, 2, 3].map((i) => regions.of("fixedGradient", i)),
      ...(["output", "frame", "scratch", "constants", "packed", "packedBack", "history"] as const).map((kind) => regions.of(kind)),
      regions.of("outputGradient"),
      regions.of("outputGradientBefore"),
    ];
    expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: regions.count }, (_, i) => i));
    expect(regions.kindOf(regions.of("packedBack"))).toBe("packedBack");
    expect(regions.nameOf(regions.of("fixedGradient", 3))).toBe("fixedGradient 3");
    expect(() => regions.of("fixed", 2)).toThrow(StateError);
    expect(() => regions.of("input", -1)).toThrow(StateError);
  });
});

describe("a program", () => {
  const regions = new Regions({ inputs: 1, carried: 0, fixed: 0, fixedBlocks: 0 });
  const [x, y] = [zeros([4]), zeros([4])];
  const recording = new Recording(() => {});
  recording.during(() => call(kernels.copyStrided, "int32", 4, 1, 1, 1, 4, 0, 0, 0, 1, 0, 0, 0, 1, x.ptr, y.ptr));
  const extents = new Float64Array(regions.count);
  extents[regions.of("input")] = 16;
  extents[regions.of("output")] = 16;
  const at = new Map([
    [x.ptr, { region: regions.of("input"), offset: 0 }],
    [y.ptr, { region: regions.of("output"), offset: 0 }],
  ]);
  const program = new Program(regions, recording.calls, (ptr) => at.get(ptr) ?? null, extents);
  const placed = (from: Tensor, to: Tensor | null): Places => {
    const places = new Places(regions);
    places.setTensor("input", 0, from);
    if (to !== null) places.setTensor("output", 0, to);
    return places;
  };

  it("runs where its regions are put, and nothing ran while it was recorded", () => {
    expect(Array.from(y.data())).toEqual([0, 0, 0, 0]);
    const [from, to, bound] = [full([4], 3), zeros([4]), zeros([4])];
    program.runOnce(placed(from, to));
    expect(Array.from(to.data())).toEqual([3, 3, 3, 3]);
    program.bind(placed(from, bound))();
    expect(Array.from(bound.data())).toEqual([3, 3, 3, 3]);
    expect([program.names(regions.of("input")), program.names(regions.of("scratch"))]).toEqual([true, false]);
  });

  it.each([
    ["a source", () => placed(zeros([3]), zeros([4])), /16 bytes for input 0 .* got 12/],
    ["a target", () => placed(zeros([4]), zeros([2])), /16 bytes for output 0 .* got 8/],
    ["a target that is nowhere", () => placed(zeros([4]), null), /16 bytes for output 0 .* got 0/],
  ])("is not bound to %s smaller than what it was recorded with", (_, places, message) => {
    for (const use of [(p: Places) => program.load(p), (p: Places) => program.bind(p), (p: Places) => program.runOnce(p)]) {
      expect(() => use(places())).toThrow(StateError);
      expect(() => use(places())).toThrow(message);
    }
  });
});

describe("slots of arguments", () => {
  it("are those of the kernels' own order, with addresses where the kernels have them", () => {
    const table = SLOTS as unknown as Readonly<Record<string, Readonly<Record<string, number>>>>;
    expect(Object.keys(table).sort()).toEqual([...kernels.KERNEL_NAMES].sort());
    for (const slots of Object.values(table)) expect(Object.values(slots)).toEqual(Object.keys(slots).map((_, i) => i));
    const addresses = (name: string) => {
      const id = 2 * kernels.KERNEL_NAMES.indexOf(name);
      return Object.entries(table[name] as object).flatMap(([slot, i]) => (isAddress(id, i) ? [slot] : []));
    };
    expect(addresses("gemm")).toEqual(["a", "b", "c", "bias"]);
    expect(addresses("packWeights")).toEqual(["b", "out"]);
    expect(addresses("elementwise")).toEqual(["a", "b", "c", "y"]);
    expect(addresses("copyStrided")).toEqual(["source", "target"]);
  });

  it("tell what a call writes; a kernel of which that is not known may write to every address", () => {
    const [from, to] = [full([2], 1), zeros([2])];
    const recording = new Recording(() => {});
    recording.during(() => {
      call(kernels.sumAxis, "float32", 1, 2, 1, from.ptr, to.ptr);
      call(kernels.softmaxRows, "float32", 1, 2, from.ptr, to.ptr);
    });
    const [known, unknown] = recording.calls as [{ id: number; args: number[] }, { id: number; args: number[] }];
    expect([targetOf(known), targetOf(unknown)]).toEqual([to.ptr, undefined]);
    expect([from, to].map((t) => mayWrite(known, (ptr) => ptr === t.ptr))).toEqual([false, true]);
    expect([from, to].map((t) => mayWrite(unknown, (ptr) => ptr === t.ptr))).toEqual([true, true]);
    runKernel(known.id, known.args);
    expect(to.data()[0]).toBe(2);
  });
});
