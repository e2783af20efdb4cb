/** Williams and Zipser's continually running network, in which every unit may see every other. */

import { checkNumber, checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError, ShapeError } from "../../base/errors.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { add, mul } from "../../ops/arithmetic.ts";
import { cast } from "../../ops/cast.ts";
import { linear } from "../../ops/linear.ts";
import { cat, slice } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { ones, zeros } from "../../tensor/create.ts";
import { type Shape, sameShape, show } from "../../tensor/shape.ts";
import { checkTensor, keep, type Tensor, tensor } from "../../tensor/tensor.ts";
import { type Activation, activationOf } from "../activations.ts";

export interface FullyRecurrentOptions extends LayerOptions {
  readonly inputSize: number;
  /** n, the number of units. */
  readonly units: number;
  /** O: the first O units are the output (default all). */
  readonly outputSize?: number;
  /** M [n, I+1+n] of ones and zeros: the parts of [x; 1; y] that each unit sees (default all). */
  readonly mask?: Tensor;
  /** Z [n,n] of ones and zeros: the connections between units that have no delay (default none), without cycles. */
  readonly immediate?: Tensor;
  /** f (default "logistic"). */
  readonly activation?: Activation;
  /** Bound of the uniform initial weights (default 0.5). */
  readonly bound?: number;
}

/**
 * One layer of units, connected by a mask and updated together:
 *
 *   z(t) = [x(t); 1; y(t)]      s(t) = (M∘W) z(t)      y(t+1) = f(s(t))
 *
 * `weight` W [n, I+1+n] from U(±0.5); y(0) = 0. Weights that are masked out have no gradient. An `immediate` connection acts within
 * the same step, with units in topological order: y(t+1) in place of y(t). With suitable masks this is a feed-forward, Elman or Jordan network.
 * The buffers `mask` [n, I+1+n] and `instant` [n,n] hold the connections with and without delay.
 * @param options x [B,I] to y [B,O], the first O units; state y [B,n]
 * @throws ArgumentError for sizes below 1, more outputs than units or a cycle without delay; ShapeError for masks of another shape
 * @see Williams and Zipser, "A learning algorithm for continually running fully recurrent neural networks", Neural Computation 1, 1989, eq. 1-3
 * Deviates: the mask; connections without delay; a column of biases in place of an input that is always one; initial weights.
 * @example const net = new FullyRecurrentNetwork({ inputSize: 2, units: 4, outputSize: 1 });
 */
export class FullyRecurrentNetwork extends Cell<Tensor> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly weight: Parameter;
  readonly mask: Tensor;
  readonly instant: Tensor | null;
  /** Length of the longest path of connections without delay. */
  readonly #depth: number;
  readonly #f: (x: Tensor) => Tensor;

  constructor(options: FullyRecurrentOptions) {
    super();
    const {
      inputSize: I,
      units: n,
      outputSize: O = n,
      bound = 0.5,
    } = optionsOf("FullyRecurrentNetwork", options, [
      "inputSize",
      "units",
      "outputSize",
      "mask",
      "immediate",
      "activation",
      "bound",
      ...LAYER,
    ]);
    checkSizes("FullyRecurrentNetwork", { inputSize: I, units: n, outputSize: O });
    checkNumber("FullyRecurrentNetwork", "bound", bound, { least: 0 });
    if (O > n) throw new ArgumentError(`FullyRecurrentNetwork: expected outputSize of at most ${n} units, got ${O}`);
    this.inputSize = I;
    this.outputSize = O;
    this.#f = activationOf(options.activation ?? "logistic");
    const { dtype = "float32" } = options;
    const shape = [n, I + 1 + n];
    const mask = checkMask("mask", options.mask ?? ones(shape), shape);
    const immediate = checkMask("immediate", options.immediate ?? zeros([n, n]), [n, n]);
    const between = slice(mask, 1, I + 1).data();
    const instant = immediate.data().map((z, k) => z * (between[k] as number));
    const delayed = between.map((m, k) => m - (instant[k] as number));
    this.#depth = longestPath(instant, n);
    this.mask = keep(cat([cast(slice(mask, 1, 0, I + 1), dtype), tensor(delayed, { shape: [n, n], dtype })], 1));
    this.instant = this.#depth > 0 ? keep(tensor(instant, { shape: [n, n], dtype })) : null;
    this.weight = uniformParameter(shape, bound, options);
  }

  initialState(batch: number): Tensor {
    return zeros([batch, this.weight.dim(0)], this.weight.dtype);
  }

  step(x: Tensor, y: Tensor): [y: Tensor, next: Tensor] {
    checkTensor("step", x);
    const z = cat([x, ones([x.dim(0), 1], x.dtype), y], 1);
    const sums = linear(z, mul(this.mask, this.weight));
    const y1 = this.#settle(sums);
    return [slice(y1, 1, 0, this.outputSize), y1];
  }

  /** The values of all units. Each pass over the connections without delay completes the units one level further down. */
  #settle(sums: Tensor): Tensor {
    let y = this.#f(sums);
    if (this.instant === null) return y;
    const w = mul(this.instant, slice(this.weight, 1, this.inputSize + 1));
    for (let level = 0; level < this.#depth; level++) y = this.#f(add(sums, linear(y, w)));
    return y;
  }
}

function checkMask(name: string, mask: Tensor, shape: Shape): Tensor {
  if (!sameShape(mask.shape, shape))
    throw new ShapeError(`FullyRecurrentNetwork: expected ${name} ${show(shape)}, got ${show(mask.shape)}`);
  return mask;
}

/** Number of edges on the longest path of a graph, given as a matrix [to, from]. */
function longestPath(edges: ArrayLike<number>, n: number): number {
  let reached = new Array<boolean>(n).fill(true);
  for (let length = 0; length <= n; length++) {
    const ends = reached.map((_, to) => reached.some((r, from) => r && edges[to * n + from] !== 0));
    if (!ends.includes(true)) return length;
    reached = ends;
  }
  throw new ArgumentError("FullyRecurrentNetwork: expected connections without delay to have no cycle, got one");
}
