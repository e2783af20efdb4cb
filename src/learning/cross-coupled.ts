/** Rosenblatt's closed-loop cross-coupled perceptron: association units that learn which stimuli follow each other. */

import { noGrad } from "../autodiff/tape.ts";
import { checkNumber, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { cast } from "../ops/cast.ts";
import { greaterEqual } from "../ops/compare.ts";
import { linear, matmul } from "../ops/linear.ts";
import { select, stack, transpose } from "../ops/shape.ts";
import { Cell } from "../recurrence/recurrence.ts";
import { zeros } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { assign, checkFinite, checkTensor, keep, scope, type Tensor, tensor } from "../tensor/tensor.ts";

export interface CrossCoupledOptions {
  /** I, points of the retina. */
  readonly inputSize: number;
  /** A, number of association units. */
  readonly units: number;
  /** Number of points that excite a unit, and that inhibit it (default 5 each), chosen at random. */
  readonly excitatory?: number;
  readonly inhibitory?: number;
  /** θ (default 2). */
  readonly threshold?: number;
  /** η: gain of a coupling when its two units are active one after the other (default 0.05). */
  readonly lr?: number;
  /** δ: share of a coupling that is lost in each step (default 0.001). */
  readonly decay?: number;
  readonly generator?: Generator;
}

/**
 * A layer of association units that see points of a retina and each other:
 *
 *   a_i(t+1) = 1 if Σ_j C_ij x_j(t) + Σ_k V_ik a_k(t) ≥ θ, else 0        ΔV_ik = η a_i(t+1) a_k(t) − δ V_ik
 *
 * C is random and fixed. `learn` changes V without a teacher, by which units are active in succession. So stimuli that often follow each other come to
 * activate each other's units, and what a readout has learned about one transfers to the other. `weight` C [A,I], of −1, 0 and 1, and `coupling`
 * V [A,A] are buffers. Output and state are the units' activity, 0 or 1.
 * @param options x [B,I] to y [B,A]; state [B,A]
 * @throws ArgumentError for sizes below 1, more connections than points, η < 0, and δ outside [0, 1]
 * @see Rosenblatt, "Principles of neurodynamics", 1962, part III on cross-coupled systems
 * Deviates: the equations are reconstructed from accounts of the book, in discrete time, with one delay for all connections and no bound on V except its decay.
 * @example
 * const perceptron = new CrossCoupledPerceptron({ inputSize: 100, units: 300 });
 * perceptron.learn(successions); // [T,B,100]
 * const [a] = perceptron.scan(stimuli);
 */
export class CrossCoupledPerceptron extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly threshold: number;
  readonly decay: number;
  readonly weight: Tensor;
  readonly coupling: Tensor;
  lr: number;

  constructor(options: CrossCoupledOptions) {
    super();
    const op = "CrossCoupledPerceptron";
    const {
      inputSize,
      units,
      excitatory = 5,
      inhibitory = 5,
      threshold = 2,
      lr = 0.05,
      decay = 0.001,
      generator = defaultGenerator(),
    } = optionsOf(op, options, ["inputSize", "units", "excitatory", "inhibitory", "threshold", "lr", "decay", "generator"]);
    checkSizes(op, { inputSize, units });
    checkWhole(op, "excitatory", excitatory, { least: 0, most: inputSize });
    checkWhole(op, "inhibitory", inhibitory, { least: 0, most: inputSize - excitatory });
    checkNumber(op, "threshold", threshold);
    checkNumber(op, "lr", lr, { least: 0 });
    checkNumber(op, "decay", decay, { least: 0, most: 1 });
    checkGenerator(op, generator);
    this.inputSize = inputSize;
    this.outputSize = units;
    this.threshold = threshold;
    this.lr = lr;
    this.decay = decay;
    const rows = Array.from({ length: units }, () => connections(generator, inputSize, excitatory, inhibitory));
    this.weight = keep(tensor(rows.flat(), { shape: [units, inputSize] }));
    this.coupling = keep(zeros([units, units]));
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.outputSize]);
  }

  step(x: Tensor, state: Tensor): [y: Tensor, next: Tensor] {
    const next = cast(greaterEqual(add(linear(x, this.weight), linear(state, this.coupling)), this.threshold), "float32");
    return [next, next];
  }

  /**
   * Runs sequences xs [T,B,I] from the initial state and changes the couplings after each step, by the mean over the batch. Returns the units' activity [T,B,A].
   * @throws ShapeError for xs that do not fit, ArgumentError for NaN in them; leaves everything unchanged
   */
  learn(xs: Tensor): Tensor {
    checkTensor("learn", xs);
    const [T, B] = xs.shape;
    if (xs.rank !== 3 || xs.dim(2) !== this.inputSize || xs.size === 0) {
      throw new ShapeError(`learn: expected xs [T,B,${this.inputSize}] of at least one step, got ${show(xs.shape)}`);
    }
    checkFinite("learn", "xs", xs);
    return scope(() =>
      noGrad(() => {
        let state = this.initialState(B as number);
        const rows: Tensor[] = [];
        for (let t = 0; t < (T as number); t++) {
          const [, next] = this.step(select(xs, 0, t), state);
          const together = mul(matmul(transpose(next, 0, 1), state), this.lr / (B as number));
          assign(this.coupling, sub(add(this.coupling, together), mul(this.coupling, this.decay)));
          rows.push(next);
          state = next;
        }
        return stack(rows);
      }),
    );
  }
}

/** A row of C: the given numbers of points with +1 and with −1; the others are 0. */
function connections(generator: Generator, n: number, excitatory: number, inhibitory: number): number[] {
  const order = scope(() => Array.from(generator.permutation(n).data()));
  const row = new Array<number>(n).fill(0);
  order.slice(0, excitatory).forEach((point) => {
    row[point] = 1;
  });
  order.slice(excitatory, excitatory + inhibitory).forEach((point) => {
    row[point] = -1;
  });
  return row;
}
