import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { onnxChecks } from "./onnx-cases.ts";
import { conformanceFolder } from "./runner.ts";

const folder = conformanceFolder(fileURLToPath(new URL("../..", import.meta.url)));

if (folder === null) {
  console.warn("conformance: no data (CONFORMANCE_DIR, or shared/conformance beside the repository): ONNX's cases are skipped");
  test.skip("models and operator tests of ONNX: no data", () => {});
} else {
  const checks = onnxChecks(folder);
  describe.each([...new Set(checks.map((c) => c.group))])("%s", (group) => {
    for (const check of checks.filter((c) => c.group === group)) test(check.name, () => expect(check.run()).toEqual([]));
  });
}
