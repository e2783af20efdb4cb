/**
 * RNN, GRU and LSTM, versions 7 to 22. Layout is an attribute from 14 on.
 *
 * Layers with the usual activations run in the fused kernels, others step by step. As in onnxruntime, `clip` bounds what the gates'
 * activations read, not the cell on its way to the output, and with `input_forget` the forget gate is 1 - i. A sequence of no steps
 * keeps its initial state.
 * @see ONNX, "Operators", LSTM, GRU and RNN
 */

import { checkLengths } from "../../base/checks.ts";
import { FormatError, ShapeError } from "../../base/errors.ts";
import { list, quote } from "../../base/quote.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { reshape } from "../../ops/broadcast.ts";
import { clamp } from "../../ops/compare.ts";
import { linear } from "../../ops/linear.ts";
import { elmanSequence } from "../../ops/recurrent/elman.ts";
import { gruSequence } from "../../ops/recurrent/gru.ts";
import { lstmSequence } from "../../ops/recurrent/lstm.ts";
import { type PackedRows, scanRows } from "../../ops/recurrent/rows.ts";
import { cat, select, slice, split, stack, transpose } from "../../ops/shape.ts";
import { packing } from "../../recurrence/packing.ts";
import { zeros } from "../../tensor/create.ts";
import { type Shape, sameShape, show } from "../../tensor/shape.ts";
import { copyOf } from "../../tensor/strided.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import type { Attributes, Node } from "../model.ts";
import { floats, listOf, type Value } from "../values.ts";
import { ACTIVATIONS, type Activation } from "./activations.ts";
import { type Given, heavy, type Operator, type Operators, type Reading } from "./operator.ts";

type Op = "RNN" | "GRU" | "LSTM";

/** What a layer does at each step. */
interface Settings {
  /** By name and as functions with their parameters, those of one direction. */
  readonly names: readonly string[];
  readonly activations: readonly Activation[];
  readonly clip: number | undefined;
  readonly inputForget: boolean;
  readonly resetAfter: boolean;
}

/** One direction's weights, with the blocks in the kernels' order. */
interface Weights {
  readonly ih: Tensor;
  readonly hh: Tensor;
  /** All biases outside of a reset. */
  readonly bias: Tensor | undefined;
  /** Inside a GRU's reset. */
  readonly resetBias: Tensor | undefined;
  /** For i, f and o. */
  readonly peepholes: Tensor | undefined;
}

/** Runs packed rows: outputs, then the last states. */
type Runner = (gx: Tensor, weights: Weights, states: readonly Tensor[], rows: PackedRows) => Tensor[];

interface Kind {
  readonly states: 1 | 2;
  /** Which of ONNX's blocks (z r h; i o f c) come first, second and so on in the kernels' order (r z n; i f g o). */
  readonly order: readonly number[];
  readonly activations: readonly string[];
  /** Whether the kernel computes what the settings say. */
  readonly fuses: (names: readonly string[]) => boolean;
  readonly fused: (settings: Settings) => Runner;
  readonly stepwise: (settings: Settings) => Runner;
}

const PEEPHOLES = [0, 2, 1];

/** What an activation reads, within ±clip. */
function clipped({ clip, activations }: Settings): Activation[] {
  return activations.map((fn) => (clip === undefined ? fn : (x) => fn(clamp(x, -clip, clip))));
}

const KINDS: Readonly<Record<Op, Kind>> = {
  RNN: {
    states: 1,
    order: [0],
    activations: ["Tanh"],
    fuses: ([f]) => f === "Tanh" || f === "Relu",
    fused: ({ names }) => {
      const nonlinearity = names[0] === "Relu" ? "relu" : "tanh";
      return (gx, { hh }, [h], rows) => {
        const { ys, h: last } = elmanSequence(gx, hh, h as Tensor, { ...rows, nonlinearity });
        return [ys, last];
      };
    },
    stepwise: (settings) => {
      const [f] = clipped(settings) as [Activation];
      return (gx, { hh }, states, rows) => scanRows(gx, states, rows, (x, [h]) => [f(add(x, linear(h as Tensor, hh)))]);
    },
  },
  GRU: {
    states: 1,
    order: [1, 0, 2],
    activations: ["Sigmoid", "Tanh"],
    fuses: (names) => names.join() === "Sigmoid,Tanh",
    fused:
      ({ resetAfter }) =>
      (gx, { hh, resetBias }, [h], rows) => {
        const { ys, h: last } = gruSequence(gx, hh, h as Tensor, { ...rows, resetAfter, ...(resetBias && { bias: resetBias }) });
        return [ys, last];
      },
    stepwise: stepwiseGru,
  },
  LSTM: {
    states: 2,
    order: [0, 2, 3, 1],
    activations: ["Sigmoid", "Tanh", "Tanh"],
    fuses: (names) => names.join() === "Sigmoid,Tanh,Tanh",
    fused:
      () =>
      (gx, { hh, peepholes }, [h, c], rows) => {
        const last = lstmSequence(gx, hh, h as Tensor, c as Tensor, { ...rows, ...(peepholes && { peepholes }) });
        return [last.ys, last.h, last.c];
      },
    stepwise: stepwiseLstm,
  },
};

/** z = f(·), r = f(·), n = g(gx_n + r∘(W_n h + b)) or g(gx_n + W_n (r∘h)), h' = (1 - z)∘n + z∘h. */
function stepwiseGru(settings: Settings): Runner {
  const [f, g] = clipped(settings) as [Activation, Activation];
  return (gx, { hh, resetBias }, states, rows) => {
    const H = hh.dim(1);
    const [wrz, wn] = split(hh, [2 * H, H]) as [Tensor, Tensor];
    return scanRows(gx, states, rows, (x, [h]) => {
      const before = h as Tensor;
      const [xrz, xn] = split(x, [2 * H, H], 1) as [Tensor, Tensor];
      const [r, z] = split(f(add(xrz, linear(before, wrz))), H, 1) as [Tensor, Tensor];
      const n = g(add(xn, settings.resetAfter ? mul(r, linear(before, wn, resetBias)) : linear(mul(r, before), wn)));
      return [add(n, mul(z, sub(before, n)))];
    });
  };
}

/** i = f(·), f = f(·) or 1 - i, g = g(·), c' = f∘c + i∘g, o = f(·), h' = o∘h(c'). */
function stepwiseLstm(settings: Settings): Runner {
  const [f, g] = clipped(settings) as [Activation, Activation];
  const h = settings.activations[2] as Activation;
  return (gx, { hh, peepholes }, states, rows) => {
    const H = hh.dim(1);
    const seen = (k: number, sums: Tensor, c: Tensor): Tensor => (peepholes ? add(sums, mul(slice(peepholes, 0, k, k + 1), c)) : sums);
    return scanRows(gx, states, rows, (x, [before, c]) => {
      const [si, sf, sg, so] = split(add(x, linear(before as Tensor, hh)), H, 1) as [Tensor, Tensor, Tensor, Tensor];
      const i = f(seen(0, si, c as Tensor));
      const forget = settings.inputForget ? sub(1, i) : f(seen(1, sf, c as Tensor));
      const next = add(mul(forget, c as Tensor), mul(i, g(sg)));
      return [mul(f(seen(2, so, next)), h(next)), next];
    });
  };
}

// ---- Attributes ----

/** Activations with their parameters, which are taken from the lists in turn by those that have some. */
function activationsOf(node: Node, names: readonly string[]): Activation[] {
  const [alphas, betas] = ["activation_alpha", "activation_beta"].map((name) => [...(node.attributes.floats(name) ?? [])]);
  return names.map((name) => {
    const known = Object.hasOwn(ACTIVATIONS, name) ? ACTIVATIONS[name] : undefined;
    if (known === undefined) {
      throw new FormatError(`onnx: expected activations of ${node.label} among ${list(Object.keys(ACTIVATIONS))}, got ${quote(name)}`);
    }
    const { alpha, beta, make } = known;
    return make(alpha === undefined ? 0 : (alphas?.shift() ?? alpha), beta === undefined ? 0 : (betas?.shift() ?? beta));
  });
}

/** An activation's name as it is written here: onnxruntime reads it in any case. */
function spelled(name: string): string {
  return Object.keys(ACTIVATIONS).find((known) => known.toLowerCase() === name.toLowerCase()) ?? name;
}

/** What every direction does. */
function settingsOf(node: Node, { activations: usual }: Kind, directions: number): Settings[] {
  const { attributes } = node;
  const all = Array.from({ length: directions }, () => usual).flat();
  const names = attributes.texts("activations")?.map(spelled) ?? all;
  if (names.length !== all.length) throw new FormatError(`onnx: expected ${all.length} activations of ${node.label}, got ${list(names)}`);
  const activations = activationsOf(node, names);
  const clip = attributes.float("clip", undefined);
  const [inputForget, resetAfter] = [attributes.flag("input_forget"), attributes.flag("linear_before_reset")];
  return Array.from({ length: directions }, (_, d) => {
    const part = <T>(values: readonly T[]): T[] => values.slice(d * usual.length, (d + 1) * usual.length);
    return { names: part(names), activations: part(activations), clip, inputForget, resetAfter };
  });
}

// ---- Weights ----

/** Blocks of rows in another order. */
function reordered(t: Tensor, order: readonly number[]): Tensor {
  if (order.length === 1) return t;
  const blocks = split(t, t.dim(0) / order.length);
  return cat(order.map((i) => blocks[i] as Tensor));
}

interface Arrays {
  readonly W: Tensor;
  readonly R: Tensor;
  readonly B: Tensor | null;
  readonly P: Tensor | null;
}

function weightsOf({ W, R, B, P }: Arrays, d: number, { order }: Kind, resetAfter: boolean): Weights {
  const [G, H] = [order.length, R.dim(2)];
  const halves = B && split(select(B, 0, d), G * H).map((half) => reordered(half, order));
  const [ih, hh] = (halves ?? []) as [Tensor, Tensor];
  const apart = halves !== null && G === 3 && resetAfter;
  const outside = apart ? cat([slice(hh, 0, 0, 2 * H), zeros([H], hh.dtype)]) : hh;
  return {
    ih: reordered(select(W, 0, d), order),
    hh: reordered(select(R, 0, d), order),
    bias: halves === null ? undefined : add(ih, outside),
    resetBias: apart ? slice(hh, 0, 2 * H) : undefined,
    peepholes: P === null ? undefined : reordered(reshape(select(P, 0, d), [3, H]), PEEPHOLES),
  };
}

/** Weights as constants of the model. */
function kept(weights: Weights, { keep }: Reading): Weights {
  const entries = Object.entries(weights) as [keyof Weights, Tensor | undefined][];
  return Object.fromEntries(entries.map(([name, t]) => [name, t && keep(copyOf(t))])) as unknown as Weights;
}

/** Constants are arranged once, what a graph computes anew at every run. */
function arranger(kind: Kind, settings: readonly Settings[], reading: Reading): (arrays: Arrays) => Weights[] {
  let known: { readonly arrays: Arrays; readonly weights: Weights[] } | null = null;
  const same = (a: Arrays, b: Arrays): boolean => a.W === b.W && a.R === b.R && a.B === b.B && a.P === b.P;
  return (arrays) => {
    if (known !== null && same(known.arrays, arrays)) return known.weights;
    const weights = settings.map(({ resetAfter }, d) => weightsOf(arrays, d, kind, resetAfter));
    const constant = Object.values(arrays).every((t: Tensor | null) => t === null || t.storage.pinned);
    if (constant) known = { arrays, weights: weights.map((each) => kept(each, reading)) };
    return known?.weights ?? weights;
  };
}

// ---- The operator ----

function check(name: string, t: Tensor | null, shape: Shape): void {
  if (t !== null && !sameShape(t.shape, shape)) throw new ShapeError(`expected ${name} of shape ${show(shape)}, got ${show(t.shape)}`);
}

interface Layer {
  readonly x: Tensor;
  readonly arrays: Arrays;
  readonly lengths: number[] | undefined;
  /** [D,B,H] each. */
  readonly initial: Tensor[];
}

/** The inputs, time-major, checked against each other. */
function layerOf(inputs: Given, kind: Kind, directions: number, swapped: boolean, hiddenSize: number | undefined): Layer {
  const at = (i: number): Tensor | null => (inputs[i] ? floats(inputs[i] as Value, `input ${i}`) : null);
  const timeMajor = (t: Tensor): Tensor => (swapped ? transpose(t, 0, 1) : t);
  const [X, W, R] = [at(0), at(1), at(2)] as [Tensor, Tensor, Tensor];
  if (X.rank !== 3 || R.rank !== 3) throw new ShapeError(`expected X and R of three axes, got ${show(X.shape)} and ${show(R.shape)}`);
  const x = timeMajor(X);
  const [T, B, I] = x.shape as [number, number, number];
  const [G, H] = [kind.order.length, R.dim(2)];
  if (hiddenSize !== undefined && hiddenSize !== H) throw new ShapeError(`expected R of hidden_size ${hiddenSize}, got ${show(R.shape)}`);
  const arrays = { W, R, B: at(3), P: kind.states === 2 ? at(7) : null };
  check("W", W, [directions, G * H, I]);
  check("R", R, [directions, G * H, H]);
  check("B", arrays.B, [directions, 2 * G * H]);
  check("P", arrays.P, [directions, 3 * H]);
  const initial = Array.from({ length: kind.states }, (_, i) => {
    const given = at(5 + i);
    const state = given ? timeMajor(given) : zeros([directions, B, H], X.dtype);
    check(i === 0 ? "initial_h" : "initial_c", state, [directions, B, H]);
    return state;
  });
  const lengths = inputs[4] ? listOf(inputs[4], "sequence_lens") : undefined;
  if (lengths) checkLengths("sequence_lens", lengths, B, T);
  return { x, arrays, lengths, initial };
}

/** Y [T,D,B,H], and the last states [D,B,H]. */
function runLayer({ x, lengths, initial }: Layer, weights: readonly Weights[], runners: readonly Runner[], reverse: readonly boolean[]) {
  const [T, B] = x.shape as [number, number];
  const results = runners.map((run, d) => {
    const own = weights[d] as Weights;
    const start = initial.map((state) => select(state, 0, d));
    if (T === 0 || B === 0) return [zeros([T, B, (start[0] as Tensor).dim(1)], x.dtype), ...start];
    const { rows, pack, unpack, sort, restore } = packing(T, B, lengths, reverse[d] as boolean);
    const gx = linear(pack(x), own.ih, own.bias);
    const [ys, ...last] = run(gx, own, start.map(sort), rows) as [Tensor, ...Tensor[]];
    return [unpack(ys), ...last.map(restore)];
  });
  const [ys, ...states] = (results[0] as Tensor[]).map((_, i) =>
    stack(
      results.map((parts) => parts[i] as Tensor),
      i === 0 ? 1 : 0,
    ),
  );
  return { ys: ys as Tensor, states };
}

/** Which directions are walked backwards. */
function reversed(attributes: Attributes): boolean[] {
  const direction = attributes.oneOf("direction", ["forward", "reverse", "bidirectional"], "forward");
  return direction === "bidirectional" ? [false, true] : [direction === "reverse"];
}

function recurrent(op: Op): Operator {
  const kind = KINDS[op];
  return heavy(3, (node, reading) => {
    const { attributes } = node;
    const reverse = reversed(attributes);
    const settings = settingsOf(node, kind, reverse.length);
    const swapped = attributes.flag("layout");
    const hiddenSize = attributes.int("hidden_size", undefined);
    const arrange = arranger(kind, settings, reading);
    const runners = settings.map((each) => {
      const fused = kind.fuses(each.names) && each.clip === undefined && !each.inputForget;
      return fused ? kind.fused(each) : kind.stepwise(each);
    });
    return (inputs) => {
      const layer = layerOf(inputs, kind, reverse.length, swapped, hiddenSize);
      const { ys, states } = runLayer(layer, arrange(layer.arrays), runners, reverse);
      if (!swapped) return [ys, ...states];
      // [T,D,B,H] to [B,T,D,H], [D,B,H] to [B,D,H].
      return [transpose(transpose(ys, 1, 2), 0, 1), ...states.map((state) => transpose(state, 0, 1))];
    };
  });
}

export const recurrentLayers: Operators = { RNN: recurrent("RNN"), GRU: recurrent("GRU"), LSTM: recurrent("LSTM") };
