/** The main job: trains a character model on a text, compares it with n-gram models, and generates text. */

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { noGrad } from "../autodiff/tape.ts";
import { NgramModel } from "../data/ngram.ts";
import { type Split, split } from "../data/split.ts";
import { Vocabulary } from "../data/text.ts";
import { type SymbolWindow, WindowBatches } from "../data/windows.ts";
import { type Checkpoint, decodeCheckpoint, type Json } from "../io/checkpoint.ts";
import { writeAtomic } from "../io/files.ts";
import { bitsPerCharacter, CharModel, type CharState, encodeModel } from "../models/char-model.ts";
import { Adam } from "../optim/adam.ts";
import { cosineAnnealingLR, type Schedule, warmUp } from "../optim/schedules.ts";
import { type Line, lineChart } from "../plot/svg.ts";
import { scope } from "../tensor/tensor.ts";
import { type FitOptions, fit, type Training } from "../train/fit.ts";
import { type Corpus, readBook, readCorpus } from "./corpus.ts";
import { fileError, UserError } from "./errors.ts";
import { characters, checkPrompt } from "./generate.ts";
import type { TrainOptions } from "./options.ts";
import { clock, Progress, thousands } from "./progress.ts";

const BATCH = 8;
const WINDOW = 64;
const WARM_UP = 50;
const CLIP_NORM = 1;
const EVALUATIONS = 10;
/** Number of held-out characters for the curve; the final figure uses all of them. */
const QUICK_EVALUATION = 20_000;
const EVALUATION = { batch: 32, window: 128 };
/** Steps averaged per point of the loss curve. */
const POINT = 10;
const UNKNOWN = "\uFFFD";
/** Default time limit of training. */
const MINUTES = 2.5;
const STEPS = 7000;
const HIDDEN = 192;
/** Characters of the held-out text in which a sentence is looked for. */
const OPENING = 4000;
const SAMPLE = { length: 300, temperature: 0.7 };

/** The options of a run, which are part of its checkpoint. */
interface Settings {
  /** The text's file; null for the book. */
  readonly text: string | null;
  /** SHA-256 of the text. */
  readonly digest: string;
  readonly steps: number;
  readonly hidden: number;
  readonly seed: number;
}

/** Points of the loss curve, in bits per character. */
interface History {
  readonly steps: number[];
  readonly bits: number[];
  readonly validSteps: number[];
  readonly validBits: number[];
}

interface Paths {
  readonly checkpoint: string;
  readonly model: string;
  readonly curve: string;
}

interface Held {
  readonly settings: Settings;
  readonly history: History;
}

interface Job extends Held {
  readonly corpus: Corpus;
  readonly vocabulary: Vocabulary;
  readonly ids: Split<Int32Array>;
  readonly paths: Paths;
  /** Bits per character on the test part. */
  readonly baselines: readonly { readonly name: string; readonly bits: number }[];
}

type CharTraining = Training<CharModel, SymbolWindow, CharState>;

/** Everything before the first step. */
async function prepare(options: TrainOptions, paths: Paths, held: Held | null): Promise<Job> {
  const file = options.text ?? held?.settings.text ?? null;
  const corpus = file === null ? await readBook() : await readCorpus(file);
  const digest = createHash("sha256").update(corpus.text).digest("hex");
  if (held !== null && held.settings.digest !== digest) {
    throw new UserError(`--resume: expected the text the checkpoint was trained on, got another (${corpus.title})`);
  }
  const settings = { text: file, digest, ...merge(options, held?.settings ?? null) };
  const parts = split(Array.from(corpus.text), { valid: 0.05, test: 0.05 });
  checkLength(corpus, parts);
  const vocabulary = Vocabulary.fromText(parts.train.join(""), { unknown: UNKNOWN });
  const encode = (part: string[]) => vocabulary.encode(part.join(""));
  const ids = { train: encode(parts.train), valid: encode(parts.valid), test: wholeStreams(encode(parts.test)) };
  const history = held?.history ?? { steps: [], bits: [], validSteps: [], validBits: [] };
  return { settings, history, corpus, vocabulary, ids, paths, baselines: baselines(ids, vocabulary.size) };
}

/** The run's numbers: the given ones, else the checkpoint's, else the defaults. Weights and their seed cannot change on the way. */
function merge(options: TrainOptions, saved: Settings | null): Pick<Settings, "steps" | "hidden" | "seed"> {
  for (const name of ["hidden", "seed"] as const) {
    if (saved !== null && options[name] !== null && options[name] !== saved[name]) {
      throw new UserError(`--resume: expected --${name} ${saved[name]} as in the checkpoint, got ${options[name]}`);
    }
  }
  return {
    steps: options.steps ?? saved?.steps ?? STEPS,
    hidden: options.hidden ?? saved?.hidden ?? HIDDEN,
    seed: options.seed ?? saved?.seed ?? 1,
  };
}

function checkLength({ title, text }: Corpus, { train, valid, test }: Split<string[]>): void {
  const enough = train.length > BATCH * WINDOW && Math.min(valid.length, test.length) > EVALUATION.batch;
  const least = Math.ceil(Math.max((BATCH * WINDOW + 1) / 0.9, (EVALUATION.batch + 1) / 0.05));
  if (!enough) throw new UserError(`${title}: expected a text of at least ${thousands(least)} characters, got ${thousands(text.length)}`);
}

/** Drops the characters that do not fill all streams, so every model is measured on the same ones. */
function wholeStreams(ids: Int32Array): Int32Array {
  return ids.subarray(0, ids.length - ((ids.length - 1) % EVALUATION.batch));
}

/** Unigram and interpolated trigram, counted on the training part, weighted on the validation part. */
function baselines({ train, valid, test }: Split<Int32Array>, vocabSize: number): Job["baselines"] {
  return [
    { name: "unigram", order: 1 },
    { name: "interpolated trigram", order: 3 },
  ].map(({ name, order }) => {
    const model = new NgramModel(train, { order, vocabSize });
    model.tune(valid);
    return { name, bits: model.bitsPerSymbol(test, 1) };
  });
}

/** Adam's rate for a width: in wider models more small steps add up in each sum (Yang et al. 2022, Tensor programs V). */
function learningRate(hidden: number): number {
  return Math.min(0.04, 0.03 * (192 / hidden));
}

/** A schedule that warms up linearly, then falls along half a cosine to a twentieth. */
function schedule({ steps, hidden }: Settings): Schedule {
  return warmUp(WARM_UP, cosineAnnealingLR({ tMax: Math.max(1, steps - WARM_UP), etaMin: learningRate(hidden) / 20 }));
}

interface Started {
  readonly model: CharModel;
  readonly training: CharTraining;
}

/** Makes the model and its training, new or from a checkpoint. @throws UserError for a checkpoint that does not fit */
function start({ settings, vocabulary, ids, paths }: Job, signal: AbortSignal, resume: Uint8Array | undefined): Started {
  const { hidden, seed, steps } = settings;
  const model = new CharModel({ vocabSize: vocabulary.size, hidden, seed });
  const batches = new WindowBatches(ids.train, { batch: BATCH, window: WINDOW, dropLast: true });
  const options: FitOptions<CharModel, SymbolWindow, CharState> = {
    optimizer: new Adam(model.parameters(), { lr: learningRate(hidden) }),
    loss: (m, window, state) => m.loss(window, state),
    maxSteps: steps,
    signal,
    clipNorm: CLIP_NORM,
    schedule: schedule(settings),
    evaluate: (m) => bitsPerCharacter(m, ids.valid.subarray(0, QUICK_EVALUATION), EVALUATION),
    evaluateEvery: Math.max(1, Math.ceil(steps / EVALUATIONS)),
    resume,
  };
  try {
    return { model, training: fit(model, batches, options) };
  } catch (error) {
    if (resume === undefined) throw error;
    throw new UserError(`${paths.checkpoint}: ${(error as Error).message}`, { cause: error });
  }
}

/** Seconds that training may take. */
function timeLimit({ minutes, steps }: TrainOptions): number {
  return 60 * (minutes ?? (steps === null ? MINUTES : Number.POSITIVE_INFINITY));
}

/** How long it will take at most, in words. */
function limits(steps: number, seconds: number): string {
  return `${thousands(steps)} steps${Number.isFinite(seconds) ? `, or as many as ${clock(seconds)} minutes allow` : ""}.`;
}

/** Trains to the end, or until the signal. @returns whether it finished */
async function runTraining(job: Job, training: CharTraining, options: TrainOptions, stop: AbortController): Promise<boolean> {
  const { settings, history, paths } = job;
  const seconds = timeLimit(options);
  const now = () => performance.now();
  const began = now();
  const progress = new Progress(process.stdout, { total: settings.steps, done: training.step, seconds, now });
  const save = () => writeAtomic(paths.checkpoint, training.checkpoint({ settings, history } as unknown as Json));
  const interrupt = () => stop.abort(INTERRUPTED);
  process.on("SIGINT", interrupt).on("SIGTERM", interrupt);
  try {
    for await (const { step, loss, evaluation } of training) {
      const bits = loss / Math.LN2;
      record(history, step, bits);
      progress.update(step, bits, BATCH * WINDOW);
      if (evaluation !== undefined) {
        history.validSteps.push(step);
        history.validBits.push(evaluation);
        progress.note(`step ${step}: ${evaluation.toFixed(3)} bits/char on held-out text`);
        await save();
      }
      if (now() - began > 1000 * seconds) break;
    }
    progress.finish(training.step);
    await save();
    return true;
  } catch (error) {
    if (error !== INTERRUPTED) throw error;
    progress.finish(training.step);
    await save();
    return false;
  } finally {
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
  }
}

const INTERRUPTED = new Error("interrupted");

/** Adds a step's loss to the curve: means of POINT steps. */
function record({ steps, bits }: History, step: number, value: number): void {
  const place = (step - 1) % POINT;
  if (place === 0 || steps.length === 0) {
    steps.push(step);
    bits.push(value);
    return;
  }
  const last = bits.length - 1;
  bits[last] = (bits[last] as number) + (value - (bits[last] as number)) / (place + 1);
  steps[last] = step;
}

function curve({ corpus, history, baselines, settings }: Job): string {
  const span = [0, history.steps.at(-1) ?? settings.steps];
  const lines: Line[] = [
    { name: "training", x: history.steps, y: history.bits, color: "#7fb2d9" },
    { name: "held-out", x: history.validSteps, y: history.validBits, color: "#d55e00" },
    ...baselines.map(({ name, bits }) => ({ name: `${name} (held-out)`, x: span, y: [bits, bits], dashed: true })),
  ];
  return lineChart(lines, {
    title: `LSTM of ${settings.hidden} units on ${corpus.title}`,
    xLabel: "training step",
    yLabel: "bits per character",
  });
}

/** The figures of the run: bits per character on the test part, side by side. */
function report({ ids, baselines, settings }: Job, model: CharModel): string {
  const bits = noGrad(() => scope(() => bitsPerCharacter(model.eval(), ids.test, EVALUATION)));
  const rows = [...baselines, { name: `LSTM, ${settings.hidden} units`, bits }];
  const width = Math.max(...rows.map(({ name }) => name.length));
  const lines = rows.map(({ name, bits: b }) => `  ${name.padEnd(width)}  ${b.toFixed(3)}`);
  return [`Bits per character on ${thousands(ids.test.length - 1)} characters never trained on:`, ...lines].join("\n");
}

/** Continues a prompt with only the model file, in a separate process. */
function continueElsewhere(path: string, prompt: string, seed: number): Promise<void> {
  const args = ["generate", "--model", path, "--prompt", prompt, "--length", String(SAMPLE.length), "--seed", String(seed)];
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), ...args], { stdio: "inherit" });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve() : reject(new Error(`generate: expected exit code 0, got ${code}`))));
  });
}

async function readHeld(path: string): Promise<{ readonly bytes: Uint8Array; readonly held: Held }> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
  try {
    return { bytes, held: scope(() => heldIn(decodeCheckpoint(bytes))) };
  } catch (error) {
    throw new UserError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Reads this program's own data from a checkpoint, which may be another program's. */
function heldIn({ extra, model }: Checkpoint): Held {
  const { settings, history } = (extra ?? {}) as { readonly [key in keyof Held]?: Partial<Held[key]> | null };
  if (!isSettings(settings) || !isHistory(history)) throw new UserError("expected a checkpoint of this program, got another");
  const width = model.get("lstm.weight_hh_l0")?.shape[1];
  if (width !== settings.hidden) throw new UserError(`expected weights of ${settings.hidden} units, got ${width ?? "none"}`);
  return { settings, history };
}

function isSettings(settings: Partial<Settings> | null | undefined): settings is Settings {
  const { text, digest, steps, hidden, seed } = settings ?? {};
  const whole = [steps, hidden, seed].every((n) => Number.isSafeInteger(n) && (n as number) >= 0);
  return whole && typeof digest === "string" && (text === null || typeof text === "string");
}

function isHistory(history: Partial<History> | null | undefined): history is History {
  const { steps, bits, validSteps, validBits } = history ?? {};
  const curves = [
    [steps, bits],
    [validSteps, validBits],
  ];
  return curves.every(([x, y]) => isCurve(x) && isCurve(y) && x.length === y.length);
}

function isCurve(values: unknown): values is number[] {
  return Array.isArray(values) && values.every((v) => typeof v === "number");
}

async function openFolder(path: string): Promise<Paths> {
  await mkdir(path, { recursive: true }).catch((error: unknown) => {
    throw (error as NodeJS.ErrnoException).code === "EEXIST" ? new UserError(`${path}: it is not a folder`) : fileError(path, error);
  });
  return {
    checkpoint: join(path, "checkpoint.safetensors"),
    model: join(path, "model.safetensors"),
    curve: join(path, "loss.svg"),
  };
}

/** @returns the exit code */
export async function train(options: TrainOptions): Promise<number> {
  const paths = await openFolder(options.out);
  const saved = options.resume ? await readHeld(paths.checkpoint) : null;
  const job = await prepare(options, paths, saved?.held ?? null);
  const stop = new AbortController();
  checkPrompt(options.prompt, job.vocabulary);
  const { model, training } = start(job, stop.signal, saved?.bytes);
  const { corpus, ids, settings, vocabulary } = job;
  print(`${corpus.title}: ${thousands(ids.train.length)} characters to train on, ${vocabulary.size} different.`);
  print(`LSTM of ${settings.hidden} units${training.step > 0 ? `, from step ${training.step}` : ""}.`);
  print(limits(settings.steps, timeLimit(options)));
  const began = performance.now();
  if (!(await runTraining(job, training, options, stop))) {
    const out = options.out === "runs" ? "" : ` --out ${options.out}`;
    print(`Stopped at step ${training.step} of ${settings.steps}. Go on with: npm start -- --resume${out}`);
    return 130;
  }
  const early = training.step < settings.steps ? ` (the time is up: step ${training.step} of ${settings.steps})` : "";
  print(`Trained for ${clock((performance.now() - began) / 1000)}${early}.\n`);
  print(`${report(job, model)}\n`);
  await writeAtomic(paths.model, encodeModel(model, vocabulary));
  await writeAtomic(paths.curve, curve(job));
  const beginning = firstSentence(vocabulary.decode(ids.test.subarray(0, OPENING))) || "\n";
  print(
    `A sentence that it has not seen, and what it makes of it:\n${beginning} …\n… ${Array.from(
      characters(model, vocabulary, { ...SAMPLE, prompt: beginning, seed: settings.seed }),
    )
      .join("")
      .trim()}\n`,
  );
  print(`Model: ${paths.model}\nLoss curve: ${paths.curve}\nCheckpoint: ${paths.checkpoint}\n`);
  print("A new process loads the model and goes on from the prompt:");
  await continueElsewhere(paths.model, options.prompt, settings.seed + 1);
  return 0;
}

/** The first whole sentence of a text that begins somewhere; of a text without sentences, its last line. */
export function firstSentence(text: string): string {
  const sentence = /[.!?]["”’']?\s+(\p{Lu}[^.!?]{20,}[.!?])/u.exec(text)?.[1] ?? text.trim().split("\n").at(-1) ?? "";
  return sentence.replace(/\s+/g, " ").slice(-200);
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
