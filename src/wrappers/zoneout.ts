/** Zoneout: units keep their old value at random. */

import { noGrad } from "../autodiff/tape.ts";
import { checkList, optionsOf } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError } from "../base/errors.ts";
import { checkProbability, type DropoutLayerOptions, dropoutOptionsOf } from "../nn/dropout-layers.ts";
import { reshape } from "../ops/broadcast.ts";
import { zoneout } from "../ops/dropout.ts";
import { Cell, checkRecurrence, type Recurrence } from "../recurrence/recurrence.ts";
import { mapState, type State, stateTensors } from "../recurrence/state.ts";
import { ones } from "../tensor/create.ts";
import type { Generator } from "../tensor/random.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";

/** Whether a recurrence outputs the first tensor of its state; determined by one step in evaluation mode. */
function putsOutState<S extends State>(cell: Recurrence<S>): boolean {
  const modes = Array.from(cell.modules(), (module) => [module, module.training] as const);
  try {
    cell.eval();
    return scope(() =>
      noGrad(() => {
        const start = cell.initialState(1);
        const dtype = stateTensors(start).find((s) => isFloat(s.dtype))?.dtype ?? "float32";
        const [y, next] = cell.step(ones([1, cell.inputSize], dtype), start);
        const h = stateTensors(next)[0]?.data() ?? [];
        return h.length === y.size && y.data().every((value, i) => value === h[i]);
      }),
    );
  } finally {
    for (const [module, training] of modes) module.training = training;
  }
}

/**
 * State elements keep their old value at random, each with probability p, or p[i] for the i-th tensor of the state (h, then c).
 * Integers in a state, such as counts of steps, are left alone. The output is the new h. A readout goes outside:
 * `new MooreMachine(new Zoneout(cell, p), readout)`.
 * @throws ArgumentError for a probability outside [0, 1], and for a cell that does not output the first tensor of its state
 * @see Krueger et al., "Zoneout: regularizing RNNs by randomly preserving hidden activations", 2017, eq. 1-3
 * Deviates: works with any such recurrence; the paper's are a tanh network, the LSTM and the GRU.
 * @example new Zoneout(new LSTMCell({ inputSize: 4, hiddenSize: 8 }), [0.05, 0.5])
 */
export class Zoneout<S extends State> extends Cell<S> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly p: readonly number[];
  readonly cell: Recurrence<S>;
  /** Source of the dropout masks; default: the default generator. */
  readonly generator: Generator | undefined;

  constructor(cell: Recurrence<S>, p: number | readonly number[], options: DropoutLayerOptions = {}) {
    super();
    const { generator } = optionsOf("Zoneout", options, ["generator"]);
    checkRecurrence("Zoneout", cell);
    if (typeof p !== "number") checkList("Zoneout", "p", p);
    const states = scope(() => stateTensors(cell.initialState(1)).length);
    this.p = (typeof p === "number" ? new Array<number>(states).fill(p) : p).map((value) => checkProbability("Zoneout", value));
    if (!putsOutState(cell))
      throw new ArgumentError(`Zoneout: expected a cell that puts out the first tensor of its state, got ${cell.constructor.name}`);
    this.cell = cell;
    this.inputSize = cell.inputSize;
    this.outputSize = cell.outputSize;
    this.generator = generator;
  }

  initialState(batch: number): S {
    return this.cell.initialState(batch);
  }

  step(x: Tensor, state: S): [y: Tensor, next: S] {
    const [y, candidate] = this.cell.step(x, state);
    let i = 0;
    const next = mapState(
      (fresh, before) => {
        const p = this.p[i++] ?? 0;
        return isFloat(fresh.dtype) ? zoneout(before as Tensor, fresh, p, dropoutOptionsOf(this, this.generator)) : fresh;
      },
      candidate,
      state,
    );
    return [reshape(stateTensors(next)[0] as Tensor, y.shape), next];
  }
}
