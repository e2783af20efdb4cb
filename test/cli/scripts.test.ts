/** Every script of the project says how it is called, and refuses what it does not know. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { scripts } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as { scripts: Record<string, string> };
// The last program of a line is the one that gets the arguments; the command line has tests of its own.
const programs = Object.entries(scripts).flatMap(([name, line]) => {
  const program = line.match(/node (\S+\.mjs)$/)?.[1];
  return program === undefined ? [] : [[name, program] as const];
});

function run(program: string, ...args: string[]) {
  return spawnSync(process.execPath, [program, ...args], { cwd: root, encoding: "utf8" });
}

describe("npm run", () => {
  it("has its programs looked at", () => {
    expect(programs.map(([name]) => name)).toEqual(
      expect.arrayContaining(["bench", "build", "check", "conformance", "reproduce", "test", "test:edge", "test:hosts", "ulp"]),
    );
  });

  it.each(programs)("%s --help tells how it is called", (_, program) => {
    const { status, stdout, stderr } = run(program, "--help");
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/^Usage: npm /);
  });

  it.each(programs)("%s refuses an unknown option in one line", (_, program) => {
    const { status, stdout, stderr } = run(program, "--nonsense");
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^[\w-]+: Unknown option '--nonsense' \(--help .*\)\n$/);
  });

  it.each([
    ["bench/main.mjs", "--only=W0", /^bench: --only: expected some of W1, .* got W0 /],
    ["bench/main.mjs", "--seconds=soon", /^bench: --seconds: expected a positive number, got soon /],
    ["bench/main.mjs", "--kernels=fast", /^bench: --kernels: expected some of simd, relaxed, got fast /],
    ["scripts/ulp.mjs", "tan", /^ulp: functions: expected some of exp, .* got tan /],
    ["scripts/test-hosts.mjs", "netscape", /^test-hosts: expected some of Node 20, .* got netscape /],
    ["scripts/test-edge.mjs", "netscape", /^test-edge: expected some of workerd, .* got netscape /],
  ])("%s %s is a wrong call", (program, argument, message) => {
    const { status, stderr } = run(program, argument);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});
