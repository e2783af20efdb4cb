/** Models of this library as ONNX files. */

import { noGrad } from "../../autodiff/tape.ts";
import { checkFunction, checkList, checkOptions, checkText, isRecord } from "../../base/checks.ts";
import { type DType, isFloat } from "../../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../base/errors.ts";
import { quote } from "../../base/quote.ts";
import { checkModule, type Module } from "../../nn/module.ts";
import { broadcastTo } from "../../ops/broadcast.ts";
import { slice } from "../../ops/shape.ts";
import { zeros } from "../../tensor/create.ts";
import { Generator } from "../../tensor/random.ts";
import { sameShape, show } from "../../tensor/shape.ts";
import { scope, Tensor } from "../../tensor/tensor.ts";
import { dimension, isConstant, type Sizes, sizesFor } from "./dimensions.ts";
import { type Axis, cannot, type Graph, Model, placeOf } from "./graph.ts";
import { attribute, ELEMENT_TYPES, modelMessage, valueMessage } from "./messages.ts";
import { emitOperation, Pair, readBy } from "./operations.ts";
import { emitLayers, emitScan, type Lengths } from "./recurrences.ts";
import { type Event, hasMachines, inputsOf, type Operation, type Scanned, type Scans, traced } from "./trace.ts";

/** The version of ONNX's operators that files are written in. */
const OPSET = 17;

/** An input of a model: lengths of its axes, and names for those that stay open. */
export interface ExportInput {
  readonly shape: readonly (number | string)[];
  /** Default "float32". */
  readonly dtype?: DType;
}

export interface ExportOptions {
  /** What the model takes, by name, in the order in which `forward` gets it. */
  readonly inputs: Readonly<Record<string, ExportInput>>;
  /**
   * The name of one more input, int64 [B]: the steps of each sequence. `forward` then gets lengths as its last argument, for `scan` or `forward` of
   * recurrences; their batch must be the open length that `batch` names.
   */
  readonly lengths?: { readonly name: string; readonly time: string; readonly batch: string };
  /** What is exported, if it is not `model.forward`: from the inputs to a tensor, or to tensors by name, such as `{ output, state }`. */
  readonly forward?: (inputs: Readonly<Record<string, Tensor>>, lengths: readonly number[]) => object;
}

/** Tensors found in a result, by name: `output`, or names of fields joined by dots. */
function named(value: unknown, path: string): [string, Tensor][] {
  if (value instanceof Tensor) return [[path === "" ? "output" : path, value]];
  if (typeof value !== "object" || value === null) {
    throw new DTypeError(`exportModel: expected forward to return tensors, got ${quote(value)}${path === "" ? "" : ` as ${path}`}`);
  }
  return Object.entries(value).flatMap(([name, part]) => named(part, path === "" ? name : `${path}.${name}`));
}

/** One run of a model. */
interface Run {
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: readonly (readonly [string, Tensor])[];
  /** Only what the outputs depend on. */
  readonly events: readonly Event[];
}

function checkInputs(inputs: ExportOptions["inputs"]): void {
  if (!isRecord(inputs) || Object.keys(inputs).length === 0) {
    throw new ArgumentError(`exportModel: expected inputs by name, got ${quote(inputs)}`);
  }
  for (const [name, input] of Object.entries(inputs)) {
    if (!isRecord(input)) throw new DTypeError(`exportModel: expected input ${name} as { shape }, got ${quote(input)}`);
    checkOptions(`exportModel: input ${name}`, input as ExportInput, ["shape", "dtype"]);
    const { shape, dtype = "float32" } = input as unknown as ExportInput;
    checkList("exportModel", `the shape of ${name}`, shape);
    const wrong = shape.find((d) => !(typeof d === "string" && d !== "") && !(Number.isSafeInteger(d) && (d as number) > 0));
    if (wrong !== undefined)
      throw new ShapeError(`exportModel: expected lengths or names of lengths in the shape of ${name}, got ${quote(wrong)}`);
    if (!Object.hasOwn(ELEMENT_TYPES, dtype)) throw new DTypeError(`exportModel: expected a dtype of input ${name}, got ${quote(dtype)}`);
  }
}

/** What the outputs depend on, in order. */
function needed(events: readonly Event[], outputs: readonly Tensor[]): Event[] {
  const wanted = new Set(outputs.map(placeOf));
  const kept: Event[] = [];
  for (const event of events.toReversed()) {
    if (!event.outputs.some((t) => wanted.has(placeOf(t)))) continue;
    for (const t of event.kind === "operation" ? readBy(event) : inputsOf(event)) wanted.add(placeOf(t));
    kept.push(
      event.kind === "scan"
        ? { ...event, body: { ...event.body, events: needed(event.body.events, [...event.body.next, event.body.y]) } }
        : event,
    );
  }
  return kept.reverse();
}

/** Both runs beside each other, as nodes. */
class Exporter {
  readonly #model: Model;
  readonly #sizes: Sizes;
  /** Parameters and buffers by name. */
  readonly #weights: ReadonlyMap<Tensor, string>;
  readonly #written = new Map<Tensor, string>();
  readonly #lengths: Lengths | null;

  constructor(model: Model, sizes: Sizes, weights: ReadonlyMap<Tensor, string>, lengths: Lengths | null) {
    this.#model = model;
    this.#sizes = sizes;
    this.#weights = weights;
    this.#lengths = lengths;
  }

  events(g: Graph, first: readonly Event[], second: readonly Event[]): void {
    if (first.length !== second.length)
      cannot("a model that takes another number of operations for other lengths: scan sequences instead of walking over them");
    for (const [i, event] of first.entries()) {
      const other = second[i] as Event;
      if (event.kind !== other.kind || event.name !== other.name)
        cannot(`a model that runs ${other.name} in the place of ${event.name} for other lengths`);
      const names = this.#emit(g, event, other);
      for (const [k, t] of event.outputs.entries()) {
        const name = names[k];
        if (name !== undefined) g.set(t, name);
      }
    }
  }

  #emit(g: Graph, event: Event, other: Event): string[] {
    if (event.kind === "operation") {
      const [own, theirs] = [readBy(event), readBy(other as Operation)];
      const names = own.map((t, i) => this.value(g, t, theirs[i] as Tensor));
      return emitOperation(g, names, new Pair(event, other as Operation, this.#sizes));
    }
    const [xs, ...start] = inputsOf(event).map((t, i) => this.value(g, t, inputsOf(other)[i] as Tensor)) as [string, ...string[]];
    if (event.kind === "layers") return emitLayers(g, event, xs, event.start === null ? null : start, this.#lengths);
    const body = (other as Scanned).body;
    return emitScan(g, event, xs, start, this.#lengths, (inner) => {
      this.events(inner, event.body.events, body.events);
      // What a step passes on unchanged has a name only once it is read.
      for (const [i, t] of [...event.body.next, event.body.y].entries()) {
        inner.set(t, this.value(inner, t, [...body.next, body.y][i] as Tensor));
      }
    });
  }

  /** The name of a tensor; one that nothing has computed is a constant. */
  value(g: Graph, t: Tensor, other: Tensor): string {
    const known = g.get(t) ?? this.#written.get(t);
    if (known !== undefined) return known;
    const name = this.#constant(t, other);
    this.#written.set(t, name);
    return name;
  }

  #constant(t: Tensor, other: Tensor): string {
    const weight = this.#weights.get(t);
    if (weight !== undefined) return this.#model.tensor(weight, t);
    if (sameShape(t.shape, other.shape)) {
      const values = other.data();
      if (t.data().every((v, i) => Object.is(v, values[i]))) return this.#model.tensor("constant", t);
      cannot(`values ${show(t.shape)} that were computed on the host from inputs`);
    }
    if (t.rank !== other.rank) cannot(`a constant of ${t.rank} axes, or ${other.rank}`);
    const dims = t.shape.map(
      (d, i) => dimension(d, other.shape[i] as number, this.#sizes) ?? cannot(`a constant of shape ${show(t.shape)}`),
    );
    const [one, same] = [t, other].map((of) => dims.reduce((part, d, axis) => (isConstant(d) ? part : firstOfEqual(part, axis)), of)) as [
      Tensor,
      Tensor,
    ];
    return this.#model.root.add("Expand", [this.#constant(one, same), this.#model.dimensions(dims)]);
  }
}

/** The first entry of an axis whose entries are all alike. */
function firstOfEqual(t: Tensor, axis: number): Tensor {
  const first = slice(t, axis, 0, 1);
  const [values, repeated] = [t.data(), broadcastTo(first, t.shape).data()];
  if (values.every((v, i) => Object.is(v, repeated[i]))) return first;
  return cannot(`a constant ${show(t.shape)} whose values differ along an open length`);
}

/** Small values that differ from run to run; zeros for whole numbers, which may be indices. */
function sample(shape: readonly number[], dtype: DType, seed: number): Tensor {
  if (isFloat(dtype)) return new Generator(seed).normal(shape, 0, 0.1, dtype);
  return zeros(shape, dtype);
}

/** Lengths of a batch, not all alike. */
const unequal = (T: number, B: number): number[] => Array.from({ length: B }, (_, b) => T - (b % 3));

/**
 * A model as the bytes of an .onnx file, which ONNX Runtime and `loadModel` run. Layers RNN, LSTM and GRU become ONNX's own; every other recurrence
 * becomes a Scan over its step. Lengths that have names, such as those of time and batch, stay open.
 * In float64 ONNX Runtime (1.30) runs such Scans, but not ONNX's layers, which it has for float32 alone.
 *
 * The model runs twice on inputs of two sizes, in evaluation mode, and what it does is written down: so what depends on values
 * of the inputs on the host cannot be exported.
 * @returns the file's bytes, in version 17 of ONNX's operators
 * @throws ArgumentError for an operation that ONNX's operators do not have, for values read on the host, and for steps that are taken one by one over
 *   an open length; DTypeError, ShapeError for inputs that are none
 * @example
 * const bytes = exportModel(lstm, { inputs: { x: { shape: ["time", "batch", 4] } }, forward: ({ x }) => ({ y: lstm.forward(x).output }) });
 * await writeFile("model.onnx", bytes);
 */
export function exportModel(model: Module, options: ExportOptions): Uint8Array<ArrayBuffer> {
  checkModule("exportModel", model);
  checkOptions("exportModel", options, ["inputs", "lengths", "forward"]);
  const { inputs, lengths } = options;
  checkInputs(inputs);
  const forward = options.forward ?? ((given, steps) => defaultForward(model, Object.values(given), lengths === undefined ? null : steps));
  checkFunction("exportModel", "forward", forward);
  const open = [...new Set(Object.values(inputs).flatMap(({ shape }) => shape.filter((d) => typeof d === "string")))];
  if (lengths !== undefined) checkLengthsOption(lengths, open, inputs);
  const sizes = sizesFor("exportModel", open);
  const modes = Array.from(model.modules(), (module) => [module, module.training] as const);
  try {
    model.eval();
    return scope(() => noGrad(() => firstThatWorks(model, { ...options, forward }, sizes)));
  } finally {
    for (const [module, training] of modes) module.training = training;
  }
}

function defaultForward(model: Module, given: readonly Tensor[], lengths: readonly number[] | null): Tensor {
  const { forward } = model as unknown as { forward?: (...args: unknown[]) => Tensor };
  if (typeof forward !== "function")
    throw new ArgumentError(`exportModel: expected forward, since ${model.constructor.name} has none of its own`);
  return forward.call(model, ...given, ...(lengths === null ? [] : [{ lengths }]));
}

function checkLengthsOption(
  lengths: NonNullable<ExportOptions["lengths"]>,
  open: readonly string[],
  inputs: ExportOptions["inputs"],
): void {
  checkOptions("exportModel: lengths", lengths, ["name", "time", "batch"]);
  checkText("exportModel", "lengths.name", lengths.name);
  if (Object.hasOwn(inputs, lengths.name))
    throw new ArgumentError(`exportModel: expected a name of its own for lengths, got ${quote(lengths.name)} twice`);
  for (const name of ["time", "batch"] as const) {
    if (open.includes(lengths[name])) continue;
    throw new ArgumentError(`exportModel: expected lengths.${name} to name an open length of an input, got ${quote(lengths[name])}`);
  }
}

type Complete = ExportOptions & Required<Pick<ExportOptions, "forward">>;

function runOnce(model: Module, { inputs, lengths, forward }: Complete, sizes: Sizes, run: 0 | 1, scans: Scans): Run {
  const size = (d: number | string): number => (typeof d === "number" ? d : (sizes.get(d)?.[run] as number));
  const given = Object.fromEntries(
    Object.entries(inputs).map(([name, { shape, dtype = "float32" }], i) => [name, sample(shape.map(size), dtype, 2 * i + run)]),
  );
  const steps = lengths === undefined ? [] : unequal(size(lengths.time), size(lengths.batch));
  const { result, events } = traced(model, scans, () => named(forward(given, steps), ""));
  if (result.length === 0) throw new ArgumentError("exportModel: expected forward to return at least one tensor, got none");
  return {
    inputs: given,
    outputs: result,
    events: needed(
      events,
      result.map(([, t]) => t),
    ),
  };
}

/** Machines made of other recurrences are the scans of these if they can be, and else one scan of their own step. */
function firstThatWorks(module: Module, options: Complete, sizes: Sizes): Uint8Array<ArrayBuffer> {
  try {
    return written(module, options, sizes, "parts");
  } catch (error) {
    if (!(error instanceof ArgumentError) || !hasMachines(module)) throw error;
    return written(module, options, sizes, "steps");
  }
}

function written(module: Module, options: Complete, sizes: Sizes, scans: Scans): Uint8Array<ArrayBuffer> {
  const [first, second] = [0, 1].map((run) => runOnce(module, options, sizes, run as 0 | 1, scans)) as [Run, Run];
  const { inputs, lengths } = options;
  const reserved = [...Object.keys(inputs), ...(lengths === undefined ? [] : [lengths.name]), ...first.outputs.map(([name]) => name)];
  const twice = reserved.find((name, i) => reserved.indexOf(name) !== i);
  if (twice !== undefined)
    throw new ArgumentError(`exportModel: expected inputs and outputs with names of their own, got ${quote(twice)} twice`);
  const model = new Model(axesOf(inputs), reserved);
  const g = model.root;
  for (const [name, t] of Object.entries(first.inputs)) g.set(t, name);
  const weights = new Map(Array.from(module.stateDict(), ([name, t]) => [t, name]));
  const exporter = new Exporter(model, sizes, weights, lengths === undefined ? null : lengthsIn(g, lengths.name));
  exporter.events(g, first.events, second.events);
  const outputs = first.outputs.map(([name, t], i) => {
    const other = (second.outputs[i] as readonly [string, Tensor])[1];
    g.give(exporter.value(g, t, other), name);
    const dims = t.shape.map((d, axis) => (other.shape[axis] === d ? d : nameOf(d, other.shape[axis] as number, sizes)));
    return valueMessage(name, t.dtype, dims);
  });
  const takes = Object.entries(inputs).map(([name, { shape, dtype = "float32" }]) => valueMessage(name, dtype, shape));
  if (lengths !== undefined) takes.push(valueMessage(lengths.name, "int64", [lengths.batch]));
  return modelMessage(g.message(module.constructor.name, takes, outputs, model.constants), OPSET);
}

/** What an open length of an output is called: the length itself, or some other one. */
function nameOf(a: number, b: number, sizes: Sizes): string {
  const found = dimension(a, b, sizes);
  if (found === null) return "unknown";
  const { factor, lengths, offset } = found;
  return `${factor === 1 ? "" : `${factor}*`}${lengths.join("*")}${offset === 0 ? "" : `${offset > 0 ? "+" : ""}${offset}`}`;
}

function axesOf(inputs: ExportOptions["inputs"]): Map<string, Axis> {
  const axes = new Map<string, Axis>();
  for (const [input, { shape }] of Object.entries(inputs)) {
    shape.forEach((d, axis) => {
      if (typeof d === "string" && !axes.has(d)) axes.set(d, { input, axis });
    });
  }
  return axes;
}

function lengthsIn(g: Graph, name: string): Lengths {
  const steps = g.add("Cast", [name], { to: attribute.int(ELEMENT_TYPES.int32) });
  return {
    steps,
    running(inner: Graph, xs: string): string {
      const { model } = inner;
      const T = inner.add("Gather", [inner.add("Shape", [xs]), inner.add("Squeeze", [model.list([0]), model.list([0])])], {
        axis: attribute.int(0),
      });
      const [zero, one] = [0, 1].map((v) => inner.add("Squeeze", [model.list([v]), model.list([0])])) as [string, string];
      const times = inner.add("Unsqueeze", [inner.add("Range", [zero, T, one]), model.list([1])]);
      return inner.add("Less", [times, inner.add("Unsqueeze", [name, model.list([0])])]);
    },
  };
}
