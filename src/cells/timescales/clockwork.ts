/** The clockwork RNN. */

import { checkSizes, checkWholes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul, sub } from "../../ops/arithmetic.ts";
import { less, where } from "../../ops/compare.ts";
import { linear } from "../../ops/linear.ts";
import { tanh } from "../../ops/math.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { keep, type Tensor, tensor } from "../../tensor/tensor.ts";

export interface ClockworkOptions extends LayerOptions {
  readonly inputSize: number;
  /** Total number of units, divided equally among the modules. */
  readonly hiddenSize: number;
  /** Steps between updates of each module, in rising order. */
  readonly periods: readonly number[];
}

/** The units, and for each the number of steps until its next update. */
export type ClockworkState = { readonly h: Tensor; readonly wait: Tensor };

/**
 * Modules with different rates: module g updates when t is a multiple of T_g, and otherwise keeps its value.
 *
 *   h'_g = tanh(W_g x + Σ_k≥g U_gk h_k + b_g) if t mod T_g = 0, else h_g
 *
 * Modules read themselves and slower ones, so U is block upper triangular for rising periods.
 * weightIh = W [H,I], weightHh = U [H,H], whose blocks below the diagonal are not used, bias = b [H], all from U(±1/√H).
 * State: h and wait [B,H]; t counts from 0, so all modules update at the first step.
 * @see Koutník, Greff, Gomez and Schmidhuber, "A clockwork RNN", 2014, section 3
 * Deviates: initial values are those of PyTorch's cells.
 * @example const [ys] = new ClockworkRNN({ inputSize: 1, hiddenSize: 64, periods: [1, 2, 4, 8] }).scan(xs);
 */
export class ClockworkRNN extends Cell<ClockworkState> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly weightIh: Parameter;
  readonly weightHh: Parameter;
  readonly bias: Parameter;
  /** [H,H], 1 where a unit (row) reads another (column). */
  readonly mask: Tensor;
  /** [H], steps from an update to the next. */
  readonly rest: Tensor;

  constructor(options: ClockworkOptions) {
    super();
    const {
      inputSize: I,
      hiddenSize: H,
      periods,
      dtype = "float32",
    } = optionsOf("ClockworkRNN", options, ["inputSize", "hiddenSize", "periods", ...LAYER]);
    checkSizes("ClockworkRNN", { inputSize: I, hiddenSize: H });
    checkWholes("ClockworkRNN", "periods", periods, { least: 1 });
    const size = moduleSize(H, periods);
    const period = Array.from({ length: H }, (_, i) => periods[Math.floor(i / size)] as number);
    const draw = (...shape: number[]): Parameter => uniformParameter(shape, 1 / Math.sqrt(H), options);
    this.inputSize = I;
    this.hiddenSize = H;
    this.outputSize = H;
    this.weightIh = draw(H, I);
    this.weightHh = draw(H, H);
    this.bias = draw(H);
    this.mask = keep(
      tensor(
        period.flatMap((own) => period.map((other) => Number(other >= own))),
        { shape: [H, H], dtype },
      ),
    );
    this.rest = keep(
      tensor(
        period.map((T) => T - 1),
        { dtype },
      ),
    );
  }

  /** Zeros: every module updates at the first step. */
  initialState(batch: number): ClockworkState {
    const { dtype } = this.mask;
    return { h: zeros([batch, this.hiddenSize], dtype), wait: zeros([batch, this.hiddenSize], dtype) };
  }

  /** x [B,I], h and wait [B,H]. */
  step(x: Tensor, { h, wait }: ClockworkState): [y: Tensor, next: ClockworkState] {
    // The counts are whole numbers, so comparing with one half is safe.
    const due = less(wait, 0.5);
    const updated = tanh(add(linear(x, this.weightIh, this.bias), linear(h, mul(this.weightHh, this.mask))));
    const next = where(due, updated, h);
    return [next, { h: next, wait: where(due, this.rest, sub(wait, 1)) }];
  }
}

/** Units in each module. */
function moduleSize(H: number, periods: readonly number[]): number {
  const size = H / periods.length;
  const rising = periods.every((T, g) => Number.isInteger(T) && T > (periods[g - 1] ?? 0));
  if (!(Number.isInteger(size) && rising)) {
    throw new ArgumentError(
      `ClockworkRNN: expected rising whole periods, as many as divide ${H} units evenly, got [${periods.join(", ")}]`,
    );
  }
  return size;
}
