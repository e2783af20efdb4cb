/** The restricted Boltzmann machine. */

import { noGrad } from "../autodiff/tape.ts";
import { checkNumber, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import type { DType, FloatDType } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { Parameter } from "../nn/module.ts";
import { add, mul, neg, sub } from "../ops/arithmetic.ts";
import { sum } from "../ops/broadcast.ts";
import { less, where } from "../ops/compare.ts";
import { linear, matmul } from "../ops/linear.ts";
import { exp, sigmoid, softplus } from "../ops/math.ts";
import { logSumExp, mean } from "../ops/reduce.ts";
import { stack, transpose, unsqueeze } from "../ops/shape.ts";
import { zeros } from "../tensor/create.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkFinite, checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { bipartite } from "./bam.ts";
import { allRows } from "./boltzmann-machine.ts";
import { DenseCouplings } from "./couplings.ts";
import { SpinModel } from "./spin-model.ts";
import type { SpinSystem } from "./spins.ts";
import { readMatrix, readState, type UnitValues } from "./states.ts";

export interface RBMOptions {
  readonly visibleSize: number;
  readonly hiddenSize: number;
  /** Standard deviation of the first weights (default 0.01). */
  readonly std?: number;
  /** (default "float32") */
  readonly dtype?: FloatDType;
  /** Draws the first weights (default the default generator). */
  readonly generator?: Generator;
}

export interface GibbsOptions {
  /** Steps there and back (default 1). */
  readonly steps?: number;
  /** (default the default generator) */
  readonly generator?: Generator;
}

export interface ContrastiveDivergenceOptions {
  /** Steps of the chains (default 1). */
  readonly k?: number;
  /** Where chains go on [C,V], for persistent contrastive divergence (default they start at the data). */
  readonly chain?: Tensor;
  /** (default the default generator) */
  readonly generator?: Generator;
}

/** One estimate by contrastive divergence. */
export interface ContrastiveDivergence {
  /** For `backward`: its gradient is the rule's. Its value says little. */
  readonly loss: Tensor;
  /** Where the chains are now [C,V]. */
  readonly chain: Tensor;
}

/** More units than this on the smaller side have too many states. */
const MOST_UNITS = 20;

/**
 * A Boltzmann machine without connections among visible and among hidden units:
 *
 *     E(v, h) = −bᵀv − cᵀh − hᵀWv        P(h_j = 1 | v) = σ(c + Wv)_j        P(v_i = 1 | h) = σ(b + Wᵀh)_i
 *     F(v) = −bᵀv − Σ_j softplus(c + Wv)_j,   p(v) = exp(−F(v)) / Z
 *
 * of units of 0 and 1. Contrastive divergence lowers F at data and raises it where k steps of Gibbs sampling lead; with a `chain` that goes on
 * from update to update it is persistent. `logLikelihood` is exact, for machines with a small side.
 *
 * Parameters: `weight` W [H,V] from N(0, std²), `visibleBias` b [V] and `hiddenBias` c [H], 0. A state of the whole is [v, h] as one
 * vector; on it there are `energy`, `recall`, `sample`, `enumerate` as in every spin model.
 * @throws ArgumentError for sizes below 1 and a negative std
 * @see Smolensky, "Information processing in dynamical systems: foundations of harmony theory", 1986
 * @see Hinton, "Training products of experts by minimizing contrastive divergence", 2002
 * @see Tieleman, "Training restricted Boltzmann machines using approximations to the likelihood gradient", 2008 (persistent)
 * @example
 * const rbm = new RBM({ visibleSize: 16, hiddenSize: 8 });
 * const optimizer = new SGD(rbm.parameters(), { lr: 0.05, momentum: 0.5 });
 * scope(() => { optimizer.zeroGrad(); backward(rbm.contrastiveDivergence(batch).loss); optimizer.step(); });
 */
export class RBM extends SpinModel {
  readonly visibleSize: number;
  readonly hiddenSize: number;
  override readonly size: number;
  readonly weight: Parameter;
  readonly visibleBias: Parameter;
  readonly hiddenBias: Parameter;
  protected override readonly values: UnitValues = "bits";

  constructor(options: RBMOptions) {
    super();
    const {
      visibleSize,
      hiddenSize,
      std = 0.01,
      dtype = "float32",
      generator,
    } = optionsOf("RBM", options, ["visibleSize", "hiddenSize", "std", "dtype", "generator"]);
    checkSizes("RBM", { visibleSize, hiddenSize });
    checkNumber("RBM", "std", std, { least: 0 });
    checkGenerator("RBM", generator);
    this.visibleSize = visibleSize;
    this.hiddenSize = hiddenSize;
    this.size = visibleSize + hiddenSize;
    this.weight = new Parameter((generator ?? defaultGenerator()).normal([hiddenSize, visibleSize], 0, std, dtype));
    this.visibleBias = new Parameter(zeros([visibleSize], dtype));
    this.hiddenBias = new Parameter(zeros([hiddenSize], dtype));
  }

  /** P(h = 1 | v) [B,H] of v [B,V]. @throws DTypeError, ShapeError */
  hiddenProbabilities(v: Tensor): Tensor {
    this.#checkVisible("hiddenProbabilities", v);
    return sigmoid(linear(v, this.weight, this.hiddenBias));
  }

  /** P(v = 1 | h) [B,V] of h [B,H]. @throws DTypeError, ShapeError */
  visibleProbabilities(h: Tensor): Tensor {
    checkRows("visibleProbabilities", "h", h, this.hiddenSize, this.weight.dtype);
    return sigmoid(linear(h, transpose(this.weight), this.visibleBias));
  }

  /** F(v) [B] of v [B,V]; differentiable. @throws DTypeError, ShapeError */
  freeEnergy(v: Tensor): Tensor {
    this.#checkVisible("freeEnergy", v);
    return freeEnergyOf(v, this.visibleBias, linear(v, this.weight, this.hiddenBias));
  }

  /**
   * Visible units [B,V] after some steps of Gibbs sampling: hidden units drawn from v, then v from them.
   * @throws DTypeError, ShapeError, ArgumentError
   */
  gibbs(v: Tensor, options: GibbsOptions = {}): Tensor {
    const { steps = 1, generator } = optionsOf("gibbs", options, ["steps", "generator"]);
    this.#checkVisible("gibbs", v);
    checkFinite("gibbs", "v", v);
    checkWhole("gibbs", "steps", steps);
    checkGenerator("gibbs", generator);
    const random = generator ?? defaultGenerator();
    return scope(() =>
      noGrad(() => {
        let now = v;
        for (let k = 0; k < steps; k++) now = draw(this.visibleProbabilities(draw(this.hiddenProbabilities(now), random)), random);
        return now;
      }),
    );
  }

  /**
   * The mean of F over data v [B,V] less that over chains: hidden units count by their probabilities, visible ones as they were drawn.
   * @throws DTypeError, ShapeError, ArgumentError
   */
  contrastiveDivergence(v: Tensor, options: ContrastiveDivergenceOptions = {}): ContrastiveDivergence {
    const { k = 1, chain = v, generator } = optionsOf("contrastiveDivergence", options, ["k", "chain", "generator"]);
    checkWhole("contrastiveDivergence", "k", k, { least: 1 });
    this.#checkVisible("contrastiveDivergence", v);
    this.#checkVisible("contrastiveDivergence", chain, "chain");
    checkFinite("contrastiveDivergence", "v", v);
    if (chain !== v) checkFinite("contrastiveDivergence", "chain", chain);
    const moved = this.gibbs(chain, { steps: k, ...(generator !== undefined && { generator }) });
    return { loss: sub(mean(this.freeEnergy(v)), mean(this.freeEnergy(moved))), chain: moved };
  }

  /**
   * log Z, a sum over all states of the smaller side; differentiable. Machines for which that takes more than 2^22 numbers are summed in blocks, and have
   * first derivatives only. @throws ArgumentError for more than 20 units on both sides
   */
  logPartition(): Tensor {
    const [V, H] = [this.visibleSize, this.hiddenSize];
    const n = Math.min(V, H);
    if (n > MOST_UNITS) throw new ArgumentError(`logPartition: expected at most ${MOST_UNITS} units on one side, got ${V} and ${H}`);
    const side: Side =
      n === V ? [this.weight, this.visibleBias, this.hiddenBias] : [transpose(this.weight), this.hiddenBias, this.visibleBias];
    const block = 2 ** Math.min(n, Math.max(0, Math.floor(Math.log2(BLOCK / Math.max(V, H)))));
    return block === 2 ** n ? partition(side, 0, block) : partitionInBlocks(side, block);
  }

  /** The mean of log p(v) over v [B,V], exactly; differentiable. @throws ShapeError; ArgumentError for more than 20 units on both sides */
  logLikelihood(v: Tensor): Tensor {
    return neg(add(mean(this.freeEnergy(v)), this.logPartition()));
  }

  #checkVisible(op: string, v: Tensor, name = "v"): void {
    checkRows(op, name, v, this.visibleSize, this.weight.dtype);
  }

  protected override system(): SpinSystem {
    const [V, H] = [this.visibleSize, this.hiddenSize];
    const W = readMatrix("RBM", "weight", this.weight, H, V);
    const M = Float64Array.from(W, (_, k) => W[(k % H) * V + Math.floor(k / H)] as number);
    const b = readState("RBM", "visibleBias", this.visibleBias, V, "numbers");
    const c = readState("RBM", "hiddenBias", this.hiddenBias, H, "numbers");
    return { couplings: new DenseCouplings("RBM", bipartite(M, V, H), V + H), bias: Float64Array.from([...b, ...c]), low: 0 };
  }
}

/** Numbers at most that a sum over states holds at a time. */
const BLOCK = 2 ** 22;

/** W [M,n] from the units that are enumerated to the others, and the biases of both. */
type Side = readonly [weight: Tensor, bias: Tensor, others: Tensor];

function rowsOf(bias: Tensor, from: number, count: number): Tensor {
  const n = bias.size;
  return tensor(allRows(n, 0, from, count), { shape: [count, n], dtype: bias.dtype });
}

/** log Σ exp(−F) over `count` states of a side, from one on. */
function partition([weight, bias, others]: Side, from: number, count: number): Tensor {
  const rows = rowsOf(bias, from, count);
  return logSumExp(neg(freeEnergyOf(rows, bias, linear(rows, weight, others))));
}

/** The same over all states, block by block. Derivatives are means over the states, which are added up on the way. */
function partitionInBlocks(side: Side, block: number): Tensor {
  const states = 2 ** (side[1] as Tensor).size;
  const [total, ...means] = scope(() =>
    noGrad(() => {
      let sums = meansOf(side, 0, block);
      for (let from = block; from < states; from += block) {
        const before = sums;
        sums = scope(() => joined(before, meansOf(side, from, block)));
        for (const t of before) t.dispose();
      }
      return sums;
    }),
  );
  const slopes = side.map((p, i) => sum(mul(sub(p, p.detach()), means[i] as Tensor)));
  return slopes.reduce((value, slope) => add(value, slope), total as Tensor);
}

/** log Σ exp(−F) over a block of states, and its derivatives by W and both biases: means of products, of the states, and of the others' probabilities. */
function meansOf([weight, bias, others]: Side, from: number, count: number): Tensor[] {
  const rows = rowsOf(bias, from, count);
  const fields = linear(rows, weight, others);
  const costs = neg(freeEnergyOf(rows, bias, fields));
  const total = logSumExp(costs);
  const p = exp(sub(costs, total));
  const on = sigmoid(fields);
  return [total, matmul(transpose(mul(on, unsqueeze(p, 1))), rows), matmul(p, rows), matmul(p, on)];
}

/** Sums over two blocks as those over both. */
function joined([a, ...as]: readonly Tensor[], [b, ...bs]: readonly Tensor[]): Tensor[] {
  const total = logSumExp(stack([a as Tensor, b as Tensor]));
  const [left, right] = [exp(sub(a as Tensor, total)), exp(sub(b as Tensor, total))];
  return [total, ...as.map((m, i) => add(mul(m, left), mul(bs[i] as Tensor, right)))];
}

/** −bᵀx − Σ softplus(fields of the other side) of rows x. */
function freeEnergyOf(x: Tensor, bias: Tensor, fields: Tensor): Tensor {
  return neg(add(matmul(x, bias), sum(softplus(fields), { axis: 1 })));
}

/** 1 with the given probabilities, else 0. */
function draw(p: Tensor, generator: Generator): Tensor {
  const one = tensor(1, { dtype: p.dtype });
  return where(less(generator.uniform(p.shape, 0, 1, p.dtype as FloatDType), p), one, 0);
}

function checkRows(op: string, name: string, x: Tensor, features: number, dtype: DType): void {
  checkTensor(op, x);
  if (x.dtype !== dtype) throw new DTypeError(`${op}: expected ${name} of ${dtype}, got ${x.dtype}`);
  if (x.rank === 2 && x.shape[1] === features && x.shape[0] !== 0) return;
  throw new ShapeError(`${op}: expected ${name} of shape [B,${features}] with B of at least 1, got ${show(x.shape)}`);
}
