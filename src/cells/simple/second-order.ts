/** Second-order recurrent networks, which learn automata. `tapeloop/automata` builds them from automata and extracts automata from them. */

import { checkSizes, optionsOf } from "../../base/checks.ts";
import { ArgumentError } from "../../base/errors.ts";
import { LAYER, type LayerOptions } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { bilinear } from "../../ops/linear.ts";
import { sigmoid } from "../../ops/math.ts";
import { contiguous, expand } from "../../ops/shape.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { defaultGenerator } from "../../tensor/random.ts";
import { keep, type Tensor, tensor } from "../../tensor/tensor.ts";

export interface SecondOrderRNNOptions extends LayerOptions {
  /** Number of symbols K. */
  readonly inputSize: number;
  /** Number of units N. */
  readonly hiddenSize: number;
  /** Whether to add biases (default true). */
  readonly bias?: boolean;
  /** State before the first symbol (default 1, 0, …, 0). */
  readonly start?: readonly number[];
}

/**
 * Units driven by products of a unit and a symbol.
 *
 *   S_i(t+1) = σ(b_i + Σ_jk W_ijk S_j(t) I_k(t))
 *
 * I(t) [B,K] is one-hot. S_0 is the response unit: after a string it tells whether the string belongs to the language.
 * weight = W [N,N,K] from U(±1), bias = b [N] zero, start = S(0) [N], which is not trained.
 * @see Giles, Miller, Chen, Chen, Sun and Lee, "Learning and extracting finite state automata with second-order recurrent
 * neural networks", 1992, eq. 1-2
 * Deviates: has a bias, as in Omlin and Giles 1996, unless `bias` is false; strings have no end symbol unless the caller adds one.
 * @example const [ys] = new SecondOrderRNN({ inputSize: 2, hiddenSize: 4 }).scan(strings);
 */
export class SecondOrderRNN extends Cell<Tensor> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly start: Tensor;

  constructor(options: SecondOrderRNNOptions) {
    super();
    const {
      inputSize: K,
      hiddenSize: N,
      dtype = "float32",
      generator = defaultGenerator(),
      bias = true,
    } = optionsOf("SecondOrderRNN", options, ["inputSize", "hiddenSize", "bias", "start", ...LAYER]);
    checkSizes("SecondOrderRNN", { inputSize: K, hiddenSize: N });
    const start = options.start ?? Array.from({ length: N }, (_, i) => (i === 0 ? 1 : 0));
    if (start.length !== N) throw new ArgumentError(`SecondOrderRNN: expected ${N} numbers in start, got ${start.length}`);
    this.inputSize = K;
    this.hiddenSize = N;
    this.outputSize = N;
    this.weight = new Parameter(generator.uniform([N, N, K], -1, 1, dtype));
    this.bias = bias ? new Parameter(tensor(new Float64Array(N), { dtype })) : null;
    this.start = keep(tensor([...start], { dtype }));
  }

  /** S(0) for each string. */
  initialState(batch: number): Tensor {
    return contiguous(expand(this.start, [batch, this.hiddenSize]));
  }

  /** I [B,K], S [B,N]. */
  step(x: Tensor, s: Tensor): [y: Tensor, next: Tensor] {
    const next = sigmoid(bilinear(s, x, this.weight, this.bias ?? undefined));
    return [next, next];
  }
}
