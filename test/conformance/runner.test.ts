/** The runner itself: that it finds what is wrong. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { serialize } from "../../src/io/safetensors.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { mismatch, type Precision, relativeError } from "./compare.ts";
import { type Case, type Group, listChecks, type Named } from "./runner.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

const f64 = (...values: number[]) => tensor(values, { dtype: "float64" });

/** y = a·b, with everything a manifest says about it. */
const PRODUCT: Readonly<Record<string, Tensor>> = {
  "in.a": f64(1, 2),
  "in.b": f64(3, 5),
  "out.y": f64(3, 10),
  "cot.y": f64(1, -1),
  "grad.a": f64(3, -5),
  "grad.b": f64(1, -2),
};

/** What a folder with one case gives, its tensors changed or (null) missing from the file. */
function problems(compute: Group, changed: Readonly<Record<string, Tensor | null>> = {}): string[] {
  const folder = mkdtempSync(join(tmpdir(), "conformance-"));
  folders.push(folder);
  const tensors = { ...PRODUCT, ...changed };
  const spec: Case = { name: "product", precisions: ["f64"], tensors: Object.keys(tensors) };
  writeFileSync(join(folder, "made.json"), JSON.stringify({ cases: [spec] }));
  const stored = Object.entries(tensors).filter((entry): entry is [string, Tensor] => entry[1] !== null);
  writeFileSync(join(folder, "made.f64.safetensors"), serialize(new Map(stored.map(([name, t]) => [`product/${name}`, t]))));
  const checks = listChecks(folder, { made: compute });
  expect(checks.map(({ group, name, precision }) => [group, name, precision])).toEqual([["made", "product", "f64"]]);
  const found = checks.flatMap((check) => check.run());
  expect(checks.flatMap((check) => check.run())).toEqual(found);
  return found;
}

const product: Group = (_spec: Case, { a, b }: Named) => ({ outputs: [{ y: mul(a as Tensor, b as Tensor) }] });

describe("a case", () => {
  test("passes when values and gradients agree", () => {
    expect(problems(product)).toEqual([]);
  });

  test.each<[string, Record<string, Tensor | null>, string]>([
    ["a value is off", { "out.y": f64(3, 10.00001) }, "out.y"],
    ["a value is not a number", { "out.y": f64(3, Number.NaN) }, "out.y"],
    ["a shape is another", { "out.y": tensor([3, 10], { shape: [2, 1], dtype: "float64" }) }, "out.y"],
    ["a dtype is another", { "out.y": tensor([3, 10]) }, "out.y"],
    ["a gradient is off", { "grad.b": f64(1, -2.0001) }, "grad.b"],
    ["a gradient is of no input", { "grad.c": f64(1) }, "grad.c"],
    ["an output is not computed", { "out.z": f64(1) }, "out.z"],
    ["a tensor is missing from the file", { "in.b": null }, "in.b"],
  ])("fails when %s", (_, changed, named) => {
    expect(problems(product, changed)).toEqual([expect.stringContaining(named)]);
  });

  test("fails when it cannot be run", () => {
    const unknown: Group = () => {
      throw new Error("expected a kind this runner knows");
    };
    expect(problems(unknown)).toEqual(["Error: expected a kind this runner knows"]);
  });

  test("fails when an output is computed that nobody stored", () => {
    const more: Group = (_spec: Case, { a, b }: Named) => ({ outputs: [{ y: mul(a as Tensor, b as Tensor), z: a as Tensor }] });
    expect(problems(more)).toEqual([expect.stringContaining("out.z")]);
  });

  test("fails when only one of two ways to an output is right", () => {
    const both: Group = (_spec: Case, { a, b }: Named) => {
      const y = mul(a as Tensor, b as Tensor);
      return { outputs: [{ y }, { y: mul(y.detach(), 2) }] };
    };
    expect(problems(both)).toEqual([expect.stringContaining("out.y")]);
  });
});

describe("a folder", () => {
  function namesIn(manifests: Readonly<Record<string, object>>): string[][] {
    const folder = mkdtempSync(join(tmpdir(), "conformance-"));
    folders.push(folder);
    for (const [name, manifest] of Object.entries(manifests)) writeFileSync(join(folder, `${name}.json`), JSON.stringify(manifest));
    return listChecks(folder, { made: product }).map((check) => [check.group, ...check.run()]);
  }

  test("fails without the manifest of a group, or with an empty one", () => {
    expect(namesIn({})).toEqual([["made", "expected a manifest made.json, got none"]]);
    expect(namesIn({ made: { cases: [] } })).toEqual([["made", "expected cases, got none"]]);
  });

  test("fails with the manifest of a group nobody computes", () => {
    expect(namesIn({ made: { cases: [] }, other: { cases: [] } })[1]).toEqual(["other", "expected a group this runner knows"]);
  });

  test("fails without the tensors", () => {
    const spec = { name: "product", precisions: ["f64", "f32"], tensors: ["in.a"] };
    const found = namesIn({ made: { cases: [spec] } });
    expect(found.length).toBe(2);
    for (const [, problem] of found) expect(problem).toContain("ENOENT");
  });
});

describe("comparison", () => {
  test("divides by the largest value expected, at least 1e-3", () => {
    expect(relativeError([11, 2], [10, 4])).toBe(0.2);
    expect(relativeError([1e-4], [0])).toBe(0.1);
    expect(relativeError([], [])).toBe(0);
  });

  test("infinities match infinities of their sign only", () => {
    const inf = Number.POSITIVE_INFINITY;
    expect(relativeError([inf, -inf, 1], [inf, -inf, 1])).toBe(0);
    for (const wrong of [-inf, 1e308, Number.NaN]) expect(relativeError([wrong], [inf])).toBe(inf);
    expect(relativeError([inf], [1])).toBe(inf);
  });

  test("NaN is never right", () => {
    for (const [a, e] of [
      [Number.NaN, 1],
      [1, Number.NaN],
      [Number.NaN, Number.NaN],
    ] as const) {
      expect(relativeError([a, 2], [e, 2])).toBeNaN();
      expect(mismatch(f64(a, 2), f64(e, 2), "value", "f64")).not.toBeNull();
    }
  });

  test("integers are equal or wrong", () => {
    const int = (...values: number[]) => tensor(values, { dtype: "int32" });
    expect(mismatch(int(1, 2), int(1, 2), "value", "f32")).toBeNull();
    expect(mismatch(int(1, 3), int(1, 2), "value", "f32")).toContain("expected 2 at element 1, got 3");
    expect(mismatch(tensor([1, 2]), int(1, 2), "value", "f32")).toContain("float32");
  });

  test.each<[Precision, number, number]>([
    ["f64", 0.9e-10, 1.1e-10],
    ["f32", 0.9e-5, 1.1e-5],
  ])("holds %s to its limit", (precision, inside, outside) => {
    expect(mismatch(f64(1 + inside), f64(1), "value", precision)).toBeNull();
    expect(mismatch(f64(1 + outside), f64(1), "value", precision)).not.toBeNull();
  });
});
