/** Recurrent weights in the layouts of PyTorch, ONNX and Keras. */

import { noGrad } from "../autodiff/tape.ts";
import { checkMap } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import { Module } from "../nn/module.ts";
import { reshape } from "../ops/broadcast.ts";
import { select, slice, transpose } from "../ops/shape.ts";
import type { GRU, LSTM, RNN } from "../recurrence/rnn.ts";
import type { GRUCell, LSTMCell, RNNCell } from "../recurrence/rnn-cells.ts";
import { zeros } from "../tensor/create.ts";
import { type Shape, sameShape, show } from "../tensor/shape.ts";
import { copyInto } from "../tensor/strided.ts";
import { empty, scope, Tensor, tensor } from "../tensor/tensor.ts";

/** Whose layout weights are in: the order of gates, the biases, and which axis comes first. */
export type Layout = "torch" | "onnx" | "keras";

/** What can be exported and imported. */
export type RecurrentModule = RNN | LSTM | GRU | RNNCell | LSTMCell | GRUCell;

type Arrays = ReadonlyMap<string, Tensor>;

/** Where a parameter lies in the arrays of a layout. */
interface Place {
  readonly array: string;
  /** Of the whole array. */
  readonly shape: Shape;
  /** The part of the array that is the parameter but for the order of its blocks of rows. */
  readonly part: (array: Tensor) => Tensor;
  /** Which of the parameter's blocks stands first, second and so on. */
  readonly order: readonly number[];
}

/** Places by a parameter's name, without the suffix. */
type Places = Readonly<Record<string, Place>>;

/** One layer in one direction. */
interface Unit {
  readonly own: Arrays;
  /** What follows PyTorch's names: "_l0_reverse"; nothing for a cell. */
  readonly suffix: string;
  /** What stands before the other layouts' names: "layers.0."; nothing where there is one layer. */
  readonly prefix: string;
  readonly direction: number;
  readonly directions: number;
  readonly inputSize: number;
  readonly hiddenSize: number;
  /** Height of the weights: hiddenSize for each gate. */
  readonly rows: number;
  readonly resetAfter: boolean;
}

const LAYOUTS: Readonly<Record<Layout, (unit: Unit) => Places>> = { torch: torchPlaces, onnx: onnxPlaces, keras: kerasPlaces };

/** Our blocks in ONNX's order, by number of gates: z r h of r z n, and i o f c of i f g o. */
const ONNX_ORDERS: Readonly<Record<number, readonly number[]>> = { 1: [0], 3: [1, 0, 2], 4: [0, 3, 1, 2] };
/** In Keras's: z r h of r z n, and i f c o as here. */
const KERAS_ORDERS: Readonly<Record<number, readonly number[]>> = { 1: [0], 3: [1, 0, 2], 4: [0, 1, 2, 3] };

const whole = (array: Tensor): Tensor => array;

function gatesOf({ rows, hiddenSize }: Unit): number {
  return rows / hiddenSize;
}

/** PyTorch's order and names are the library's own. No peepholes, no projected cells, no place for a GRU that resets before the product. */
function torchPlaces(unit: Unit): Places {
  const { own, suffix, rows, resetAfter } = unit;
  if (gatesOf(unit) === 3 && !resetAfter) return {};
  const names = ["weight_ih", "weight_hh", ...(suffix === "" ? [] : ["weight_hr"])];
  const place = (name: string, shape: Shape): Place => ({ array: name + suffix, shape, part: whole, order: [0] });
  const weights = names.flatMap((name) => {
    const parameter = own.get(name + suffix);
    return parameter ? [[name, place(name, parameter.shape)] as const] : [];
  });
  return { ...Object.fromEntries(weights), bias_ih: place("bias_ih", [rows]), bias_hh: place("bias_hh", [rows]) };
}

/** W [D,G·H,I], R [D,G·H,H], B [D,2·G·H] = [Wb, Rb], P [D,3·H] in the order i o f. */
function onnxPlaces(unit: Unit): Places {
  const { prefix, direction, directions, inputSize, hiddenSize, rows } = unit;
  const order = ONNX_ORDERS[gatesOf(unit)] as readonly number[];
  const half = (array: Tensor, i: number): Tensor => slice(select(array, 0, direction), 0, i * rows, (i + 1) * rows);
  const place = (name: string, shape: Shape, part = (array: Tensor) => select(array, 0, direction)): Place => {
    return { array: prefix + name, shape: [directions, ...shape], part, order };
  };
  return {
    weight_ih: place("W", [rows, inputSize]),
    weight_hh: place("R", [rows, hiddenSize]),
    bias_ih: place("B", [2 * rows], (array) => half(array, 0)),
    bias_hh: place("B", [2 * rows], (array) => half(array, 1)),
    weight_peephole: {
      ...place("P", [3 * hiddenSize], (array) => reshape(select(array, 0, direction), [3, hiddenSize])),
      order: [0, 2, 1],
    },
  };
}

/** kernel [I,G·H], recurrent_kernel [H,G·H], and bias [G·H], or [2,G·H] for a GRU that resets after the product. */
function kerasPlaces(unit: Unit): Places {
  const { direction, directions, inputSize, hiddenSize, rows, resetAfter } = unit;
  const prefix = unit.prefix + (directions === 1 ? "" : (["forward_layer.", "backward_layer."][direction] as string));
  const order = KERAS_ORDERS[gatesOf(unit)] as readonly number[];
  const place = (name: string, shape: Shape, part: Place["part"]): Place => ({ array: prefix + name, shape, part, order });
  const weights = {
    weight_ih: place("kernel", [inputSize, rows], transpose),
    weight_hh: place("recurrent_kernel", [hiddenSize, rows], transpose),
  };
  if (!resetAfter) return { ...weights, bias_ih: place("bias", [rows], whole) };
  const biasOf = (side: number): Place => place("bias", [2, rows], (array) => select(array, 0, side));
  return { ...weights, bias_ih: biasOf(0), bias_hh: biasOf(1) };
}

/** The layers and directions of a module. */
/** @throws DTypeError for a module without the weights of a recurrent one */
function unitsOf(op: string, module: RecurrentModule): Unit[] {
  const own = module.stateDict();
  const [layers, directions] = "numLayers" in module ? [module.numLayers, module.bidirectional ? 2 : 1] : [0, 1];
  return Array.from({ length: Math.max(layers, 1) * directions }, (_, i) => {
    const layer = Math.floor(i / directions);
    const direction = i % directions;
    const suffix = layers === 0 ? "" : `_l${layer}${direction === 1 ? "_reverse" : ""}`;
    const weight = own.get(`weight_ih${suffix}`);
    if (weight === undefined) throw new DTypeError(`${op}: expected an RNN, GRU or LSTM or a cell of one, got ${module.constructor.name}`);
    const [rows, inputSize] = weight.shape as [number, number];
    return {
      own,
      suffix,
      prefix: layers > 1 ? `layers.${layer}.` : "",
      direction,
      directions,
      inputSize,
      hiddenSize: module.hiddenSize,
      rows,
      resetAfter: "resetAfter" in module && module.resetAfter,
    };
  });
}

/**
 * The places of all parameters by full name. Among them is the second bias of a module that has only one, which then stands
 * for zeros; it is absent where the layout keeps the sum of both in the place of the first.
 */
function placesOf(op: string, module: RecurrentModule, layout: Layout): Map<string, Place> {
  if (!((module as unknown) instanceof Module)) throw new DTypeError(`${op}: expected a recurrent module, got ${quote(module)}`);
  const units = unitsOf(op, module);
  if (!Object.hasOwn(LAYOUTS, layout)) {
    throw new ArgumentError(`${op}: expected layout "torch", "onnx" or "keras", got ${quote(layout)}`);
  }
  const own = module.stateDict();
  const places = new Map<string, Place>();
  for (const unit of units) {
    for (const [name, place] of Object.entries(LAYOUTS[layout](unit))) {
      const present = own.has((name === "bias_hh" ? "bias_ih" : name) + unit.suffix);
      if (present) places.set(name + unit.suffix, place);
    }
  }
  for (const name of own.keys()) if (!places.has(name) && !isSecondBias(name)) cannotHold(op, module, layout, name);
  return places;
}

/** One of these without a place of its own is held as part of a sum. */
function isSecondBias(name: string): boolean {
  return name.startsWith("bias_hh");
}

function cannotHold(op: string, module: RecurrentModule, layout: Layout, name: string): never {
  const what = name.startsWith("weight_ih") ? "a reset before the recurrent product (resetAfter: false)" : name;
  throw new ArgumentError(`${op}: expected a module that layout "${layout}" can hold, got ${module.constructor.name} with ${what}`);
}

/** Copies between a part of an array and a parameter, block by block. */
function copyBlocks(part: Tensor, parameter: Tensor, order: readonly number[], into: "part" | "parameter"): void {
  const height = part.dim(0) / order.length;
  const block = (t: Tensor, i: number): Tensor => slice(t, 0, i * height, (i + 1) * height);
  for (const [i, j] of order.entries()) {
    if (into === "part") copyInto(block(part, i), block(parameter, j));
    else copyInto(block(parameter, j), block(part, i));
  }
  if (into === "parameter") parameter.storage.noteWrite();
}

/** b + b', as the layers add them; adding nothing keeps the bits. */
function sumOfBiases(b: Tensor, second: Tensor): Tensor {
  const values = second.data();
  return tensor(
    b.data().map((v, i) => (values[i] === 0 ? v : v + (values[i] as number))),
    { shape: b.shape },
  );
}

/**
 * A module's weights as arrays of another framework, by name; copies, in the module's dtype.
 *
 * | layout | arrays | blocks |
 * |---|---|---|
 * | torch | PyTorch's state dict: `weight_ih_l0`, …, `bias_hh_l1_reverse`; for cells without suffix | i f g o; r z n |
 * | onnx | `W` [D,G·H,I], `R` [D,G·H,H], `B` [D,2·G·H] = [Wb, Rb], `P` [D,3·H] (i o f); D directions, forward first | i o f c; z r h |
 * | keras | `kernel` [I,G·H], `recurrent_kernel` [H,G·H], `bias` [G·H], or [2,G·H] for a GRU with `resetAfter` | i f c o; z r h |
 *
 * ONNX and Keras know single layers: with more than one, names begin with `layers.0.`, `layers.1.`, …. Of both directions
 * Keras keeps `forward_layer.` and `backward_layer.`. In ONNX a GRU's `linear_before_reset` is 1 exactly if `resetAfter`.
 * Where a layout has one bias, it gets the sum of both; where it has two and the module one, the second is zero.
 *
 * @throws DTypeError for what is no recurrent module
 * @throws ArgumentError for an unknown layout, and for what the layout cannot hold: peepholes (torch, keras), projections
 *   (onnx, keras; torch for cells), a GRU with `resetAfter: false` (torch)
 * @example const { W, R, B } = Object.fromEntries(exportWeights(new LSTM({ inputSize: 4, hiddenSize: 8 }), "onnx"));
 */
export function exportWeights(module: RecurrentModule, layout: Layout): Map<string, Tensor> {
  const places = placesOf("exportWeights", module, layout);
  return scope(() => noGrad(() => arraysOf(module.stateDict(), places)));
}

function arraysOf(own: Arrays, places: ReadonlyMap<string, Place>): Map<string, Tensor> {
  const arrays = new Map<string, Tensor>();
  const { dtype } = own.values().next().value as Tensor;
  for (const [name, { array, shape, part, order }] of places) {
    const target = arrays.get(array) ?? zeros(shape, dtype);
    arrays.set(array, target);
    const parameter = own.get(name);
    if (parameter === undefined) continue;
    const second = name.replace("bias_ih", "bias_hh");
    const folded = places.has(second) ? undefined : own.get(second);
    copyBlocks(part(target), folded ? sumOfBiases(parameter, folded) : parameter, order, "part");
  }
  return arrays;
}

/**
 * Overwrites a module's weights with arrays of another framework, named and shaped as `exportWeights` says; values are
 * rounded to the module's dtype. What was imported is exported again to the bit. Everything is checked before anything is
 * changed. One bias for a module of two becomes the first, the second zero; two for a module of one are refused unless the
 * recurrent one is zero: inside a GRU's reset they could not be added.
 *
 * @throws FormatError for missing or unknown arrays
 * @throws ShapeError, DTypeError for an array of another shape, or not of floats
 * @throws ArgumentError as `exportWeights`, and for a second bias that a module of one bias cannot take
 * @example importWeights(gru, "keras", new Map([["kernel", k], ["recurrent_kernel", r], ["bias", b]]));
 */
export function importWeights(module: RecurrentModule, layout: Layout, arrays: ReadonlyMap<string, Tensor>): void {
  const places = placesOf("importWeights", module, layout);
  checkArrays(arrays, places);
  scope(() => noGrad(() => module.loadStateDict(parametersOf(module.stateDict(), arrays, places))));
}

function checkArrays(arrays: Arrays, places: ReadonlyMap<string, Place>): void {
  checkMap("importWeights", "the arrays", arrays);
  const shapes = new Map(Array.from(places.values(), ({ array, shape }) => [array, shape]));
  const unknown = [...arrays.keys()].find((name) => !shapes.has(name));
  if (unknown !== undefined)
    throw new FormatError(`importWeights: expected arrays ${[...shapes.keys()].join(", ")}, got ${shorten(String(unknown))}`);
  for (const [name, shape] of shapes) {
    const array = arrays.get(name);
    if (array === undefined) throw new FormatError(`importWeights: expected an array ${name} ${show(shape)}, got none`);
    if (!(array instanceof Tensor)) throw new DTypeError(`importWeights: expected a tensor as ${name}, got ${quote(array)}`);
    if (!isFloat(array.dtype)) throw new DTypeError(`importWeights: expected ${name} of floats, got ${array.dtype}`);
    if (!sameShape(array.shape, shape)) {
      throw new ShapeError(`importWeights: expected ${name} of shape ${show(shape)}, got ${show(array.shape)}`);
    }
  }
}

function parametersOf(own: Arrays, arrays: Arrays, places: ReadonlyMap<string, Place>): Map<string, Tensor> {
  const values = new Map<string, Tensor>();
  for (const [name, { array, part, order }] of places) {
    const source = part(arrays.get(array) as Tensor);
    const value = empty(source.shape, source.dtype);
    copyBlocks(source, value, order, "parameter");
    if (own.has(name)) values.set(name, value);
    else checkNothing(name, array, value);
  }
  for (const [name, parameter] of own) if (!values.has(name)) values.set(name, zeros(parameter.shape, parameter.dtype));
  return values;
}

/** A bias that the module lacks must be zero. */
function checkNothing(name: string, array: string, value: Tensor): void {
  if (value.data().every((v) => Object.is(v, 0))) return;
  throw new ArgumentError(`importWeights: expected zeros for ${name} in ${array}, since the module has one bias, got other values`);
}
