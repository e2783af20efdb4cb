/** One trace per weight, for algorithms that track a weight's effect only in its own unit. */

import { IndependentUnits } from "../cells/diagonal/ind-rnn.ts";
import { OdysseyLSTM } from "../cells/gated/lstm-odyssey.ts";
import { SimpleRecurrentNetwork } from "../cells/simple/elman.ts";
import { LeakyRNN } from "../cells/timescales/leaky.ts";
import { movesAs, type Recurrence } from "../recurrence/recurrence.ts";
import { LSTMCell, RNNCell } from "../recurrence/rnn-cells.ts";
import { zeros } from "../tensor/create.ts";
import { type Tensor, tensor } from "../tensor/tensor.ts";
import type { Influence, Setting } from "./influence.ts";

/** The private state of units. What they show each other is taken as given. */
export interface LocalUnits {
  /** Number of units, and the start of their private part in the state's vector. */
  readonly units: number;
  readonly hidden: number;
  /**
   * The part of a cotangent of the private state that passes to the previous private state through the unit itself [units].
   * @param after the cotangent after the step @param pulled the same, swept back through the step [S]
   */
  kept(after: Float64Array, pulled: ArrayLike<number>): Float64Array;
}

type Class<R> = abstract new (...args: never[]) => R;

/** Whether a recurrence is of a class and runs that class's step; nothing is known about a subclass's own step. */
function is<R extends object>(recurrence: unknown, Class: Class<R>): recurrence is R {
  return recurrence instanceof Class && movesAs(recurrence, Class);
}

/** Cells whose units only leak: a unit keeps the share `1 − 1/τ` of its past. */
export function leakyUnits(recurrence: unknown): LocalUnits | null {
  const isSimple = is(recurrence, RNNCell) || is(recurrence, SimpleRecurrentNetwork);
  if (!isSimple && !is(recurrence, LeakyRNN)) return null;
  const kept = recurrence instanceof LeakyRNN ? 1 - 1 / recurrence.tau : 0;
  return { units: recurrence.outputSize, hidden: 0, kept: (after) => after.map((d) => kept * d) };
}

/** Cells whose units have a private memory cell. */
export function memoryUnits(recurrence: unknown): LocalUnits | null {
  const isMemory = (is(recurrence, LSTMCell) && recurrence.weightHr === null) || is(recurrence, OdysseyLSTM);
  if (!isMemory) return null;
  const n = recurrence.outputSize;
  return { units: n, hidden: n, kept: (_, pulled) => Float64Array.from({ length: n }, (_x, j) => pulled[n + j] as number) };
}

/** Cells whose units see only their own past. */
export function independentUnits(recurrence: unknown): LocalUnits | null {
  if (!(recurrence instanceof IndependentUnits) || recurrence.independentUnits === undefined) return null;
  return { units: recurrence.outputSize, hidden: 0, kept: (_, pulled) => Float64Array.from(pulled) };
}

/** The unit of each parameter: rows of weights belong to units, block after block; for peepholes, columns do. */
function unitsOf(recurrence: Recurrence, parameters: readonly Tensor[], units: number): Int32Array {
  const { weightPeephole } = recurrence as { weightPeephole?: unknown };
  return Int32Array.from(
    parameters.flatMap((p) => {
      const columns = p === weightPeephole ? 1 : p.size / p.dim(0);
      return Array.from({ length: p.size }, (_, e) => Math.floor(e / columns) % units);
    }),
  );
}

/** ε [P]: the influence of each parameter on the private state of its unit, through that unit only. */
export function localTraces(setting: Setting, { units, hidden, kept }: LocalUnits): Influence<Tensor> {
  const { recurrence, parameters, S, P, dtype } = setting;
  const unit = unitsOf(recurrence, parameters, units);
  const isOutput = hidden === 0;
  const ones = new Float64Array(units).fill(1);
  const seed = new Float64Array(S);
  seed.set(ones, hidden);
  const through = (factors: Float64Array, trace: Tensor, direct: Tensor): Tensor => {
    const out = Float64Array.from(direct.data());
    const before = trace.data();
    for (let p = 0; p < P; p++) out[p] = (out[p] as number) + (factors[unit[p] as number] as number) * (before[p] as number);
    return tensor(out, { dtype });
  };
  return {
    initial: zeros([P], dtype),
    gradient(step, trace, dys, dNext) {
      const { state, parameters: direct } = step.pull(dys, dNext);
      const after = new Float64Array(units);
      dNext?.data().forEach((d, i) => {
        if (i >= hidden && i < hidden + units) after[i - hidden] = d;
      });
      if (isOutput) {
        dys?.data().forEach((d, i) => {
          after[i] = (after[i] as number) + d;
        });
      }
      return through(kept(after, state.data()), trace, direct);
    },
    next(step, trace) {
      const { state, parameters: direct } = step.pull(null, tensor(seed, { dtype }));
      return through(kept(ones, state.data()), trace, direct);
    },
  };
}
