/** Options of a scan are checked by every recurrence, before anything is read of them. */

import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import type { ScanOptions } from "../../src/recurrence/recurrence.ts";
import { Generator } from "../../src/tensor/random.ts";
import { scope } from "../../src/tensor/tensor.ts";
import { every } from "./every.ts";

describe.each(Object.entries(every))("%s", (_, make) => {
  it.each([
    ["null", null, DTypeError],
    ["a number", 3, DTypeError],
    ["a text", "x", DTypeError],
    ["an unknown name", { length: [2] }, ArgumentError],
  ] as const)("refuses %s", (_name, options, error) => {
    scope(() => {
      const recurrence = make({ generator: new Generator(3) });
      const xs = new Generator(4).uniform([2, 1, recurrence.inputSize], 0, 1);
      const run = () => recurrence.scan(xs, undefined, options as unknown as ScanOptions);
      expect(run).toThrow(error);
      expect(run).toThrow(/^scan: /);
    });
  });
});
