/** Kronecker factored real-time recurrent learning: an unbiased estimate of the influence as a vector times a matrix. */

import { optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import type { Module } from "../nn/module.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { matmul } from "../ops/linear.ts";
import { type State, stateTensors } from "../recurrence/state.ts";
import { zeros } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { Tensor, tensor } from "../tensor/tensor.ts";
import type { GradientAlgorithm } from "./algorithm.ts";
import { forwardAlgorithm } from "./forward.ts";
import { type Influence, ROUNDING, refuseStart, type Setting } from "./influence.ts";
import { Reach, trySteps } from "./reach.ts";
import { stateJacobian } from "./step-derivatives.ts";
import type { Stretch } from "./stretch.ts";
import { balance, norm, signs } from "./uoro.ts";

export interface KfRtrlOptions {
  /** Source of random signs, drawn during `backward`; default: the default generator. */
  readonly generator?: Generator;
}

/** G ≈ A ⊗ u: the influence of the weight from input c to sum r on element i of the state is A[i,r]·u[c]. */
type KroneckerProduct = { readonly u: Tensor; readonly A: Tensor };

/** How parameters form the weights of one linear map, z ↦ Θz with R sums, z = [x; h; 1]. */
interface LinearMap {
  /** Number of elements of z, and of sums. */
  readonly q: number;
  readonly R: number;
  /** The sum and the input of each parameter. */
  readonly sums: Int32Array;
  readonly inputs: Int32Array;
}

const ONLY =
  "expected a recurrence whose weights multiply its input and its output once a step, as in RNNCell, SimpleRecurrentNetwork or LSTMCell";

/** The linear map of cells with PyTorch's names of weights. @throws ArgumentError for other parameters */
function linearMapOf({ name, recurrence, parameters, P }: Setting): LinearMap {
  const { weightIh, weightHh } = recurrence as unknown as Record<string, unknown>;
  const isMatrix = weightIh instanceof Tensor && weightHh instanceof Tensor && weightIh.rank === 2 && weightHh.rank === 2;
  if (!isMatrix || weightIh.dim(0) !== weightHh.dim(0)) throw new ArgumentError(`${name}: ${ONLY}, got ${recurrence.constructor.name}`);
  const [R, I, H] = [weightIh.dim(0), weightIh.dim(1), weightHh.dim(1)];
  const [sums, inputs] = [new Int32Array(P), new Int32Array(P)];
  let p = 0;
  for (const parameter of parameters) {
    const [first, columns] = placeOf(parameter, { name, recurrence, weightIh, weightHh, R, I, H });
    for (let e = 0; e < parameter.size; e++, p++) {
      sums[p] = Math.floor(e / columns);
      inputs[p] = first + (e % columns);
    }
  }
  return { q: I + H + 1, R, sums, inputs };
}

interface Weights {
  readonly name: string;
  readonly recurrence: Module;
  readonly weightIh: Tensor;
  readonly weightHh: Tensor;
  readonly R: number;
  readonly I: number;
  readonly H: number;
}

/** Start and number of a parameter's inputs in z. */
function placeOf(parameter: Tensor, { name, recurrence, weightIh, weightHh, R, I, H }: Weights): [first: number, columns: number] {
  if (parameter === weightIh) return [0, I];
  if (parameter === weightHh) return [I, H];
  const own = Object.entries(recurrence).find(([, value]) => value === parameter)?.[0] ?? "";
  if (own.startsWith("bias") && parameter.rank === 1 && parameter.dim(0) === R) return [I + H, 1];
  const what = own === "" ? "a parameter of one of its parts" : own;
  throw new ArgumentError(`${name}: ${ONLY}, got ${recurrence.constructor.name} with ${what}`);
}

/** z = [x; h; 1] of a step, where h is the first tensor of the state. */
function inputsOf(step: Stretch<State>, { q }: LinearMap): Float64Array {
  const z = new Float64Array(q);
  z.set(step.xs.data());
  z.set((stateTensors(step.start)[0] as Tensor).data(), step.xs.size);
  z[q - 1] = 1;
  return z;
}

/** D = ∂next/∂(sums) [S,R], from ∂next/∂Θ = D ⊗ z. @throws ArgumentError if ∂next/∂Θ has another form */
function derivativesBySum(setting: Setting, map: LinearMap, reach: Reach, step: Stretch<State>, z: Float64Array): Tensor {
  const { name, recurrence, S, P, dtype } = setting;
  const { R, sums, inputs } = map;
  const { starts, rows } = reach.direct;
  const I = reach.derivatives(step);
  const [D, squares] = [new Float64Array(S * R), new Float64Array(R)];
  const forEach = (visit: (place: number, p: number, i: number) => void): void => {
    for (let p = 0; p < P; p++) {
      const end = starts[p + 1] as number;
      for (let a = starts[p] as number; a < end; a++) visit((rows[a] as number) * R + (sums[p] as number), p, a);
    }
  };
  for (let p = 0; p < P; p++) squares[sums[p] as number] = (squares[sums[p] as number] as number) + (z[inputs[p] as number] as number) ** 2;
  forEach((place, p, a) => {
    D[place] = (D[place] as number) + ((I[a] as number) * (z[inputs[p] as number] as number)) / (squares[sums[p] as number] as number);
  });
  forEach((place, p, a) => {
    const expected = (D[place] as number) * (z[inputs[p] as number] as number);
    if (Math.abs((I[a] as number) - expected) <= ROUNDING[dtype] * Math.max(1, Math.abs(expected))) return;
    throw new ArgumentError(`${name}: ${ONLY}, got ${recurrence.constructor.name}, whose weights do more`);
  });
  return tensor(D, { shape: [S, R], dtype });
}

/** Recurrences whose steps are known to have the form. */
const checked = new WeakSet<object>();

/** Checks several steps with random inputs, since a first step from a zero state may hide effects of weights. @throws ArgumentError */
function checkForm(setting: Setting, map: LinearMap, reach: Reach): void {
  const { recurrence } = setting;
  if (checked.has(recurrence)) return;
  trySteps(setting, 6, (step) => {
    derivativesBySum(setting, map, reach, step, inputsOf(step, map));
    return true;
  });
  checked.add(recurrence);
}

function kroneckerProduct(setting: Setting, generator: Generator): Influence<KroneckerProduct> {
  const { S, P, dtype } = setting;
  const map = linearMapOf(setting);
  const { q, R, sums, inputs } = map;
  const reach = Reach.of(setting);
  checkForm(setting, map, reach);
  return {
    initial: { u: zeros([q], dtype), A: zeros([S, R], dtype) },
    generator,
    // (λᵀA) ⊗ u + g
    gradient(step, { u, A }, dys, dNext) {
      const { state: lambda, parameters: g } = step.pull(dys, dNext);
      const bySum = matmul(reshape(lambda, [1, S]), A).data();
      const byInput = u.data();
      const out = Float64Array.from(g.data());
      for (let p = 0; p < P; p++) {
        out[p] = (out[p] as number) + (bySum[sums[p] as number] as number) * (byInput[inputs[p] as number] as number);
      }
      return tensor(out, { dtype });
    },
    next(step, { u, A }) {
      const [c1, c2] = signs(2, dtype, generator).data() as unknown as [number, number];
      const z = inputsOf(step, map);
      const D = derivativesBySum(setting, map, reach, step, z);
      const pushed = matmul(stateJacobian(step), A);
      const zs = tensor(z, { dtype });
      const p1 = balance(sizeOf(pushed), norm(u));
      const p2 = balance(sizeOf(D), norm(zs));
      return {
        u: add(mul(u, c1 * p1), mul(zs, c2 * p2)),
        A: add(mul(pushed, c1 / p1), mul(D, c2 / p2)),
      };
    },
  };
}

/** The Frobenius norm. */
function sizeOf(matrix: Tensor): number {
  return norm(reshape(matrix, [matrix.size]));
}

/**
 * Kronecker factored real-time recurrent learning: a vector times a matrix approximates the influence of the weights Θ [R,q] that multiply
 * z_t = [x_t; h_(t−1); 1]. Two random signs per step make it unbiased, with far less noise than `uoro`'s outer product.
 *
 *   G_t ≈ A ⊗ u        I_t = D_t ⊗ z_t,  D_t = ∂s_t/∂(Θz_t) [S,R]
 *   u' = c₁p₁·u + c₂p₂·z        A' = (c₁/p₁)·J A + (c₂/p₂)·D        c₁, c₂ ∈ {−1, 1}
 *   p₁ = √(‖J A‖/‖u‖)        p₂ = √(‖D‖/‖z‖)
 *   ∂E_t/∂Θ ≈ (λᵀA) ⊗ u + g        λ, g: the error swept back through its own step, to the state before it and to the parameters
 *
 * O(n³) operations per step, for J A, and O(n²) memory. Defined if ∂s/∂Θ has that form: for `RNNCell`, `SimpleRecurrentNetwork`, `LeakyRNN`,
 * `LSTMCell` without peepholes and projection, and your own cells with weights of those names, such as the paper's recurrent highway networks of depth
 * 1 (deeper ones multiply values from within the step, which would take a vector and a matrix per layer). The form is checked at every step. Each sequence
 * of a batch has its own signs. Give the generator to `fit` as well, so that its checkpoints include it.
 * @throws ArgumentError during the scan for other recurrences, and for those with a trained first state
 * @see Mujika, Meier and Steger, "Approximating real-time recurrent learning with random Kronecker factors", 2018 (arXiv 1805.10842),
 * algorithm 1
 * Deviates: the error goes back through its own step exactly and uses the estimate before it; Frobenius norm; a factor of 1 replaces one
 * that is 0 or not finite.
 * @example fit(model, batches, { gradients: kfRtrl({ generator }), … })
 */
export function kfRtrl(options: KfRtrlOptions = {}): GradientAlgorithm {
  const { generator } = optionsOf("kfRtrl", options, ["generator"]);
  checkGenerator("kfRtrl", generator);
  return forwardAlgorithm("kfRtrl", (setting) => {
    refuseStart(setting);
    return kroneckerProduct(setting, generator ?? defaultGenerator()) as Influence;
  });
}
