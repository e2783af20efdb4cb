/** Williams and Zipser's continually running network, in which every unit may see every other. */

import { checkSizes, type LayerOptions, uniformParameter } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { Cell } from "../nn/recurrence.ts";
import { mul } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { cat, slice } from "../ops/shape.ts";
import { ones, zeros } from "../tensor/create.ts";
import { ArgumentError, ShapeError } from "../tensor/errors.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { assign, empty, keep, type Tensor } from "../tensor/tensor.ts";
import { type Activation, activations } from "./activations.ts";

export interface FullyRecurrentOptions extends LayerOptions {
  readonly inputSize: number;
  /** n, the number of units. */
  readonly units: number;
  /** The first so many units are the output (default all). */
  readonly outputSize?: number;
  /** M [n, I+1+n] of ones and zeros: which of [x; 1; y] each unit sees (default all). */
  readonly mask?: Tensor;
  /** f (default "logistic"). */
  readonly activation?: Activation;
  /** Weights at first are from U(±bound) (default 0.5). */
  readonly bound?: number;
}

/**
 * One layer of units, all connected as a mask says, updated together:
 *
 *   z(t) = [x(t); 1; y(t)]      s(t) = (M∘W) z(t)      y(t+1) = f(s(t))
 *
 * `weight` W [n, I+1+n] from U(±0.5), `mask` M of its shape, a buffer; y(0) = 0. Feed-forward, Elman and Jordan networks are masks of it,
 * with a delay of one step for each layer that the signal passes. A weight that is masked out has no gradient.
 * @param options x [B,I] to y [B,O], the first O units; state y [B,n]
 * @throws ArgumentError for sizes below 1 or more outputs than units; ShapeError for a mask of another shape
 * @see Williams and Zipser, "A learning algorithm for continually running fully recurrent neural networks", Neural Computation 1, 1989, eq. 1-3
 * Deviates: the mask, and a column of biases in place of an input that is always one
 * @example const net = new FullyRecurrentNetwork({ inputSize: 2, units: 4, outputSize: 1 });
 */
export class FullyRecurrentNetwork extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weight: Parameter;
  readonly mask: Tensor;
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: FullyRecurrentOptions) {
    super();
    const { inputSize: I, units: n, outputSize: O = n } = options;
    checkSizes("FullyRecurrentNetwork", { inputSize: I, units: n, outputSize: O });
    if (O > n) throw new ArgumentError(`FullyRecurrentNetwork: expected outputSize of at most ${n} units, got ${O}`);
    this.inputSize = I;
    this.outputSize = O;
    this.weight = uniformParameter([n, I + 1 + n], options.bound ?? 0.5, options);
    this.mask = keep(empty(this.weight.shape, this.weight.dtype));
    assign(this.mask, options.mask ? checkMask(options.mask, this.weight) : ones(this.weight.shape));
    this.#f = activations[options.activation ?? "logistic"];
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.weight.dim(0)], this.weight.dtype);
  }

  step(x: Tensor, y: Tensor): [y: Tensor, next: Tensor] {
    const w = mul(this.mask, this.weight);
    const z = cat([x, ones([x.dim(0), 1], x.dtype), y], 1);
    const y1 = this.#f(linear(z, w));
    return [slice(y1, 1, 0, this.outputSize), y1];
  }
}

function checkMask(mask: Tensor, { shape }: Tensor): Tensor {
  if (!sameShape(mask.shape, shape)) throw new ShapeError(`FullyRecurrentNetwork: expected mask ${show(shape)}, got ${show(mask.shape)}`);
  return mask;
}
