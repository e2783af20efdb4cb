/** The reference values made with PyTorch: all groups, and their report. */

import { join } from "node:path";
import { losses } from "./losses.ts";
import { ops } from "./operations.ts";
import { optim } from "./optimisers.ts";
import { cells, rnn } from "./recurrent.ts";
import { type Check, listChecks } from "./runner.ts";

/** Every case of a conformance folder in every precision it has. */
export function torchChecks(folder: string): Check[] {
  return listChecks(join(folder, "torch"), { rnn, cells, losses, ops, optim });
}

/** Runs the checks: a line for each failure, the counts at the end. Returns the number of failures. */
export function report(checks: readonly Check[], print: (line: string) => void): number {
  let failed = 0;
  for (const check of checks) {
    const problems = check.run();
    if (problems.length > 0) failed++;
    if (problems.length > 0) print(`${check.group}/${check.name} ${check.precision}: ${problems.join("; ")}`);
  }
  print(`${checks.length - failed} passed, ${failed} failed`);
  return failed;
}
