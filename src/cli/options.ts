/** The command line's options. */

import { type ParseArgsConfig, parseArgs } from "node:util";
import { UserError } from "./errors.ts";

export const USAGE = `Usage: npm start -- [options]              trains a character model and continues a prompt
       npm start -- generate [options]    continues a prompt with a trained model
       tapeloop info FILE                 lists the tensors of a model file
       tapeloop convert FILE OUT          writes the tensors of a file as safetensors
       tapeloop check FILE OTHER          compares two files, tensor by tensor; or runs an ONNX model on the inputs
                                          that OTHER holds by name, and compares its outputs with those there

Training
  --text FILE       text to learn from, UTF-8 (default: Moby Dick)
  --steps N         training steps (default 7000)
  --minutes M       ends training after M minutes (default 2.5, without end if --steps is given)
  --hidden N        units of the LSTM (default 192)
  --seed N          seed of weights and samples (default 1)
  --out DIR         folder of model, checkpoint and loss curve (default runs)
  --resume          goes on from the checkpoint in DIR
  --prompt TEXT     what the trained model continues

Generating
  --model FILE      model file (default runs/model.safetensors)
  --prompt TEXT     text to continue
  --length N        characters to write (default 400)
  --temperature T   0: always the likeliest character; 1: as learned (default 0.7)
  --seed N          seed of the sample (default 1)

Model files
  FILE              safetensors; .pt or .pth of torch.save; model.json of TensorFlow.js, its shards beside it; .onnx
  --float16         convert: floats in half the bytes
  --tolerance E     check: largest difference that passes (default 0); beyond it the exit code is 1

  --help            shows this text
`;

export const DEFAULT_PROMPT = "It was a dark night, and the captain";

export interface TrainOptions {
  readonly text: string | null;
  readonly steps: number | null;
  readonly minutes: number | null;
  readonly hidden: number | null;
  readonly seed: number | null;
  readonly out: string;
  readonly resume: boolean;
  readonly prompt: string;
}

export interface GenerateOptions {
  readonly model: string;
  readonly prompt: string;
  readonly length: number;
  readonly temperature: number;
  readonly seed: number;
}

export interface ConvertOptions {
  readonly source: string;
  readonly target: string;
  readonly float16: boolean;
}

export interface CheckOptions {
  readonly file: string;
  readonly reference: string;
  readonly tolerance: number;
}

type Values = Readonly<Record<string, string | boolean | undefined>>;
type Option = NonNullable<ParseArgsConfig["options"]>[string];

const text: Option = { type: "string" };
const flag: Option = { type: "boolean" };

interface Parsed {
  readonly values: Values;
  /** What is no option. */
  readonly positionals: readonly string[];
}

/** The options' values by name. @throws UserError for an option that does not exist or lacks its value */
function read(args: readonly string[], options: Record<string, Option>): Values {
  return parsed(args, options, false).values;
}

function parsed(args: readonly string[], options: Record<string, Option>, allowPositionals: boolean): Parsed {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals }) as Parsed;
  } catch (error) {
    const reason = (error as Error).message.split(/\.\s|\n/)[0] as string;
    throw new UserError(`${reason.replace(/\.$/, "")} (--help lists the options)`);
  }
}

function string(values: Values, name: string): string | null {
  return (values[name] as string | undefined) ?? null;
}

function numberIn(values: Values, name: string, least: number, most: number, whole: boolean): number | null {
  const given = string(values, name);
  if (given === null) return null;
  const value = Number(given);
  const sound = given.trim() !== "" && value >= least && value <= most && (!whole || Number.isInteger(value));
  if (!sound) throw new UserError(`--${name}: expected a ${whole ? "whole " : ""}number from ${least} to ${most}, got "${given}"`);
  return value;
}

/** @returns null when help is asked for */
export function trainOptions(args: readonly string[]): TrainOptions | null {
  const values = read(args, {
    ...{ text, steps: text, minutes: text, hidden: text, seed: text, out: text, prompt: text },
    ...{ resume: flag, help: flag },
  });
  if (values.help) return null;
  return {
    text: string(values, "text"),
    steps: numberIn(values, "steps", 1, 1e9, true),
    minutes: numberIn(values, "minutes", 0.01, 1e6, false),
    hidden: numberIn(values, "hidden", 1, 4096, true),
    seed: numberIn(values, "seed", 0, Number.MAX_SAFE_INTEGER, true),
    out: string(values, "out") ?? "runs",
    resume: values.resume === true,
    prompt: string(values, "prompt") ?? DEFAULT_PROMPT,
  };
}

/** @returns null when help is asked for */
export function generateOptions(args: readonly string[]): GenerateOptions | null {
  const values = read(args, { model: text, prompt: text, length: text, temperature: text, seed: text, help: flag });
  if (values.help) return null;
  return {
    model: string(values, "model") ?? "runs/model.safetensors",
    prompt: string(values, "prompt") ?? DEFAULT_PROMPT,
    length: numberIn(values, "length", 0, 1e9, true) ?? 400,
    temperature: numberIn(values, "temperature", 0, 100, false) ?? 0.7,
    seed: numberIn(values, "seed", 0, Number.MAX_SAFE_INTEGER, true) ?? 1,
  };
}

/** As many files as names for them. @throws UserError */
function files(command: string, positionals: readonly string[], names: readonly string[]): string[] {
  if (positionals.length === names.length) return [...positionals];
  throw new UserError(
    `${command}: expected ${names.join(" and ")}, got ${positionals.length === 0 ? "none" : positionals.join(" ")} (--help lists the options)`,
  );
}

/** @returns null when help is asked for */
export function infoOptions(args: readonly string[]): string | null {
  const { values, positionals } = parsed(args, { help: flag }, true);
  return values.help ? null : (files("info", positionals, ["FILE"])[0] as string);
}

/** @returns null when help is asked for */
export function convertOptions(args: readonly string[]): ConvertOptions | null {
  const { values, positionals } = parsed(args, { float16: flag, help: flag }, true);
  if (values.help) return null;
  const [source, target] = files("convert", positionals, ["FILE", "OUT"]) as [string, string];
  return { source, target, float16: values.float16 === true };
}

/** @returns null when help is asked for */
export function checkOptions(args: readonly string[]): CheckOptions | null {
  const { values, positionals } = parsed(args, { tolerance: text, help: flag }, true);
  if (values.help) return null;
  const [file, reference] = files("check", positionals, ["FILE", "OTHER"]) as [string, string];
  return { file, reference, tolerance: numberIn(values, "tolerance", 0, 1e300, false) ?? 0 };
}
