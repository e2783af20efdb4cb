/** What refuses an option has drawn nothing by then: a generator that has moved would change all that is made after. */

import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { Generator } from "../../src/tensor/random.ts";
import { every, type Make } from "../recurrence/every.ts";
import { thrown } from "../thrown.ts";

const WRONG: readonly unknown[] = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, "none of these", null, [], [-1], {}];

/** The names of options in all lists of the sources. */
const names = new Set(
  readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => [
      ...readFileSync(`src/${file}`, "utf8").matchAll(
        /(?:checkOptions|optionsOf)\([^[\]]*\[([^\]]*)\]|const [A-Z_]+ = \[([^\]]*)\] as const/g,
      ),
    ])
    .flatMap(([, inCall, ofConstant]) => [...(inCall ?? ofConstant ?? "").matchAll(/"(\w+)"/g)].map((match) => match[1] as string)),
);

it("the sources name their options", () => {
  expect([...names]).toEqual(expect.arrayContaining(["hiddenSize", "dropout", "forgetBias", "periods", "activation"]));
});

/** What an option of this value is answered with, and whether the generator has moved by then. */
function attempt(make: Make, option: string, value: unknown): { readonly error: unknown; readonly moved: boolean } {
  const generator = new Generator(1);
  const error = thrown(() => make({ generator, [option]: value }));
  return { error, moved: generator.state.counter > 0 };
}

it.each(Object.keys(every))("%s draws nothing before it refuses", (name) => {
  const make = every[name] as Make;
  const known = [...names].filter((option) => !String(attempt(make, option, null).error).includes(`got "${option}"`));
  const found: string[] = [];
  for (const option of known.filter((o) => o !== "generator" && o !== "dtype")) {
    for (const wrong of WRONG) {
      const { error, moved } = attempt(make, option, wrong);
      if (error !== null && moved) found.push(`${option} ${JSON.stringify(wrong)}: ${error}`);
    }
  }
  expect(found).toEqual([]);
});
