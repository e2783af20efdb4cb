/** A character language model: one-hot → LSTM → linear. */

import { checkOptions, isRecord, optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { FormatError } from "../base/errors.ts";
import { list, quote } from "../base/quote.ts";
import { checkVocabulary, Vocabulary } from "../data/text.ts";
import { WindowBatches } from "../data/windows.ts";
import { parseJson } from "../io/json.ts";
import { parse, serialize } from "../io/safetensors.ts";
import { Linear } from "../nn/layers.ts";
import { checkModule } from "../nn/module.ts";
import { reshape } from "../ops/broadcast.ts";
import { mean } from "../ops/reduce.ts";
import { crossEntropyWithLogits } from "../ops/softmax.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { LSTM } from "../recurrence/rnn.ts";
import { zeros } from "../tensor/create.ts";
import { Generator } from "../tensor/random.ts";
import { type Shape, sameShape, show } from "../tensor/shape.ts";
import { assign, scope, type Tensor } from "../tensor/tensor.ts";

/** The LSTM's state; h and c are [B,H]. */
export type CharState = { readonly h: Tensor; readonly c: Tensor };

/** A window of text: the ids of the characters and of their successors, both [T,B]. */
export interface CharWindow {
  readonly inputs: Tensor;
  readonly targets: Tensor;
}

export interface CharModelOptions {
  readonly vocabSize: number;
  readonly hidden: number;
  readonly seed?: number;
}

/**
 * Logits of the next character, for each character of a batch of texts.
 *
 * A one-hot vector times a matrix is a row of the matrix, so over whole texts (`forward`) the input product is a
 * look-up in W_ihᵀ + b. As a recurrence (`step`, `scan`, `Stream`) the model reads the one-hot vectors themselves; in the
 * deterministic build both give the same bits.
 */
export class CharModel extends Cell<CharState> {
  readonly lstm: LSTM;
  readonly head: Linear;

  constructor(options: CharModelOptions) {
    super();
    const { vocabSize, hidden, seed = 0 } = optionsOf("CharModel", options, ["vocabSize", "hidden", "seed"]);
    const generator = new Generator(seed);
    this.lstm = new LSTM({ inputSize: vocabSize, hiddenSize: hidden, generator });
    this.head = new Linear(hidden, vocabSize, { generator });
    // A one-hot input reads a single row of W_ih; with the usual initial bound it would be too weak to learn from.
    generator.fillUniform(this.#weight("weight_ih_l0"), -1, 1);
    // With variance 1/H the recurrent product neither grows nor fades from step to step.
    const bound = Math.sqrt(3 / hidden);
    generator.fillUniform(this.#weight("weight_hh_l0"), -bound, bound);
    openForgetGate(this.#weight("bias_ih_l0"), hidden);
  }

  get hidden(): number {
    return this.lstm.hiddenSize;
  }

  get inputSize(): number {
    return this.lstm.inputSize;
  }

  get outputSize(): number {
    return this.lstm.inputSize;
  }

  initialState(batch: number): CharState {
    return { h: zeros([batch, this.hidden]), c: zeros([batch, this.hidden]) };
  }

  /** One-hot characters x [B,V] to logits [B,V]. */
  step(x: Tensor, state: CharState): [logits: Tensor, next: CharState] {
    const [y, next] = this.lstm.step(x, stacked(state));
    return [this.head.forward(y), unstacked(next)];
  }

  #weight(name: string): Tensor {
    return this.lstm.stateDict().get(name) as Tensor;
  }

  /** ids [T,B] to logits [T·B,V]. */
  forward(ids: Tensor, state?: CharState): [logits: Tensor, next: CharState] {
    const [ys, next] = this.lstm.scan(ids, state && stacked(state));
    return [this.head.forward(reshape(ys, [ids.size, this.hidden])), unstacked(next)];
  }

  /** Mean cross-entropy of a window, in nats. */
  loss({ inputs, targets }: CharWindow, state?: CharState): [Tensor, CharState] {
    const [logits, next] = this.forward(inputs, state);
    return [mean(crossEntropyWithLogits(logits, reshape(targets, [targets.size]))), next];
  }
}

/** A state [B,H] in the LSTM's form, [1,B,H]. */
function stacked({ h, c }: CharState): CharState {
  return { h: reshape(h, [1, ...h.shape]), c: reshape(c, [1, ...c.shape]) };
}

function unstacked({ h, c }: CharState): CharState {
  return { h: reshape(h, h.shape.slice(1)), c: reshape(c, c.shape.slice(1)) };
}

/** Forget gates start open (Gers, Schmidhuber & Cummins 2000, Learning to forget; Jozefowicz, Zaremba & Sutskever 2015). */
function openForgetGate(bias: Tensor, hidden: number): void {
  const values = bias.data();
  values.fill(1, hidden, 2 * hidden);
  assign(bias, values);
}

/** Bits per character over a whole text, read in parallel streams; call it without recording. */
export function bitsPerCharacter(model: CharModel, ids: Int32Array, options: { readonly batch: number; readonly window: number }): number {
  checkOptions("bitsPerCharacter", options, ["batch", "window"]);
  let state: CharState | undefined;
  let nats = 0;
  let count = 0;
  const windows = new WindowBatches(ids, { ...options, epochs: 1 });
  for (const window of windows) {
    state = scope(() => {
      const [loss, next] = model.loss(window, state);
      nats += loss.item() * window.targets.size;
      count += window.targets.size;
      return next;
    });
  }
  return nats / count / Math.LN2;
}

const FORMAT = "tapeloop character model 1";

/**
 * The model with its vocabulary, as one safetensors file.
 * @throws FormatError for a model of another vocabulary's size, and for one with other weights than floats (`serializeQuantized`)
 */
export function encodeModel(model: CharModel, vocabulary: Vocabulary): Uint8Array<ArrayBuffer> {
  checkModule("encodeModel", model);
  checkVocabulary("encodeModel", vocabulary);
  checkShapes(model.stateDict(), shapesOf(vocabulary.size, model.hidden));
  const { symbols, unknown } = vocabulary;
  return serialize(model.stateDict(), { format: FORMAT, vocabulary: JSON.stringify({ symbols, unknown }) });
}

/**
 * Reads a model file. Builds nothing before all sizes agree with each other and with the number of bytes,
 * and releases everything if it fails.
 * @throws FormatError for bytes that `encodeModel` cannot have written
 */
export function decodeModel(source: Uint8Array | ArrayBufferLike | ArrayBufferView): {
  readonly model: CharModel;
  readonly vocabulary: Vocabulary;
} {
  return scope(() => {
    const { tensors, metadata } = parse(source);
    if (metadata.format !== FORMAT) throw new FormatError(`model: expected format "${FORMAT}", got ${quote(metadata.format)}`);
    const vocabulary = decodeVocabulary(metadata.vocabulary);
    const hidden = tensors.get("lstm.weight_hh_l0")?.shape[1] ?? 0;
    checkShapes(tensors, shapesOf(vocabulary.size, hidden));
    const model = new CharModel({ vocabSize: vocabulary.size, hidden });
    model.loadStateDict(tensors);
    return { model: model.eval(), vocabulary };
  });
}

/** Names and shapes of the tensors of a model with these sizes. */
function shapesOf(vocabSize: number, hidden: number): ReadonlyMap<string, Shape> {
  const rows = 4 * hidden;
  return new Map<string, Shape>([
    ["lstm.weight_ih_l0", [rows, vocabSize]],
    ["lstm.weight_hh_l0", [rows, hidden]],
    ["lstm.bias_ih_l0", [rows]],
    ["lstm.bias_hh_l0", [rows]],
    ["head.weight", [vocabSize, hidden]],
    ["head.bias", [vocabSize]],
  ]);
}

function checkShapes(tensors: ReadonlyMap<string, Tensor>, expected: ReadonlyMap<string, Shape>): void {
  for (const [name, shape] of expected) {
    const t = tensors.get(name);
    if (t === undefined) throw new FormatError(`model: expected ${name}, got no such tensor`);
    if (t.size === 0 || !isFloat(t.dtype) || !sameShape(t.shape, shape)) {
      throw new FormatError(`model: expected ${name} ${show(shape)} of floats, got ${t.dtype} ${show(t.shape)}`);
    }
  }
  const unknown = Array.from(tensors.keys()).filter((name) => !expected.has(name));
  if (unknown.length > 0) throw new FormatError(`model: expected ${[...expected.keys()].join(", ")} alone, got ${list(unknown)}`);
}

function decodeVocabulary(text: string | undefined): Vocabulary {
  const held = parseJson("model", "the vocabulary", text ?? "");
  if (!isRecord(held)) throw new FormatError(`model: expected a vocabulary of symbols, got ${quote(held)}`);
  try {
    return new Vocabulary(held.symbols as string[], { unknown: held.unknown as string | null });
  } catch (cause) {
    throw new FormatError(`model: expected a vocabulary, got ${(cause as Error).message}`, { cause });
  }
}
