/** Whole models as one file: the weights, and the data to make the model from. */

import { checkFunction, checkObject, checkText, isRecord } from "../base/checks.ts";
import { ArgumentError, FormatError } from "../base/errors.ts";
import { list, quote, shorten } from "../base/quote.ts";
import { parseJson } from "../io/json.ts";
import { parse } from "../io/safetensors.ts";
import { checkSeal, serializeSealed } from "../io/sealed.ts";
import { checkModule, type Module } from "../nn/module.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { SequenceModel, type SequenceSpec, shapesOfSequence } from "./sequence.ts";

const VERSION = 1;
const SEQUENCE = "sequence";

/** Makes models of a class from plain data. */
type Maker = (options: never) => Module;

const makers = new Map<string, Maker>();

/**
 * Tells `parseModel` how to make models of a class. Call it where the class is defined.
 * @param kind a name for the class that files keep
 * @throws ArgumentError for a name that is taken
 * @example registerModel("tagger", (options: TaggerOptions) => new Tagger(options));
 */
export function registerModel<O>(kind: string, make: (options: O) => Module): void {
  checkText("registerModel", "kind", kind);
  checkFunction("registerModel", "make", make);
  if (kind === SEQUENCE || makers.has(kind)) throw new ArgumentError(`registerModel: expected a new kind, got ${quote(kind)} twice`);
  makers.set(kind, make as Maker);
}

/** The data from which a model of a registered class was made. */
export interface ModelKind {
  readonly kind: string;
  /** Plain data, as `make` takes it. */
  readonly options: unknown;
}

/**
 * A model as the bytes of one safetensors file, from which `parseModel` makes it again. Other readers of the format find the weights, under their usual
 * names.
 * @param kind for a model of your own class: its registered name, and its options
 * @throws ArgumentError for a model of another class than `SequenceModel` without kind, for a kind that is not registered, and for options that JSON cannot hold
 * @example
 * const bytes = serializeModel(sequence({ inputSize: 3, layers: [{ lstm: 8 }, "last", { linear: 2 }] }));
 * const model = parseModel(bytes) as SequenceModel;
 */
export function serializeModel(model: Module, kind?: ModelKind): Uint8Array<ArrayBuffer> {
  checkModule("serializeModel", model);
  if (kind !== undefined) checkObject("serializeModel", "the model's kind", kind);
  return serializeSealed(model.stateDict(), { model: JSON.stringify({ version: VERSION, ...whatIs(model, kind) }) });
}

function whatIs(model: Module, kind: ModelKind | undefined): { readonly kind: string; readonly options: unknown } {
  if (kind === undefined && model instanceof SequenceModel) return { kind: SEQUENCE, options: { ...model.spec, dtype: model.dtype } };
  if (kind === undefined)
    throw new ArgumentError(`serializeModel: expected a kind for a model of class ${model.constructor.name}, got none: see registerModel`);
  if (!makers.has(kind.kind)) throw new ArgumentError(`serializeModel: expected a registered kind, got ${quote(kind.kind)}`);
  const text = JSON.stringify(kind.options);
  if (text === undefined) throw new ArgumentError(`serializeModel: expected options that JSON can hold, got ${quote(kind.options)}`);
  const options: unknown = JSON.parse(text);
  // A model made from this data has to fit the saved weights.
  checkWeights(
    scope(() => make(kind.kind, options).stateDict()),
    model.stateDict(),
    "serializeModel",
  );
  return { kind: kind.kind, options };
}

/**
 * Makes a model from a file that `serializeModel` has written, in evaluation mode.
 * @throws FormatError for other files, for changed bytes, and for a kind that is not registered here. Makes nothing before the sizes fit the
 *   stored weights; for your own classes, that is up to their `make`
 * @example const model = parseModel(await load("model.safetensors")) as SequenceModel;
 */
export function parseModel(source: Uint8Array | ArrayBufferLike | ArrayBufferView): Module {
  return scope(() => {
    const { tensors, metadata } = parse(source);
    const { kind, options } = readKind(metadata.model);
    checkSeal("parseModel", source as Uint8Array, metadata, ["model"]);
    const model = kind === SEQUENCE ? sequenceFrom(options, tensors) : make(kind, options);
    checkWeights(model.stateDict(), tensors, "parseModel");
    model.loadStateDict(tensors);
    return model.eval();
  });
}

function readKind(text: string | undefined): { kind: string; options: unknown } {
  if (text === undefined) throw new FormatError("parseModel: expected a file of serializeModel, got safetensors without a model");
  const held = parseJson("parseModel", "the model", text);
  if (!isRecord(held) || typeof held.kind !== "string") throw new FormatError(`parseModel: expected a kind of model, got ${quote(held)}`);
  if (held.version !== VERSION) throw new FormatError(`parseModel: expected version ${VERSION}, got ${quote(held.version)}`);
  return { kind: held.kind, options: held.options };
}

/** A model of layers, once its sizes agree with the weights. */
function sequenceFrom(options: unknown, tensors: ReadonlyMap<string, Tensor>): SequenceModel {
  try {
    const { dtype = "float32", ...spec } = (isRecord(options) ? options : {}) as unknown as SequenceSpec & {
      dtype?: "float32" | "float64";
    };
    const shapes = shapesOfSequence(spec);
    const wrong = Array.from(shapes).find(([name, shape]) => !sameShape(tensors.get(name)?.shape ?? [-1], shape));
    if (wrong !== undefined || shapes.size !== tensors.size) {
      const [name, shape] = wrong ?? ["no other tensors", []];
      throw new FormatError(`parseModel: expected ${name} ${show(shape)}, got ${list([...tensors.keys()])}`);
    }
    return new SequenceModel({ ...spec, dtype });
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`parseModel: expected layers of a model, got ${shorten((cause as Error).message)}`, { cause });
  }
}

function make(kind: string, options: unknown): Module {
  const maker = makers.get(kind);
  if (maker === undefined) throw new FormatError(`parseModel: expected a kind that registerModel was told of, got ${quote(kind)}`);
  const model: unknown = maker(options as never);
  checkModule(`the maker of ${shorten(kind)}`, model);
  return model;
}

/** @throws FormatError, ArgumentError for weights of other names or shapes */
function checkWeights(own: ReadonlyMap<string, Tensor>, given: ReadonlyMap<string, Tensor>, op: string): void {
  const names = [...new Set([...own.keys(), ...given.keys()])];
  const wrong = names.filter((name) => !sameShape(own.get(name)?.shape ?? [-1], given.get(name)?.shape ?? [-2]));
  if (wrong.length === 0) return;
  const Failure = op === "parseModel" ? FormatError : ArgumentError;
  throw new Failure(`${op}: expected the weights of a model made from these options, got others: ${list(wrong)}`);
}
