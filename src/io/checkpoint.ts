/** Checkpoints: everything a run needs to continue, in one safetensors file with a checksum. */

import { checkObject, isRecord } from "../base/checks.ts";
import { ArgumentError, FormatError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import type { Cursor } from "../data/batches.ts";
import type { EMAState } from "../optim/ema.ts";
import type { OptimizerState } from "../optim/optimizer.ts";
import { type State, stateTensors } from "../recurrence/state.ts";
import { Generator } from "../tensor/random.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { parseJson } from "./json.ts";
import { parse } from "./safetensors.ts";
import { checkSeal, serializeSealed } from "./sealed.ts";

/** Plain data, as JSON can write it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

/** What a checkpoint holds. */
export interface Checkpoint {
  /** Steps done. */
  readonly step: number;
  readonly model: ReadonlyMap<string, Tensor>;
  readonly optimizer: OptimizerState;
  /** Weights of the best evaluation so far; empty when none were kept. */
  readonly best: ReadonlyMap<string, Tensor>;
  /** Averages of the parameters, where they are kept. */
  readonly averages?: EMAState | null;
  /** What a recurrent model carries from batch to batch. */
  readonly state: State | null;
  /** Where the next batch comes from. */
  readonly cursor: Cursor | null;
  /** What random numbers come from: the training loop's, the default one, those of the model. */
  readonly generators: readonly Generator[];
  /** Plain data: the training loop's counters. */
  readonly progress: Json;
  /** Plain data of the caller. */
  readonly extra: Json;
}

const FORMAT = "tapeloop checkpoint 2";
const METADATA = ["format", "run", "extra"] as const;
const GROUPS = ["model", "optimizer", "best", "averages", "state"] as const;

function fail(expected: string, got: unknown): never {
  throw new FormatError(`checkpoint: expected ${expected}, got ${quote(got)}`);
}

/** A state with each tensor replaced by its number, in order. */
function structureOf(state: State, next: () => number): Json {
  if ("shape" in state && "storage" in state) return next();
  if (Array.isArray(state)) return state.map((part) => structureOf(part, next));
  return Object.fromEntries(Object.entries(state).map(([name, part]) => [name, structureOf(part as State, next)]));
}

/** Deeper than any model nests its state. */
export const DEEPEST_STATE = 64;

/** The state of a structure. @throws FormatError for anything `structureOf` cannot have made of these tensors, all of them */
function stateOf(structure: unknown, tensors: ReadonlyMap<string, Tensor>): State {
  let count = 0;
  const build = (part: unknown, depth: number): State => {
    if (depth > DEEPEST_STATE) fail(`a state nested at most ${DEEPEST_STATE} deep`, structure);
    if (typeof part === "number") {
      const t = part === count++ ? tensors.get(String(part)) : undefined;
      return t ?? fail(`tensor ${count - 1} of the state`, part);
    }
    if (Array.isArray(part)) return part.map((inner) => build(inner, depth + 1));
    if (!isRecord(part)) fail("the structure of a state", part);
    return Object.fromEntries(Object.entries(part).map(([name, inner]) => [name, build(inner, depth + 1)]));
  };
  const state = build(structure, 0);
  if (count !== tensors.size) fail(`a state of all its ${tensors.size} tensors`, structure);
  return state;
}

/**
 * Writes a checkpoint; the same run in the same state gives the same bytes.
 * @throws ArgumentError for `extra` that is not plain data: JSON without numbers that are not finite
 */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  checkObject("encodeCheckpoint", "a checkpoint", checkpoint);
  checkObject("encodeCheckpoint", "optimizer", checkpoint.optimizer);
  const { step, model, optimizer, best, averages = null, state, cursor, generators, progress, extra } = checkpoint;
  let count = 0;
  const run = {
    step,
    optimizer: { kind: optimizer.kind, groups: optimizer.groups, numbers: optimizer.numbers },
    state: state === null ? null : structureOf(state, () => count++),
    cursor,
    generators: generators.map((g) => Array.from(g.toBytes())),
    progress,
    ...(averages !== null && { updates: averages.updates }),
  };
  const groups: Record<(typeof GROUPS)[number], Iterable<[string | number, Tensor]>> = {
    model,
    optimizer: Object.entries(optimizer.tensors),
    best,
    averages: averages === null ? [] : averages.averages.entries(),
    state: state === null ? [] : stateTensors(state).entries(),
  };
  const tensors = GROUPS.flatMap((group) => Array.from(groups[group], ([name, t]): [string, Tensor] => [`${group}.${name}`, t]));
  return serializeSealed(new Map(tensors), { format: FORMAT, run: JSON.stringify(run), extra: extraText(extra) });
}

/** The caller's own data, as readable text. */
function extraText(extra: Json): string {
  try {
    const text = JSON.stringify(extra, (_, value) => {
      if (["bigint", "function", "symbol"].includes(typeof value) || (typeof value === "number" && !Number.isFinite(value))) {
        throw new ArgumentError(`checkpoint: expected plain data as extra, got ${quote(value)}`);
      }
      return value;
    });
    parseJson("checkpoint", "extra", text ?? "null");
    return text ?? "null";
  } catch (cause) {
    if (cause instanceof ArgumentError) throw cause;
    const [reason = ""] = (cause as Error).message.split("\n");
    throw new ArgumentError(`checkpoint: expected plain data as extra, got ${quote(extra)} (${shorten(reason)})`, { cause });
  }
}

/**
 * Reads a checkpoint; nothing but the file is looked at, so whether it fits a model is for `loadStateDict` to say.
 * @throws FormatError when the file is damaged or is no checkpoint
 */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  return scope(() => {
    const { tensors, unreadable, metadata } = parse(bytes);
    if (unreadable.size > 0) fail("tensors that can be read", [...unreadable.keys()]);
    if (metadata.format !== FORMAT) fail(`format "${FORMAT}"`, metadata.format);
    checkSeal("checkpoint", bytes, metadata, METADATA);
    const run = parseRun(metadata.run);
    const groups = groupsOf(tensors);
    const group = (name: (typeof GROUPS)[number]) => groups.get(name) as Map<string, Tensor>;
    return {
      step: Number.isSafeInteger(run.step) && (run.step as number) >= 0 ? (run.step as number) : fail("a whole step", run.step),
      model: group("model"),
      optimizer: optimizerOf(run.optimizer, group("optimizer")),
      best: group("best"),
      averages: averagesOf(run.updates, group("averages")),
      state: carriedOf(run.state, group("state")),
      cursor: run.cursor === null ? null : cursorOf(run.cursor),
      generators: Array.isArray(run.generators) ? run.generators.map(generatorOf) : fail("a list of generators", run.generators),
      progress: (run.progress ?? null) as Json,
      extra: parseJson("checkpoint", "extra", metadata.extra ?? "") as Json,
    };
  });
}

function parseRun(text: string | undefined): Readonly<Record<string, unknown>> {
  const run = parseJson("checkpoint", "the run", text ?? "");
  return isRecord(run) ? run : fail("the run as an object", run);
}

/** The carried state, if there is one. @throws FormatError also for tensors of a state that there is not */
function carriedOf(structure: unknown, tensors: ReadonlyMap<string, Tensor>): State | null {
  if (structure !== null) return stateOf(structure, tensors);
  return tensors.size === 0 ? null : fail("no tensors of a state that is null", [...tensors.keys()]);
}

/** The averages, if there are any. @throws FormatError for tensors without a number of updates, or others than 0, 1, … */
function averagesOf(updates: unknown, tensors: ReadonlyMap<string, Tensor>): EMAState | null {
  if (updates === undefined) return tensors.size === 0 ? null : fail("no averages where there are no updates", [...tensors.keys()]);
  if (!(Number.isSafeInteger(updates) && (updates as number) >= 0)) fail("a whole number of updates", updates);
  const averages = Array.from({ length: tensors.size }, (_, i) => tensors.get(String(i)) ?? fail(`average ${i}`, [...tensors.keys()]));
  return { updates: updates as number, averages };
}

/** `model.head.weight` → model: head.weight. */
function groupsOf(tensors: ReadonlyMap<string, Tensor>): Map<string, Map<string, Tensor>> {
  const groups = new Map<string, Map<string, Tensor>>(GROUPS.map((name) => [name, new Map()]));
  for (const [name, t] of tensors) {
    const dot = name.indexOf(".");
    const group = groups.get(name.slice(0, Math.max(0, dot))) ?? fail(`tensors of ${[...groups.keys()].join(", ")}`, name);
    group.set(name.slice(dot + 1), t);
  }
  return groups;
}

function cursorOf(value: unknown): Cursor {
  if (!isRecord(value) || !Object.values(value).every((v) => typeof v === "number")) fail("a cursor of numbers", value);
  return value as Cursor;
}

function optimizerOf(value: unknown, tensors: ReadonlyMap<string, Tensor>): OptimizerState {
  if (!isRecord(value)) fail("the optimiser's state", value);
  const { kind, groups, numbers } = value;
  if (typeof kind !== "string" || !Array.isArray(groups) || !groups.every(isRecord) || !isRecord(numbers)) {
    fail("kind, groups and numbers of an optimiser", value);
  }
  if (!Object.values(numbers).every((n) => typeof n === "number")) fail("an optimiser's numbers", numbers);
  return { kind, groups, numbers: numbers as Record<string, number>, tensors: Object.fromEntries(tensors) };
}

function generatorOf(value: unknown): Generator {
  if (!Array.isArray(value) || !value.every((b) => Number.isInteger(b) && b >= 0 && b < 256)) fail("the generator as bytes", value);
  return Generator.fromBytes(Uint8Array.from(value));
}
