import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { experiments } from "../../reproduce/table.ts";
import * as automata from "../../src/automata/index.ts";
import * as cells from "../../src/cells/index.ts";
import * as decoding from "../../src/decoding/index.ts";
import * as dynamics from "../../src/dynamics/index.ts";
import * as encoderDecoder from "../../src/encoder-decoder/index.ts";
import * as energy from "../../src/energy/index.ts";
import * as grids from "../../src/grids/index.ts";
import * as hierarchies from "../../src/hierarchies/index.ts";
import * as library from "../../src/index.ts";
import * as learning from "../../src/learning/index.ts";
import * as memory from "../../src/memory/index.ts";
import * as models from "../../src/models/index.ts";
import * as physics from "../../src/physics/index.ts";
import * as reservoirs from "../../src/reservoirs/index.ts";
import * as search from "../../src/search/index.ts";
import * as trees from "../../src/trees/index.ts";
import * as wrappers from "../../src/wrappers/index.ts";

const page = readFileSync(new URL("../../docs/choosing.md", import.meta.url), "utf8");
const inCode = [...new Set([...page.matchAll(/`([^`\n]+)`/g)].map((m) => m[1] as string))];

describe("docs/choosing.md", () => {
  it("names experiments that exist", () => {
    const named = inCode.filter((word) => /^[a-z0-9]+(-[a-z0-9]+)+$/.test(word));
    expect(named.length).toBeGreaterThan(20);
    const known = new Set(experiments.map((e) => e.name));
    expect(named.filter((name) => !known.has(name))).toEqual([]);
  });

  it("names systems that exist", () => {
    const named = inCode.filter((word) => /^[A-Z][A-Za-z0-9]+$/.test(word));
    expect(named.length).toBeGreaterThan(20);
    const known = {
      ...library,
      ...cells,
      ...trees,
      ...automata,
      ...wrappers,
      ...encoderDecoder,
      ...grids,
      ...energy,
      ...reservoirs,
      ...hierarchies,
      ...decoding,
      ...dynamics,
      ...learning,
      ...memory,
      ...models,
      ...physics,
      ...search,
    };
    expect(named.filter((name) => !(name in known))).toEqual([]);
  });
});
