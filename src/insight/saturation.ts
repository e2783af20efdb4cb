/** Measures how often activation functions saturate, where their slopes are near zero. */

import type { Inputs, Primitive } from "../autodiff/primitive.ts";
import { noGrad } from "../autodiff/tape.ts";
import { checkFunction, checkNumber, checkOptions, finished } from "../base/checks.ts";
import { checkModule, type Module } from "../nn/module.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { Watch } from "./watch.ts";

/** The bounds of each function's values, and which of them are flat. */
const ENDS: Readonly<Record<string, { readonly low: number; readonly high: number; readonly flat: "both" | "low" }>> = {
  tanh: { low: -1, high: 1, flat: "both" },
  sigmoid: { low: 0, high: 1, flat: "both" },
  relu: { low: 0, high: Number.POSITIVE_INFINITY, flat: "low" },
};

export interface SaturationOptions {
  /** Share of the range of values that counts as saturated: 0.05 means above 0.95 for a logistic, above 0.9 for tanh (default 0.05). */
  readonly margin?: number;
}

/** One activation function of a model, over all calls of its module. */
export interface Saturation {
  /** The module's name in the state dict; null outside the model. */
  readonly module: string | null;
  /** "tanh", "sigmoid" or "relu", and its number within the module's step: "sigmoid 1" is the second. */
  readonly name: string;
  /** Shares of all values at the lower and at the upper bound. */
  readonly low: number;
  readonly high: number;
  /** Number of values. */
  readonly count: number;
  /** Share at either bound, step by step, for sequences that have not ended; empty outside sequences. */
  readonly steps: readonly number[];
}

interface Tally {
  low: number;
  high: number;
  count: number;
  readonly steps: { ends: number; count: number }[];
}

/**
 * Runs `fn` and counts for each tanh, logistic and rectifier of a model how many of its values are saturated, in total and step by step:
 * saturated gates remember or forget for good, saturated units pass no gradient, rectifiers at 0 are dead. Gates computed by one operation
 * count together. A value counts as low if it is within `margin` of the range's width above the lower bound, likewise as high; for
 * rectifiers only exact zeros count. In a scan with `lengths`, only real steps count; parts after a scan, such as a head, do not know the lengths.
 * @param fn a forward pass over the model; synchronous
 * @throws ArgumentError for a margin outside (0, 0.5)
 * @see Karpathy, Johnson and Fei-Fei, "Visualizing and understanding recurrent networks", 2015, section 4.2 (gates below 0.1 and above 0.9)
 * @example const rows = saturation(model, () => model.forward(xs)); // [{ module: "rnn", name: "sigmoid 0", low: 0.02, high: 0.71, … }]
 */
export function saturation(model: Module, fn: () => unknown, options: SaturationOptions = {}): Saturation[] {
  checkOptions("saturation", options, ["margin"]);
  checkModule("saturation", model);
  checkFunction("saturation", "fn", fn);
  const { margin = 0.05 } = options;
  checkNumber("saturation", "margin", margin, { above: 0, below: 0.5 });
  const watch = new Watch();
  const tallies = new Map<string, Tally>();
  /** Number of functions of each name that have run in each module since its step began. */
  const ordinals = new Map<string, { step: number | null; count: number }>();
  const ran = ({ name }: Primitive, _inputs: Inputs, [y]: readonly Tensor[]): void => {
    const ends = ENDS[name];
    if (ends === undefined || y === undefined) return;
    const { module, step } = watch.place;
    const values = realValues(y, watch.running);
    const counter = `${module ?? ""}\n${name}`;
    const known = ordinals.get(counter);
    const ordinal = known !== undefined && known.step === step && step !== null ? known.count : 0;
    ordinals.set(counter, { step, count: ordinal + 1 });
    if (values.length === 0) return;
    const key = JSON.stringify([module, `${name} ${ordinal}`]);
    const tally = tallies.get(key) ?? { low: 0, high: 0, count: 0, steps: [] };
    tallies.set(key, tally);
    add(tally, values, margin, ends, step);
  };
  scope(() => noGrad(() => void watch.run(model, { ran, pulls: () => undefined }, () => finished("saturation", fn()))));
  return [...tallies].map(([key, { low, high, count, steps }]) => {
    const [module, name] = JSON.parse(key) as [string | null, string];
    return {
      module,
      name,
      low: low / count,
      high: high / count,
      count,
      steps: Array.from(steps, (s) => (s ? s.ends / s.count : Number.NaN)),
    };
  });
}

/** The values of sequences that have not ended. The batch is the first axis of that length; values without such an axis belong to all. */
function realValues(y: Tensor, running: readonly boolean[] | null): ArrayLike<number> {
  if (running === null) return y.data();
  if (!running.includes(true)) return [];
  const axis = y.shape.indexOf(running.length);
  if (axis < 0) return y.data();
  const inner = y.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  return Array.from<number>(y.data()).filter((_, i) => running[Math.floor(i / inner) % running.length]);
}

function add(
  tally: Tally,
  values: ArrayLike<number>,
  margin: number,
  { low, high, flat }: (typeof ENDS)[string],
  step: number | null,
): void {
  const width = flat === "both" ? margin * (high - low) : 0;
  let [below, above] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const v = values[i] as number;
    if (v <= low + width) below++;
    else if (flat === "both" && v >= high - width) above++;
  }
  tally.low += below;
  tally.high += above;
  tally.count += values.length;
  if (step === null) return;
  const at = tally.steps[step] ?? { ends: 0, count: 0 };
  at.ends += below + above;
  at.count += values.length;
  tally.steps[step] = at;
}
