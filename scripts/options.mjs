// What every script says to `--help` (status 0) and to a call that is wrong (status 2).

import { parseArgs } from "node:util";

/** Ends a script that was called wrongly. */
export function refuse(script, message) {
  process.stderr.write(`${script}: ${message} (--help shows how it is called)\n`);
  process.exit(2);
}

/**
 * A script's options by name, and its other arguments as `names`. Ends the script for `--help` and for what does not exist.
 * @param script its name
 * @param usage what `--help` prints
 * @param options as for `parseArgs`
 * @param named whether other arguments are taken
 */
export function readOptions(script, usage, options = {}, { named = false } = {}) {
  try {
    const { values, positionals } = parseArgs({ options: { ...options, help: { type: "boolean" } }, allowPositionals: named });
    if (!values.help) return { ...values, names: positionals };
  } catch (error) {
    refuse(script, error.message.split(/\.\s|\n/)[0].replace(/\.$/, ""));
  }
  process.stdout.write(usage);
  process.exit(0);
}

/** Ends the script unless every name is one of those there are. */
export function checkNames(script, what, names, known) {
  for (const name of names) if (!known.includes(name)) refuse(script, `${what}: expected some of ${known.join(", ")}, got ${name}`);
}
