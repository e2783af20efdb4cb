import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { int8Run, shortRuns } from "./program.js";

const expected = JSON.parse(readFileSync(new URL("./expected.json", import.meta.url), "utf8"));

// The relaxed kernels promise no bits.
it.skipIf(process.env.TAPELOOP_KERNELS === "relaxed")("trains to the same bits as every host", async () => {
  expect(await shortRuns()).toEqual(expected.short);
});

it.skipIf(process.env.TAPELOOP_KERNELS === "relaxed")("infers with int8 weights to the same bits as every host", async () => {
  expect(await int8Run()).toBe(expected.int8);
});
