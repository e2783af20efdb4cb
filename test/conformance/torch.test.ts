import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { conformanceFolder } from "./runner.ts";
import { torchChecks } from "./torch.ts";

const checks = torchChecks(conformanceFolder(fileURLToPath(new URL("../..", import.meta.url))));
describe.each([...new Set(checks.map((c) => c.group))])("%s", (group) => {
  for (const check of checks.filter((c) => c.group === group)) {
    test(`${check.name} ${check.precision}`, () => expect(check.run()).toEqual([]));
  }
});
