/** Checkpoints: everything a run needs to go on, in one safetensors file. */

import { FormatError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { Cursor } from "../data/batches.ts";
import type { OptimizerState } from "../optim/optimizer.ts";
import { type State, stateTensors } from "../recurrence/state.ts";
import { Generator } from "../tensor/random.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { parse, serialize } from "./safetensors.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export interface Checkpoint {
  /** Steps done. */
  readonly step: number;
  readonly model: ReadonlyMap<string, Tensor>;
  readonly optimizer: OptimizerState;
  /** Weights of the best evaluation so far; empty when none were kept. */
  readonly best: ReadonlyMap<string, Tensor>;
  /** What a recurrent model carries from batch to batch. */
  readonly state: State | null;
  /** Where the next batch comes from. */
  readonly cursor: Cursor | null;
  readonly generator: Generator | null;
  /** Plain data: the training loop's counters. */
  readonly progress: Json;
  /** Plain data of the caller. */
  readonly extra: Json;
}

const FORMAT = "tapeloop checkpoint 1";
const GROUPS = ["model", "optimizer", "best", "state"] as const;

function fail(expected: string, got: unknown): never {
  throw new FormatError(`checkpoint: expected ${expected}, got ${quote(got)}`);
}

/** A state with each tensor replaced by its number. */
function structureOf(state: State, next: () => number): Json {
  if ("shape" in state && "storage" in state) return next();
  if (Array.isArray(state)) return state.map((part) => structureOf(part, next));
  return Object.fromEntries(Object.entries(state).map(([name, part]) => [name, structureOf(part as State, next)]));
}

/** Deeper than any model nests its state. */
const DEEPEST = 64;

/** The state of a structure. @throws FormatError for anything `structureOf` cannot have made of these tensors */
function stateOf(structure: Json, tensors: ReadonlyMap<string, Tensor>, depth = 0): State {
  if (depth > DEEPEST) fail(`a state nested at most ${DEEPEST} deep`, structure);
  if (typeof structure === "number") return tensors.get(String(structure)) ?? fail("a tensor of the state", structure);
  if (Array.isArray(structure)) return structure.map((part) => stateOf(part, tensors, depth + 1));
  if (!isRecord(structure)) fail("the structure of a state", structure);
  return Object.fromEntries(Object.entries(structure).map(([name, part]) => [name, stateOf(part, tensors, depth + 1)]));
}

function isRecord(value: unknown): value is Record<string, Json> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Writes a checkpoint; the same run in the same state gives the same bytes. */
export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array<ArrayBuffer> {
  const { step, model, optimizer, best, state, cursor, generator, progress, extra } = checkpoint;
  let count = 0;
  const run = {
    step,
    optimizer: { kind: optimizer.kind, groups: optimizer.groups, numbers: optimizer.numbers },
    state: state === null ? null : structureOf(state, () => count++),
    cursor,
    generator: generator === null ? null : Array.from(generator.toBytes()),
    progress,
    extra,
  };
  const groups: Record<(typeof GROUPS)[number], Iterable<[string | number, Tensor]>> = {
    model,
    optimizer: Object.entries(optimizer.tensors),
    best,
    state: state === null ? [] : stateTensors(state).entries(),
  };
  const tensors = GROUPS.flatMap((group) => Array.from(groups[group], ([name, t]): [string, Tensor] => [`${group}.${name}`, t]));
  return serialize(new Map(tensors), { format: FORMAT, run: JSON.stringify(run) });
}

/**
 * Reads a checkpoint; nothing but the file is looked at, so whether it fits a model is for `loadStateDict` to say.
 * @throws FormatError when the file is damaged or is no checkpoint
 */
export function decodeCheckpoint(bytes: Uint8Array): Checkpoint {
  return scope(() => {
    const { tensors, metadata } = parse(bytes);
    if (metadata.format !== FORMAT) fail(`format "${FORMAT}"`, metadata.format);
    const run = parseRun(metadata.run);
    const groups = groupsOf(tensors);
    const group = (name: (typeof GROUPS)[number]) => groups.get(name) as Map<string, Tensor>;
    return {
      step: Number.isSafeInteger(run.step) && (run.step as number) >= 0 ? (run.step as number) : fail("a whole step", run.step),
      model: group("model"),
      optimizer: optimizerOf(run.optimizer, group("optimizer")),
      best: group("best"),
      state: run.state === null ? null : stateOf(run.state as Json, group("state")),
      cursor: run.cursor === null ? null : cursorOf(run.cursor),
      generator: run.generator === null ? null : generatorOf(run.generator),
      progress: run.progress ?? null,
      extra: run.extra ?? null,
    };
  });
}

function parseRun(text: string | undefined): Record<string, Json> {
  let run: unknown;
  try {
    run = JSON.parse(text ?? "");
  } catch (cause) {
    throw new FormatError(`checkpoint: expected the run as JSON, got ${(cause as Error).message}`, { cause });
  }
  return isRecord(run) ? run : fail("the run as an object", run);
}

/** `model.head.weight` → model: head.weight. */
function groupsOf(tensors: ReadonlyMap<string, Tensor>): Map<string, Map<string, Tensor>> {
  const groups = new Map<string, Map<string, Tensor>>(GROUPS.map((name) => [name, new Map()]));
  for (const [name, t] of tensors) {
    const dot = name.indexOf(".");
    const group = groups.get(name.slice(0, dot)) ?? fail(`tensors of ${[...groups.keys()].join(", ")}`, name);
    group.set(name.slice(dot + 1), t);
  }
  return groups;
}

function cursorOf(value: Json | undefined): Cursor {
  if (!isRecord(value) || !Object.values(value).every((v) => typeof v === "number")) fail("a cursor of numbers", value);
  return value as Cursor;
}

function optimizerOf(value: Json | undefined, tensors: ReadonlyMap<string, Tensor>): OptimizerState {
  if (!isRecord(value)) fail("the optimiser's state", value);
  const { kind, groups, numbers } = value;
  if (typeof kind !== "string" || !Array.isArray(groups) || !groups.every(isRecord) || !isRecord(numbers)) {
    fail("kind, groups and numbers of an optimiser", value);
  }
  if (!Object.values(numbers).every((n) => typeof n === "number")) fail("an optimiser's numbers", numbers);
  return { kind, groups, numbers: numbers as Record<string, number>, tensors: Object.fromEntries(tensors) };
}

function generatorOf(value: Json | undefined): Generator {
  if (!Array.isArray(value) || !value.every((b) => Number.isInteger(b) && b >= 0 && b < 256)) fail("the generator as bytes", value);
  return Generator.fromBytes(Uint8Array.from(value));
}
