/** What a model does, noted as it does it: operations, scans of cells with their step, and whole layers. */

import { type Observer, observing } from "../../autodiff/observer.ts";
import type { Inputs, Primitive } from "../../autodiff/primitive.ts";
import { replaceMethods } from "../../learning/using-gradients.ts";
import type { Module } from "../../nn/module.ts";
import { select } from "../../ops/shape.ts";
import {
  Cell,
  isRecurrence,
  movesAs,
  type Recurrence,
  type ScanOptions,
  scanParts,
  scanSteps,
  startOf,
} from "../../recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../../recurrence/rnn.ts";
import { type State, stateTensors } from "../../recurrence/state.ts";
import { copyOf } from "../../tensor/strided.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { cannot } from "./graph.ts";

/** One operation. */
export interface Operation {
  readonly kind: "operation";
  readonly name: string;
  readonly inputs: Inputs;
  readonly outputs: readonly Tensor[];
  readonly params: unknown;
}

/** A cell's step, traced once with tensors of its own. */
export interface Body {
  readonly slices: readonly Tensor[];
  readonly carry: readonly Tensor[];
  readonly events: readonly Event[];
  readonly y: Tensor;
  readonly next: readonly Tensor[];
}

/** A step over a sequence. */
export interface Scanned {
  readonly kind: "scan";
  readonly name: string;
  readonly xs: Tensor;
  /** Whether the step also takes which sequences still run. */
  readonly masked: boolean;
  readonly carry: readonly Tensor[];
  readonly reverse: boolean;
  readonly body: Body;
  /** ys, then the last state. */
  readonly outputs: readonly Tensor[];
}

/** Standard layers over a sequence. */
export interface Layers {
  readonly kind: "layers";
  readonly name: string;
  readonly layers: RNN | LSTM | GRU;
  readonly xs: Tensor;
  /** Null for zeros. */
  readonly start: readonly Tensor[] | null;
  readonly masked: boolean;
  readonly reverse: boolean;
  /** ys, then the last state. */
  readonly outputs: readonly Tensor[];
}

export type Event = Operation | Scanned | Layers;

export const inputsOf = (event: Event): Inputs =>
  event.kind === "operation" ? event.inputs : event.kind === "scan" ? [event.xs, ...event.carry] : [event.xs, ...(event.start ?? [])];

/** Notes what runs, into the list of the innermost step that is being traced. */
class Recorder implements Observer {
  events: Event[] = [];
  /** Whether nothing is noted, scans among it. */
  isBlind = false;

  ran(primitive: Primitive, inputs: Inputs, outputs: readonly Tensor[], params: unknown): void {
    this.events.push({ kind: "operation", name: primitive.name, inputs, outputs, params });
  }

  found(name: string, inputs: Inputs, output: Tensor, params: unknown): void {
    this.events.push({ kind: "operation", name, inputs, outputs: [output], params });
  }

  pulls(): void {}

  /** Runs `fn` without noting anything. */
  unseen<R>(fn: () => R): R {
    const before = this.isBlind;
    this.isBlind = true;
    try {
      return observing(null, fn);
    } finally {
      this.isBlind = before;
    }
  }

  /** Runs `fn` with a list of its own. */
  within<R>(fn: () => R): { result: R; events: readonly Event[] } {
    const outer = this.events;
    this.events = [];
    try {
      const result = observing(this, fn);
      return { result, events: this.events };
    } finally {
      this.events = outer;
    }
  }
}

/** ONNX's own layers have no projection, and a direction of their own. */
function areStandard(module: Module, reverse: boolean): module is RNN | LSTM | GRU {
  const Class = [RNN, LSTM, GRU].find((known) => module instanceof known);
  if (Class === undefined || !movesAs(module, Class, ["scan", "step"])) return false;
  const layers = module as LSTM;
  return !layers.stateDict().has("weight_hr_l0") && !(layers.bidirectional && reverse);
}

/** How recurrences that are made of others scan: as the scans of their parts, or by their own step. */
export type Scans = "parts" | "steps";

const hasParts = (module: Module): boolean => [...module.modules()].some((part) => part !== module && isRecurrence(part));

/** A recurrence whose scan is not simply its step over time. */
const isMachine = (module: Module): boolean => isRecurrence(module) && hasParts(module) && !movesAs(module, Cell, ["scan"]);

/** Whether the two ways of scanning differ for a model. */
export function hasMachines(model: Module): boolean {
  return [...model.modules()].some(isMachine);
}

/** A machine may scan otherwise than step by step, from the end for example. @throws ArgumentError */
function checkSteps(module: Recurrence, xs: Tensor, start: State, options: ScanOptions, ys: Tensor): void {
  const steps = scanSteps(module, xs, start as never, options)[0].data();
  const isFar = (y: number, i: number): boolean => !(Math.abs(y - (steps[i] as number)) < CLOSE);
  if (Array.prototype.some.call(ys.data(), isFar)) cannot(`${module.constructor.name}, whose scan is not its step over time`);
}

/** How far a scan may be from its steps: rounding, in float32. */
const CLOSE = 1e-3;

function scanNoted(
  recorder: Recorder,
  module: Recurrence,
  xs: Tensor,
  state: State | undefined,
  options: ScanOptions = {},
): [Tensor, State] {
  if (recorder.isBlind) return module.scan(xs, state as never, options);
  const { lengths, reverse = false } = options;
  const masked = lengths?.some((n) => n < xs.dim(0)) ?? false;
  const name = module.constructor.name;
  if (areStandard(module, reverse)) {
    const [ys, last] = recorder.unseen(() => module.scan(xs, state as never, options)) as [Tensor, State];
    const start = state === undefined ? null : stateTensors(state);
    recorder.events.push({ kind: "layers", name, layers: module, xs, start, masked, reverse, outputs: [ys, ...stateTensors(last)] });
    return [ys, last];
  }
  const start = startOf(module, xs, state);
  const [ys, last] = recorder.unseen(() => module.scan(xs, start, options));
  if (isMachine(module)) recorder.unseen(() => checkSteps(module, xs, start, options, ys));
  const scan = recorder.unseen(() => scanParts(module, xs, start, options));
  const slices = recorder.unseen(() => scan.sequences.map((sequence) => copyOf(select(sequence, 0, 0))));
  const carry = recorder.unseen(() => scan.carry.map((t) => copyOf(t)));
  const { result, events } = recorder.within(() => scan.step(slices, carry));
  const body = { slices, carry, events, y: result.y, next: result.carry };
  recorder.events.push({ kind: "scan", name, xs, masked, carry: scan.carry, reverse, body, outputs: [ys, ...stateTensors(last)] });
  return [ys, last];
}

/** Runs `fn` over a model and notes what it does. */
export function traced<R>(model: Module, scans: Scans, fn: () => R): { result: R; events: readonly Event[] } {
  const recorder = new Recorder();
  const restore: (() => void)[] = [];
  for (const module of model.modules()) {
    if (!isRecurrence(module) || (scans === "parts" && isMachine(module))) continue;
    restore.push(
      replaceMethods(module as Recurrence, {
        scan: (xs: Tensor, state?: State, options?: ScanOptions) => scanNoted(recorder, module, xs, state, options),
      }),
    );
  }
  try {
    return recorder.within(fn);
  } finally {
    for (const undo of restore) undo();
  }
}
