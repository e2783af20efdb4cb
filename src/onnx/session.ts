/** Models that run: what goes in is checked by name, type and shape. */

import { noGrad } from "../autodiff/tape.ts";
import { checkObject } from "../base/checks.ts";
import type { DType } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { list, quote, shorten } from "../base/quote.ts";
import { show } from "../tensor/shape.ts";
import { storageCount } from "../tensor/storage.ts";
import { copyOf } from "../tensor/strided.ts";
import { checkTensor, keep, scope, Tensor } from "../tensor/tensor.ts";
import { type Dimension, type Graph, parseModel, type ValueInfo } from "./model.ts";
import { compile } from "./program.ts";
import { Replays } from "./replay.ts";
import { ModelStream } from "./stream.ts";
import { asTensor, type ElementType, HostArray, NARROW_RANGES, type Value, type WholeType } from "./values.ts";

/** Tensors by the names that a model gives them. */
export type NamedTensors = Readonly<Record<string, Tensor>>;

/** What a model takes or gives. */
export interface ModelValue {
  readonly name: string;
  /** Of the tensor here: whole numbers of any width are int32, halves float32; null where the model does not say. */
  readonly dtype: DType | null;
  /** A length, a name for one, or null for any along each axis; null where the model does not say. */
  readonly shape: readonly Dimension[] | null;
}

function dtypeOf(type: ElementType): DType {
  return type === "float32" || type === "float64" || type === "bool" ? type : "int32";
}

function described({ name, type, shape }: ValueInfo): ModelValue {
  return { name, dtype: type && dtypeOf(type), shape };
}

/** Least and most of the whole numbers narrower than int32, and of those without a sign. */
const RANGES: Partial<Record<ElementType, readonly [number, number]>> = {
  ...NARROW_RANGES,
  uint32: [0, 2 ** 31 - 1],
  uint64: [0, 2 ** 31 - 1],
};

/** The lengths that names stand for in a run, and the inputs that said so first. */
type Lengths = Map<string, { readonly size: number; readonly input: string }>;

function checkShape({ name, shape }: ValueInfo, t: Tensor, lengths: Lengths): void {
  if (shape === null) return;
  const fits = shape.length === t.rank && shape.every((d, i) => fitsDimension(d, t.shape[i] as number, name, lengths));
  if (fits) return;
  const known = shape.map((d) => (typeof d === "string" && lengths.has(d) ? `${d}=${lengths.get(d)?.size}` : (d ?? "any")));
  const others = shape.flatMap((d) => (typeof d === "string" && lengths.has(d) ? [lengths.get(d)?.input as string] : []));
  const agreeing = [...new Set(others)].filter((other) => other !== name);
  const as = agreeing.length === 0 ? "" : `, as ${list(agreeing)} has it`;
  throw new ShapeError(`run: expected input ${shorten(name)} of shape [${known.join(",")}]${as}, got ${show(t.shape)}`);
}

/** A name is one length wherever it stands. */
function fitsDimension(d: Dimension, size: number, input: string, lengths: Lengths): boolean {
  if (d === null) return true;
  if (typeof d === "number") return d === size;
  const known = lengths.get(d);
  if (known === undefined) lengths.set(d, { size, input });
  return known === undefined || known.size === size;
}

/** An input as the graph's operators see it. */
function received({ name, type }: ValueInfo, t: Tensor): Value {
  const whole = type ?? (t.dtype === "int32" ? "int64" : t.dtype);
  if (t.dtype !== dtypeOf(whole)) throw new DTypeError(`run: expected input ${shorten(name)} of ${dtypeOf(whole)}, got ${t.dtype}`);
  if (t.dtype !== "int32") return t.detach();
  const data = t.data();
  const [least, most] = RANGES[whole] ?? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  const wrong = data.find((v) => v < least || v > most);
  if (wrong !== undefined) throw new DTypeError(`run: expected input ${shorten(name)} of values in [${least}, ${most}], got ${wrong}`);
  return new HostArray(whole as WholeType, t.shape, data);
}

/** An output in memory of its own, neither the inputs' nor the constants': what is older than the run is copied. */
function ownTensor(value: Value, { name }: ValueInfo, before: number): Tensor {
  const t = asTensor(value, `output ${shorten(name)}`);
  return t.storage.serial > before && !t.storage.pinned ? t : copyOf(t);
}

/** A model from elsewhere, ready to be run; made by `loadModel`. */
export class Session {
  readonly inputs: readonly ModelValue[];
  readonly outputs: readonly ModelValue[];
  /** Inputs with a value of the model's own, which a run may replace. */
  readonly overridable: readonly ModelValue[];
  readonly #replays: Replays;
  readonly #takes: readonly ValueInfo[];
  /** What it was made of; null where no run can replace anything. */
  readonly #graph: Graph | null;
  /** The model with other inputs instead of constants, by their names. */
  readonly #variants = new Map<string, Session>();
  /** The one that ran last. */
  #latest: Session = this;

  /** @internal */
  constructor(graph: Graph) {
    const { program, constants } = compile(graph);
    const { outputs } = graph;
    const [inputs, overridable] = [false, true].map((has) => graph.inputs.filter(({ name }) => graph.constants.has(name) === has)) as [
      ValueInfo[],
      ValueInfo[],
    ];
    this.overridable = overridable.map(described);
    this.#graph = overridable.length > 0 ? graph : null;
    for (const value of this.#graph?.constants.values() ?? []) if (value instanceof Tensor) keep(value);
    this.#replays = new Replays((given) => {
      const before = storageCount;
      return program.run(given).map((value, i) => ownTensor(value, outputs[i] as ValueInfo, before));
    }, constants);
    this.#takes = inputs;
    this.inputs = inputs.map(described);
    this.outputs = outputs.map(described);
  }

  /**
   * Runs the model on its inputs. Nothing of it is differentiable. From the second run with the same shapes and the same whole numbers on
   * (of which there may be 16 in all) it is one call into WebAssembly, unless `whyEager` says otherwise.
   * @param inputs a tensor for each input, by its name, and for those that are `overridable` where another value than the model's own is wanted; int32
   *   for whole numbers of any width
   * @returns its outputs, by name; whole numbers as int32
   * @throws ArgumentError for a missing or an unknown input
   * @throws DTypeError, ShapeError for one of another dtype or shape, and for what an operator refuses, with its node named
   * @example const { output } = session.run({ input: tensor([[1, 2, 3]]) });
   */
  run(inputs: NamedTensors): Record<string, Tensor> {
    checkObject("run", "inputs", inputs);
    const replaced = this.overridable.map(({ name }) => name).filter((name) => Object.hasOwn(inputs, name));
    this.#latest = replaced.length > 0 ? this.#variant(replaced) : this;
    if (this.#latest !== this) return this.#latest.run(inputs);
    const names = this.#takes.map(({ name }) => name);
    const unknown = Object.keys(inputs).find((name) => !names.includes(name));
    if (unknown !== undefined) throw new ArgumentError(`run: expected inputs ${list(names)}, got ${quote(unknown)}`);
    const lengths: Lengths = new Map();
    const given = this.#takes.map((info) => {
      const { name } = info;
      if (!Object.hasOwn(inputs, name)) throw new ArgumentError(`run: expected a tensor as input ${shorten(name)}, got none`);
      const t: unknown = inputs[name];
      checkTensor(`run: input ${shorten(name)}`, t);
      const value = received(info, t);
      checkShape(info, t, lengths);
      return value;
    });
    const values = scope(() => noGrad(() => this.#replays.run(given)));
    return Object.fromEntries(this.outputs.map(({ name }, i) => [name, values[i] as Tensor]));
  }

  /**
   * A stream of a model whose outputs feed its inputs, frame by frame; the state goes from one to the next.
   * @param links the output from which each input of the state takes its next value
   * @param inputs a frame to begin with: a tensor for every other input, which fixes its form; for an input of the state, where to begin
   *   (the value that the model has for it, or zeros, unless given; zeros of length 1 along axes that the model leaves open)
   * @throws ArgumentError, DTypeError, ShapeError for what does not fit, a state that changes its form among it
   * @example
   * const stream = session.stream({ state: "stateN" }, { input: zeros([1, 576]), sr: tensor(16000, { dtype: "int32" }) });
   * const { output } = stream.step({ input: frame });
   * const saved = stream.toBytes(); // and later, anywhere: stream.fromBytes(saved)
   */
  stream(links: Readonly<Record<string, string>>, inputs: NamedTensors): ModelStream {
    checkObject("stream", "links", links);
    checkObject("stream", "inputs", inputs);
    return new ModelStream(this, links, inputs);
  }

  /** The model with inputs in place of some of its constants. */
  #variant(names: readonly string[]): Session {
    const key = JSON.stringify(names);
    const known = this.#variants.get(key);
    if (known !== undefined) return known;
    const graph = this.#graph as Graph;
    const constants = new Map([...graph.constants].filter(([name]) => !names.includes(name)));
    const made = scope(() => noGrad(() => new Session({ ...graph, constants })));
    this.#variants.set(key, made);
    return made;
  }

  /** The value of an input that is overridable; null for others. @internal */
  ownValue(name: string): Tensor | null {
    const value = this.#graph?.constants.get(name);
    return value === undefined ? null : asTensor(value, name);
  }

  /** Why the latest run went call by call; null if it was replayed. */
  get whyEager(): string | null {
    return this.#latest === this ? this.#replays.whyEager : this.#latest.whyEager;
  }
}

/**
 * Reads an ONNX model: versions 7 to 23 of ONNX's own operators (and the older ones that read alike), all in one file.
 *
 * The graph is read once. Constant parts are computed then, weights brought into the kernels' order, and at every run memory is released
 * after its last use. Halves are widened to float32. Whole numbers stay on the host, where int64 is exact up to 2^53.
 * A constant that is an input, too, is what the input is unless a run gives another value (`overridable`); in files of the format's versions before 4,
 * which list all constants among the inputs, it stays a constant.
 * @param source the bytes of the .onnx file
 * @throws FormatError for bytes that are no such model, and for operators that are not supported: each is named with its node and domain
 * @throws DTypeError for what is no bytes
 * @see ONNX, "Open Neural Network Exchange Intermediate Representation" and "Operators"
 * @example
 * const session = loadModel(await (await fetch("model.onnx")).arrayBuffer());
 * const outputs = session.run({ input: tensor([[1, 2, 3]]) });
 */
export function loadModel(source: Uint8Array | ArrayBufferLike | ArrayBufferView): Session {
  return scope(() =>
    noGrad(() => {
      return new Session(parseModel(source));
    }),
  );
}
