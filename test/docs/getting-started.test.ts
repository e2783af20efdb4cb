import { readFileSync } from "node:fs";
import { transformSync } from "esbuild";
import { describe, expect, it } from "vitest";
import * as tapeloop from "../../src/index.ts";
import * as onnx from "../../src/onnx/index.ts";

const pageOf = (name: string): string => readFileSync(new URL(`../../docs/${name}`, import.meta.url), "utf8");

/** The names that a page's blocks import, and the blocks as one program. */
function programOf(page: string): { imported: string[]; code: string } {
  const blocks = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string).join("\n");
  const imports = /import \{([^}]*)\} from "tapeloop";/g;
  const imported = [...blocks.matchAll(imports)].flatMap(([, names]) => (names as string).split(",").map((name) => name.trim()));
  return { imported: imported.filter((name) => !name.startsWith("type ")), code: blocks.replace(imports, "") };
}

describe("docs/getting-started.md", () => {
  const { imported, code } = programOf(pageOf("getting-started.md"));

  it("imports what there is, and no more than it uses", () => {
    expect(imported.filter((name) => !(name in tapeloop))).toEqual([]);
    expect(imported.filter((name) => !new RegExp(`\\b${name}\\b`).test(code))).toEqual([]);
  });

  it("is a program that learns what it says", async () => {
    const js = transformSync(code, { loader: "ts", target: "es2022" }).code;
    const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
    const results = "{ loss, picture, right, kept, model, again, test, Stream }";
    const fn = new AsyncFunction("lib", "console", `const { ${imported.join(", ")} } = lib; ${js}\n return ${results};`);
    const { loss, picture, right, kept, model, again, test } = await fn(tapeloop, { log: () => {} });
    expect(loss).toBeLessThan(0.1);
    expect(picture).toContain("<svg");
    expect(test.length).toBe(12);
    expect(right).toBe(1);
    const two = new tapeloop.Stream(model.lstm);
    two.fromBytes(kept);
    expect(two.toBytes()).toEqual(kept);
    expect(Array.from(again.lstm.stateDict().get("weight_ih_l0").data())).toEqual(
      Array.from(model.lstm.stateDict().get("weight_ih_l0").data()),
    );
  });
});

describe("docs/coming-from.md", () => {
  it("names what there is", () => {
    const rows = pageOf("coming-from.md")
      .split("\n")
      .filter((line) => line.startsWith("|") && !line.startsWith("|---"))
      .map((line) => line.split("|")[2] as string);
    const code = rows.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, text]) => text as string));
    // What is called or made: `add(`, `new LSTM(`, or a name alone.
    const names = code.flatMap((text) =>
      [...text.matchAll(/(?<![.\w])(?:new )?([A-Za-z]\w*)(?=\()|^(\w+)$/g)].map((m) => (m[1] ?? m[2]) as string),
    );
    const known = { ...tapeloop, ...onnx };
    const words = new Set(["lengths", "batchFirst", "forward", "String"]);
    expect(names.length).toBeGreaterThan(60);
    expect([...new Set(names)].filter((name) => !(name in known) && !words.has(name))).toEqual([]);
  });
});
