import { describe, expect, it } from "vitest";
import { checkNumber, checkOneOf, checkOptions, checkSizes, checkWhole } from "../../src/base/checks.ts";
import { ArgumentError, DTypeError } from "../../src/base/errors.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";

const message = (fn: () => void): string => {
  try {
    fn();
  } catch (e) {
    expect(e).toBeInstanceOf(ArgumentError);
    return (e as Error).message;
  }
  throw new Error("expected an error, got none");
};

describe("checks of arguments", () => {
  it("take what is in range, the bounds included or not", () => {
    expect(() => checkNumber("op", "p", 0, { least: 0, below: 1 })).not.toThrow();
    expect(() => checkNumber("op", "x", -1e300)).not.toThrow();
    expect(() => checkWhole("op", "n", 0)).not.toThrow();
    expect(() => checkSizes("op", { a: 1, b: 7 })).not.toThrow();
    expect(() => checkOneOf("op", "mode", "b", ["a", "b"])).not.toThrow();
  });

  it.each([
    [() => checkNumber("op", "p", 1, { least: 0, below: 1 }), "op: expected p in [0, 1), got 1"],
    [() => checkNumber("op", "p", 0, { above: 0, most: 1 }), "op: expected p in (0, 1], got 0"],
    [() => checkNumber("op", "p", Number.NaN, { above: 0 }), "op: expected p above 0, got NaN"],
    [() => checkNumber("op", "p", Number.POSITIVE_INFINITY, { least: 0 }), "op: expected p of at least 0, got Infinity"],
    [() => checkNumber("op", "p", "1" as unknown as number), 'op: expected p that is finite, got "1"'],
    [() => checkNumber("op", "p", undefined as unknown as number, { below: 3 }), "op: expected p below 3, got undefined"],
    [() => checkWhole("op", "n", 1.5), "op: expected n to be a whole number of at least 0, got 1.5"],
    [() => checkWhole("op", "n", 2 ** 53, { least: 1 }), "op: expected n to be a whole number of at least 1, got 9007199254740992"],
    [() => checkWhole("op", "n", 3n as unknown as number, { least: 0, most: 2 }), "op: expected n to be a whole number in [0, 2], got 3n"],
    [() => checkSizes("op", { good: 1, bad: 0 }), "op: expected bad to be a whole number of at least 1, got 0"],
    [() => checkOneOf("op", "mode", "c", ["a", "b"]), 'op: expected mode to be one of "a", "b", got "c"'],
    [() => checkOneOf("op", "mode", ["a"], ["a", "b"]), 'op: expected mode to be one of "a", "b", got ["a"]'],
  ])("name the argument, what was expected and what came (%#)", (fn, text) => {
    expect(message(fn)).toBe(text);
  });

  it("keep messages short, whatever came", () => {
    expect(message(() => checkOneOf("op", "mode", "x".repeat(1e6), ["a"])).length).toBeLessThan(140);
  });
});

describe("options", () => {
  const KNOWN = ["hiddenSize", "lr"] as const;
  const check = (options: unknown) => () => checkOptions("op", options as { hiddenSize: number; lr?: number }, KNOWN);

  it("have known names; undefined is not given", () => {
    for (const options of [{}, { hiddenSize: 1, lr: undefined }, { hiden: undefined }, Object.create(null), Object.freeze({ lr: 1 })]) {
      expect(check(options)).not.toThrow();
    }
  });

  it("have fields of their own: copies lose those that are inherited", () => {
    class Config {
      get lr(): number {
        return 1;
      }
    }
    for (const options of [Object.create({ lr: 1 }), new Config()]) {
      expect(check(options)).toThrow(DTypeError);
      expect(check(options)).toThrow(/^op: expected options as a plain object, got an? /);
      expect(check({ ...options, lr: options.lr })).not.toThrow();
    }
  });

  it("are true or false, and generators, where their names say so everywhere, except where a caller checks them", () => {
    const kinds =
      (options: object, own: readonly ("bias" | "generator")[] = []) =>
      () =>
        checkOptions("op", options as { bias?: unknown; generator?: unknown }, ["bias", "generator"], own);
    for (const bias of ["false", 0, null, {}]) {
      expect(kinds({ bias })).toThrow(new ArgumentError(`op: expected bias to be true or false, got ${JSON.stringify(bias)}`));
      expect(kinds({ bias }, ["bias"])).not.toThrow();
    }
    for (const generator of [3, null, "x", []]) {
      expect(kinds({ generator })).toThrow(new DTypeError(`op: expected generator to be a Generator, got ${JSON.stringify(generator)}`));
    }
    expect(kinds({ bias: false, generator: new Generator(1) })).not.toThrow();
    expect(kinds({ bias: undefined, generator: undefined })).not.toThrow();
  });

  it.each([
    [{ hiden_size: 1 }, 'op: expected options among hiddenSize, lr, got "hiden_size": did you mean hiddenSize?'],
    [{ LR: null }, 'op: expected options among hiddenSize, lr, got "LR": did you mean lr?'],
    [{ other: 1 }, 'op: expected options among hiddenSize, lr, got "other"'],
  ])("of another name are refused, with the one that was meant (%#)", (options, text) => {
    expect(message(check(options))).toBe(text);
  });

  it.each([
    [null, "null"],
    [3, "3"],
    ["lr", '"lr"'],
    [[], "[]"],
    [new Map([["lr", 1]]), "a Map"],
    [Float64Array.of(1), "a Float64Array"],
    [tensor([1]), "a Tensor"],
  ])("are no number, text, list or tensor (%#)", (options, shown) => {
    const error = thrown(check(options)) as Error;
    expect(error.name).toBe("DTypeError");
    expect(error.message).toMatch(/^op: expected options as an? (plain )?object, got /);
    expect(error.message).toContain(shown);
  });
});
