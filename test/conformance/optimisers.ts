/** The group `optim`: trajectories of optimisers with clipping, and learning-rate schedules. */

import { backward } from "../../src/autodiff/backward.ts";
import { add, div, mul, square, sub } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { matmul } from "../../src/ops/linear.ts";
import { stack } from "../../src/ops/shape.ts";
import { Adadelta } from "../../src/optim/adadelta.ts";
import { Adagrad } from "../../src/optim/adagrad.ts";
import { Adam, AdamW } from "../../src/optim/adam.ts";
import { Adamax } from "../../src/optim/adamax.ts";
import { clipGradNorm, clipGradValue } from "../../src/optim/clip.ts";
import { LBFGS } from "../../src/optim/lbfgs.ts";
import type { Coefficients } from "../../src/optim/moments.ts";
import { NAdam, type NAdamOptions } from "../../src/optim/nadam.ts";
import type { Group as GroupInUse } from "../../src/optim/optimizer.ts";
import { RAdam } from "../../src/optim/radam.ts";
import { RMSprop } from "../../src/optim/rmsprop.ts";
import { Rprop } from "../../src/optim/rprop.ts";
import * as schedules from "../../src/optim/schedules.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { zerosLike } from "../../src/tensor/create.ts";
import { assign, requireGrad, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Case, Group, Named, Outcome } from "./runner.ts";

/**
 * The stored trajectory of NAdam is PyTorch 1.13's, which divides the mean's part by 1 − Π·μₜ·μₜ₊₁; PyTorch 2 and this library count μₜ once.
 * All else of the class is compared: only that denominator is exchanged.
 */
class NAdamOf113 extends NAdam {
  protected override coefficients(group: GroupInUse<NAdamOptions>, numbers: Record<string, number>): Coefficients {
    const { step = 0 } = numbers;
    const mu = (t: number) => group.betas[0] * (1 - 0.5 * 0.96 ** (t * group.momentumDecay));
    const ours = super.coefficients(group, numbers);
    const product = numbers.muProduct as number;
    return { ...ours, ofMean: (ours.ofMean * (1 - product * mu(step + 1))) / (1 - product * mu(step) * mu(step + 1)) };
  }
}

type Options = Readonly<Record<string, unknown>>;

/** PyTorch's option names and values in ours. */
function translate(options: Options): Options {
  const camel = (name: string) => name.replace(/_+(\w)/g, (_, letter: string) => letter.toUpperCase()).replace(/^T(?=[A-Z0-9])/, "t");
  return Object.fromEntries(
    Object.entries(options).map(([name, value]) => [camel(name), value === "strong_wolfe" ? "strongWolfe" : value]),
  );
}

const OPTIMIZERS = { SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, NAdam: NAdamOf113, RAdam, Rprop, LBFGS };

function makeOptimizer(spec: Case, params: readonly Tensor[]): LBFGS | SGD {
  const all: Readonly<Record<string, unknown>> = OPTIMIZERS;
  const make = all[spec.optimizer as string] as (new (params: readonly Tensor[], options: Options) => LBFGS | SGD) | undefined;
  if (make === undefined) throw new Error(`expected an optimiser of this library, got ${spec.optimizer}`);
  return new make(params, translate(spec.options as Options));
}

/** PyTorch's `StepLR` is `stepLR` here. */
function makeSchedule(spec: Case): schedules.Schedule {
  const name = spec.schedule as string;
  const all = schedules as unknown as Readonly<Record<string, (options: Options) => schedules.Schedule>>;
  const make = all[(name[0] ?? "").toLowerCase() + name.slice(1)];
  if (make === undefined) throw new Error(`expected a schedule of this library, got ${name}`);
  return make(translate(spec.options as Options));
}

interface Problem {
  readonly w: Tensor;
  readonly b: Tensor;
  /** The loss, and its gradients put into w and b. */
  evaluate(): Tensor;
}

/** 0.5·Σ(X·w + b − Y)² / rows + 0.05·Σ w⁴. */
function problemOf({ X, Y, w: w0, b: b0 }: Named): Problem {
  const copy = (t: Tensor): Tensor => {
    const leaf = zerosLike(t);
    assign(leaf, t);
    return requireGrad(leaf);
  };
  const [w, b] = [copy(w0 as Tensor), copy(b0 as Tensor)];
  const evaluate = (): Tensor => {
    w.grad = null;
    b.grad = null;
    const residual = sub(add(matmul(X as Tensor, w), b), Y as Tensor);
    const fit = div(mul(sum(square(residual)), 0.5), (X as Tensor).dim(0));
    const loss = add(fit, mul(sum(square(square(w))), 0.05));
    backward(loss);
    return loss;
  };
  return { w, b, evaluate };
}

interface Clip {
  readonly kind: "norm" | "value";
  readonly max_norm: number;
  readonly norm_type: 1 | 2 | "inf";
  readonly clip_value: number;
}

/** Clips the gradients; the norm before it, if there is one. */
function clip(params: readonly Tensor[], how: Clip | null): number | null {
  if (how === null) return null;
  if (how.kind === "value") {
    clipGradValue(params, how.clip_value);
    return null;
  }
  const normType = how.norm_type === "inf" ? Number.POSITIVE_INFINITY : how.norm_type;
  return clipGradNorm(params, how.max_norm, { normType });
}

function trajectory(spec: Case, inputs: Named): Outcome {
  const { w, b, evaluate } = problemOf(inputs);
  const optimizer = makeOptimizer(spec, [w, b]);
  const seen = { w: [] as Tensor[], b: [] as Tensor[], loss: [] as number[], norm: [] as number[] };
  for (let i = 0; i < (spec.steps as number); i++) {
    if (optimizer instanceof LBFGS) seen.loss.push(optimizer.step(evaluate));
    else {
      seen.loss.push(evaluate().item());
      const norm = clip([w, b], spec.clip as Clip | null);
      if (norm !== null) seen.norm.push(norm);
      optimizer.step();
    }
    seen.w.push(tensor(w.data(), { shape: w.shape }));
    seen.b.push(tensor(b.data(), { shape: b.shape }));
  }
  const numbers = (values: number[]) => tensor(values, { dtype: w.dtype });
  const outputs: Record<string, Tensor> = { w: stack(seen.w), b: stack(seen.b), loss: numbers(seen.loss) };
  if (seen.norm.length > 0) outputs.total_norm = numbers(seen.norm);
  return { outputs: [outputs], role: optimizer instanceof LBFGS ? "lbfgs" : "trajectory" };
}

/** The rate in force at each step. */
function schedule(spec: Case): Outcome {
  const optimizer = new SGD([requireGrad(tensor([0]))], { lr: spec.base_lr as number, momentum: 0.9 });
  const scheduler = new schedules.Scheduler(optimizer, makeSchedule(spec));
  const rates: number[] = [];
  for (let i = 0; i < (spec.steps as number); i++) {
    rates.push(optimizer.lr);
    optimizer.step();
    scheduler.step();
  }
  return { outputs: [{ lr: tensor(rates, { dtype: "float64" }) }], role: "trajectory" };
}

export const optim: Group = (spec: Case, inputs: Named): Outcome => {
  if (typeof spec.schedule === "string") return schedule(spec);
  return trajectory(spec, inputs);
};
