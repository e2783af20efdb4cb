/** The command line: trains a character model, or continues a prompt with one. */

import { UserError } from "./errors.ts";
import { generate } from "./generate.ts";
import { generateOptions, trainOptions, USAGE } from "./options.ts";
import { train } from "./train.ts";

async function run(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  if (command === "generate") {
    const options = generateOptions(rest);
    if (options === null) return help();
    await generate(options, process.stdout);
    return 0;
  }
  const options = trainOptions(command === "train" ? rest : args);
  return options === null ? help() : train(options);
}

function help(): number {
  process.stdout.write(USAGE);
  return 0;
}

/** A reader that stops reading (as `head` does) ends the program without a word. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  process.stderr.write(`tapeloop: ${error.message}\n`);
  process.exitCode = 2;
}
