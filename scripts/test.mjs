// The whole test suite, on every build of the kernels that this Node accepts; ends with `N passed, N failed`.

import { spawnSync } from "node:child_process";
import { readFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildKernels } from "./build-kernels.mjs";
import { readOptions } from "./options.mjs";

const USAGE = `Usage: npm test -- [FILTER ...]   the test suite, or the files whose paths have one of these in them, on every
                                  build of the kernels that this Node accepts

Ends with "N passed, N failed".
`;
const { names: filters } = readOptions("test", USAGE, {}, { named: true });

const root = fileURLToPath(new URL("..", import.meta.url));
const vitest = join(dirname(createRequire(import.meta.url).resolve("vitest/package.json")), "vitest.mjs");

/** Runs vitest on one build of the kernels and returns its counts. */
async function run(kernels) {
  console.log(`\n== ${kernels} kernels ==`);
  const report = join(root, "build", `test-${kernels}.json`);
  await rm(report, { force: true });
  const args = [vitest, "run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...filters];
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit", env: { ...process.env, TAPELOOP_KERNELS: kernels } });
  const text = await readFile(report, "utf8").catch(() => null);
  if (text === null) return { passed: 0, failed: 1, skipped: 0 };
  const { numPassedTests, numFailedTests, numPendingTests, numFailedTestSuites } = JSON.parse(text);
  // A suite that does not even load fails without a failed test of its own.
  const failed = Math.max(numFailedTests, numFailedTestSuites, status === 0 ? 0 : 1);
  return { passed: numPassedTests, failed, skipped: numPendingTests };
}

await buildKernels();
const total = await run("simd");
if (WebAssembly.validate(await readFile(join(root, "build/relaxed.wasm")))) {
  const relaxed = await run("relaxed");
  for (const key of Object.keys(total)) total[key] += relaxed[key];
} else {
  console.log(`\nrelaxed kernels: skipped, Node ${process.versions.node} does not accept relaxed SIMD (Node 21 and later do)`);
}
console.log(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
