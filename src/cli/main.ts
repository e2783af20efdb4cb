/** The command line: trains a character model, continues a prompt with one, and looks into model files. */

import { UserError } from "./errors.ts";
import { generate } from "./generate.ts";
import { check, convert, info } from "./models.ts";
import { checkOptions, convertOptions, generateOptions, infoOptions, trainOptions, USAGE } from "./options.ts";
import { train } from "./train.ts";

type Args = readonly string[];

const out = process.stdout;

/** Runs with the options that it reads, or shows the help if they ask for it. The exit code is the number that `run` gives, or 0. */
function command<O>(optionsOf: (args: Args) => O | null, run: (options: O) => Promise<unknown>): (args: Args) => Promise<number> {
  return async (args) => {
    const options = optionsOf(args);
    if (options === null) {
      out.write(USAGE);
      return 0;
    }
    const code = await run(options);
    return typeof code === "number" ? code : 0;
  };
}

const COMMANDS: ReadonlyMap<string, (args: Args) => Promise<number>> = new Map([
  ["train", command(trainOptions, train)],
  ["generate", command(generateOptions, (options) => generate(options, out))],
  ["info", command(infoOptions, (file) => info(file, out))],
  ["convert", command(convertOptions, (options) => convert(options, out))],
  ["check", command(checkOptions, (options) => check(options, out))],
]);

/** Without a command it trains. */
async function run(args: Args): Promise<number> {
  const [name = "", ...rest] = args;
  const named = COMMANDS.get(name);
  return named ? named(rest) : (COMMANDS.get("train") as (args: Args) => Promise<number>)(args);
}

/** Ends the program silently if the reader stops reading, like `head`. */
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
