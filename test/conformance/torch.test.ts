import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { conformanceFolder } from "./runner.ts";
import { torchChecks } from "./torch.ts";

const folder = conformanceFolder(fileURLToPath(new URL("../..", import.meta.url)));

if (folder === null) {
  console.warn(
    "conformance: no data (CONFORMANCE_DIR, or shared/conformance beside the repository): the comparison with PyTorch is skipped",
  );
  test.skip("values and gradients of PyTorch: no data", () => {});
} else {
  const checks = torchChecks(folder);
  describe.each([...new Set(checks.map((c) => c.group))])("%s", (group) => {
    for (const check of checks.filter((c) => c.group === group)) {
      test(`${check.name} ${check.precision}`, () => expect(check.run()).toEqual([]));
    }
  });
}
