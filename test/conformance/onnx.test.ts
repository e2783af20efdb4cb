import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { onnxChecks } from "./onnx-cases.ts";
import { conformanceFolder } from "./runner.ts";

const checks = onnxChecks(conformanceFolder(fileURLToPath(new URL("../..", import.meta.url))));
describe.each([...new Set(checks.map((c) => c.group))])("%s", (group) => {
  for (const check of checks.filter((c) => c.group === group)) test(check.name, () => expect(check.run()).toEqual([]));
});
