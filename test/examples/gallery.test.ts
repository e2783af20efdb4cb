import { existsSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { storedWeights } from "../../examples/shared/command.ts";
import type { Result, Run } from "../../examples/shared/example.ts";
// @ts-expect-error: a script has no declarations
import { programs } from "../../scripts/examples.mjs";

const examples = fileURLToPath(new URL("../../examples/", import.meta.url));

function expectWhole({ figures, gates, passed, data, pictures }: Result): void {
  expect(new Set(figures.map(({ of }) => of)).size).toBeGreaterThan(1);
  for (const { metric, of, value, interval = [value, value] } of figures) {
    expect(Number.isFinite(value), `${metric} of ${of} is ${value}`).toBe(true);
    // The interval of a bootstrap need not hold the value itself, but it is one.
    expect(interval[0] <= interval[1], `${metric} of ${of} lies in ${interval}`).toBe(true);
  }
  expect(gates.length).toBeGreaterThan(0);
  expect(passed).toBe(gates.every((gate) => gate.passed));
  expect(data).not.toBe("");
  expect(Object.keys(pictures).length).toBeGreaterThan(0);
  for (const [name, picture] of Object.entries(pictures)) {
    expect(picture.length, name).toBeGreaterThan(200);
    if (name.endsWith(".svg")) expect(picture, name).toMatch(/^<svg[\s\S]*<\/svg>\n?$/);
    expect(String(picture), name).not.toMatch(/"NaN|NaN"/);
  }
}

const names: readonly string[] = await programs();

it("finds programs, each with its number", () => {
  for (const name of names) expect(existsSync(`${examples}${name}/main.ts`), name).toBe(true);
  expect(new Set(names.map((name) => name.slice(0, 2))).size).toBe(names.length);
});

describe.each(names)("examples/%s", { timeout: 300_000 }, (name) => {
  const folder = `${examples}${name}`;
  const program = async (): Promise<Run> => (await import(`${folder}/main.ts`)).run;

  it("runs in its short form, and again to the same figures", async () => {
    const run = await program();
    const progress: number[] = [];
    const result = await run({ quick: true, seed: 1, progress: ({ step }) => progress.push(step) });
    expectWhole(result);
    expect(progress.length).toBeGreaterThan(0);
    expect((await run({ quick: true, seed: 1 })).figures).toEqual(result.figures);
  });

  it("wins with its stored weights", async () => {
    expect(statSync(`${folder}/weights.safetensors`).size).toBeLessThanOrEqual(200_000);
    const result = await (await program())({ load: storedWeights(folder) });
    expectWhole(result);
    expect(result.gates.filter(({ passed }) => !passed)).toEqual([]);
  });

  it("has a page that names its command and the licence of its data", () => {
    expect(existsSync(`${folder}/README.md`)).toBe(true);
    const page = readFileSync(`${folder}/README.md`, "utf8");
    expect(page).toContain(`npm run example -- ${name}`);
    expect(page).toMatch(/licence|generated/i);
  });
});
