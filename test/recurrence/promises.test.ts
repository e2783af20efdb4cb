/** What every recurrence promises: its sizes, the form of its state, and that none of the library is left out of the tests of all. */

import { describe, expect, it } from "vitest";
import { noGrad } from "../../src/autodiff/tape.ts";
import type { FloatDType } from "../../src/base/dtype.ts";
import * as cells from "../../src/cells/index.ts";
import * as encoderDecoder from "../../src/encoder-decoder/index.ts";
import * as hierarchies from "../../src/hierarchies/index.ts";
import * as nn from "../../src/nn/index.ts";
import { slice } from "../../src/ops/shape.ts";
import * as recurrences from "../../src/recurrence/index.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import type { State } from "../../src/recurrence/state.ts";
import { Generator } from "../../src/tensor/random.ts";
import { show } from "../../src/tensor/shape.ts";
import { scope, Tensor } from "../../src/tensor/tensor.ts";
import * as wrappers from "../../src/wrappers/index.ts";
import { every } from "./every.ts";

const B = 2;

/** The structure of a state with dtype and shape of each tensor. */
function form(state: State): unknown {
  if (state instanceof Tensor) return `${state.dtype} ${show(state.shape)}`;
  if (Array.isArray(state)) return state.map(form);
  return Object.fromEntries(Object.entries(state).map(([name, part]) => [name, form(part)]));
}

const bidirectional = (r: Recurrence) => r instanceof wrappers.Bidirectional || ("bidirectional" in r && r.bidirectional === true);

describe.each(Object.entries(every))("%s", (_, make) => {
  it.each(["float32", "float64"] as const)("puts out outputSize values a step and keeps the form of its state, %s", (dtype: FloatDType) => {
    scope(() =>
      noGrad(() => {
        const recurrence = make({ dtype, generator: new Generator(3) });
        const start = recurrence.initialState(B);
        const expected = `${dtype} ${show([B, recurrence.outputSize])}`;
        const xs = new Generator(5).uniform([3, B, recurrence.inputSize], -1, 1, dtype);
        const [ys, last] = recurrence.scan(xs);
        expect(form(ys)).toBe(`${dtype} ${show([3, B, recurrence.outputSize])}`);
        expect(form(last)).toEqual(form(start));
        const [single, once] = recurrence.scan(slice(xs, 0, 0, 1), last, { lengths: [1, 0] });
        expect([form(single), form(once)]).toEqual([`${dtype} ${show([1, B, recurrence.outputSize])}`, form(start)]);
        if (bidirectional(recurrence)) return;
        const [y, next] = recurrence.step(new Generator(6).uniform([B, recurrence.inputSize], -1, 1, dtype), start);
        expect([form(y), form(next)]).toEqual([expected, form(start)]);
      }),
    );
  });
});

/** Bases that say what others do, and what asks for a recurrence of one's own. */
const ABSTRACT = ["Cell", "Decoder", "Wrapper"];

it("every recurrence that the library exports is among them", () => {
  const exported = [cells, encoderDecoder, hierarchies, nn, recurrences, wrappers].flatMap((family) =>
    Object.entries(family).filter(
      ([, value]) => typeof value === "function" && "scan" in (value.prototype ?? {}) && "step" in value.prototype,
    ),
  );
  const tested = new Set(Object.values(every).map((make) => make({}).constructor));
  const missing = exported.filter(([name, value]) => !ABSTRACT.includes(name) && !tested.has(value as never)).map(([name]) => name);
  expect(exported.length).toBeGreaterThan(60);
  expect(missing).toEqual([]);
});
