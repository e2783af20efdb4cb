/** REINFORCE: gradients of expected reward for recurrent policies, estimated from episodes. */

import { noGrad } from "../autodiff/tape.ts";
import { checkArrayLike, checkList, checkMethods, checkNumber, checkObject, checkOptions, checkSizes } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { drawClasses } from "../decoding/draw.ts";
import { mseLoss, negativeEntropyTerms } from "../nn/losses.ts";
import { fillBeyond, zeroBeyond } from "../nn/padding.ts";
import { add, mul, neg, sub } from "../ops/arithmetic.ts";
import { reshape, sum } from "../ops/broadcast.ts";
import { gather } from "../ops/gather.ts";
import { logSoftmax } from "../ops/softmax.ts";
import { checkRecurrence, checkSequence, type Recurrence } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { checkGenerator, defaultGenerator, type Generator } from "../tensor/random.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";

/** The environment of a policy, which runs one episode after another. */
export interface Environment {
  /** Begins an episode; returns the first observation, I numbers. */
  reset(): ArrayLike<number>;
  /** Takes an action, a whole number from 0; returns the next observation, the reward, and whether the episode is over. */
  step(action: number): { readonly observation: ArrayLike<number>; readonly reward: number; readonly done: boolean };
}

/** A batch of episodes of different lengths. */
export interface Episodes {
  /** The observation before each action [T,B,I], zeros beyond each end. */
  readonly observations: Tensor;
  /** Actions, int32 [T,B], 0 beyond each end. */
  readonly actions: Tensor;
  /** Rewards [T][B], 0 beyond each end. */
  readonly rewards: readonly (readonly number[])[];
  /** Number of actions of each episode. */
  readonly lengths: readonly number[];
}

export interface RolloutOptions {
  /** Longest episode; longer ones are cut off. */
  readonly maxSteps: number;
  /** Source of the actions; default: the default generator. */
  readonly generator?: Generator;
}

/**
 * Runs a policy for one episode in each of B environments, with actions drawn from its softmax. Each episode starts from the policy's
 * initial state; nothing is recorded on the tape.
 * @param policy observations [B,I] to logits [B,A]
 * @throws ArgumentError for no environments, less than one step; ShapeError for observations of another size
 * @example const episodes = rollout(policy, mazes, { maxSteps: 60, generator });
 */
export function rollout<S extends State>(policy: Recurrence<S>, environments: readonly Environment[], options: RolloutOptions): Episodes {
  checkOptions("rollout", options, ["maxSteps", "generator"]);
  checkRecurrence("rollout", policy);
  checkList("rollout", "environments", environments);
  const { maxSteps, generator = defaultGenerator() } = options;
  checkGenerator("rollout", generator);
  checkSizes("rollout", { maxSteps, environments: environments.length });
  for (const environment of environments) checkMethods("rollout", "an environment", environment, ["reset", "step"]);
  const [B, I] = [environments.length, policy.inputSize];
  const dtype = policy.parameters().find((p) => isFloat(p.dtype))?.dtype ?? "float32";
  let seen = new Float64Array(B * I);
  for (const [b, environment] of environments.entries()) note(environment.reset(), seen.subarray(b * I, (b + 1) * I));
  const alive = new Array<boolean>(B).fill(true);
  const lengths = new Array<number>(B).fill(0);
  const all: { seen: Float64Array; actions: number[]; rewards: number[] }[] = [];
  return scope(() =>
    noGrad(() => {
      let state = policy.initialState(B);
      while (all.length < maxSteps && alive.includes(true)) {
        const [logits, next] = policy.step(tensor(seen, { dtype, shape: [B, I] }), state);
        const drawn = drawClasses(logits, generator).data();
        const actions = Array.from(drawn, (a, b) => (alive[b] ? Number(a) : 0));
        const rewards = new Array<number>(B).fill(0);
        all.push({ seen, actions, rewards });
        seen = new Float64Array(B * I);
        for (const [b, environment] of environments.entries()) {
          if (!alive[b]) continue;
          const { observation, reward, done } = environment.step(actions[b] as number);
          checkNumber("rollout", "reward", reward);
          rewards[b] = reward;
          lengths[b] = all.length;
          alive[b] = !done;
          if (!done) note(observation, seen.subarray(b * I, (b + 1) * I));
        }
        state = next;
      }
      const T = all.length;
      const observations = new Float64Array(T * B * I);
      for (const [t, step] of all.entries()) observations.set(step.seen, t * B * I);
      return {
        observations: tensor(observations, { dtype, shape: [T, B, I] }),
        actions: tensor(
          all.flatMap((step) => step.actions),
          { dtype: "int32", shape: [T, B] },
        ),
        rewards: all.map((step) => step.rewards),
        lengths: [...lengths],
      };
    }),
  );
}

/** Writes an observation. */
function note(observation: ArrayLike<number>, row: Float64Array): void {
  checkArrayLike("rollout", "an observation", observation);
  if (observation.length !== row.length)
    throw new ShapeError(`rollout: expected observations of ${row.length} numbers, as the policy reads, got ${observation.length}`);
  for (let i = 0; i < row.length; i++) {
    const value: unknown = observation[i];
    if (typeof value !== "number") throw new DTypeError(`rollout: expected observations of numbers, got ${quote(value)} at ${i}`);
    row[i] = value;
  }
}

/**
 * R_t = Σ_{k ≥ t} γ^{k−t} r_k of each episode [T][B]: the return still to come at each step.
 * @throws ArgumentError for γ outside [0, 1] and rewards that are not finite; ShapeError if steps have different numbers of episodes
 * @example returnsToGo([[0], [0], [4]], 0.5) // [[1], [2], [4]]
 */
export function returnsToGo(rewards: readonly (readonly number[])[], discount = 1): number[][] {
  checkList("returnsToGo", "rewards", rewards);
  const B = rewards[0]?.length ?? 0;
  for (const [t, row] of rewards.entries()) {
    checkList("returnsToGo", "rewards of a step", row);
    if (row.length !== B) throw new ShapeError(`returnsToGo: expected ${B} rewards at every step, got ${row.length} at step ${t}`);
    for (const reward of row) checkNumber("returnsToGo", "rewards", reward);
  }
  checkNumber("returnsToGo", "discount", discount, { least: 0, most: 1 });
  let after = new Array<number>(B).fill(0);
  return rewards
    .toReversed()
    .map((row) => (after = row.map((r, b) => r + discount * (after[b] as number))))
    .reverse();
}

export interface ReinforceOptions {
  /** b: a recurrence from the same observations to one value [B,1], trained by the second loss; default b = 0. */
  readonly baseline?: Recurrence<never> | Recurrence;
  /** γ (default 1). */
  readonly discount?: number;
  /** β, weight of the entropy bonus (default 0.01). */
  readonly entropy?: number;
  /** Whether to normalise R − b to mean 0 and variance 1 over all steps of the batch (default false: the plain estimator). */
  readonly normalize?: boolean;
  /** Weight of each episode (default 1/B each); use the episodes' probabilities if the batch enumerates all episodes. */
  readonly weights?: readonly number[];
}

/** The losses of REINFORCE, and the return that the policy had. */
export interface ReinforceLosses {
  /** Loss to minimise by the policy; its gradient is minus the estimated gradient of the expected return. Its value has no meaning. */
  readonly policy: Tensor;
  /** Mean squared error of the baseline over all steps; null without a baseline. Independent of the policy's parameters. */
  readonly baseline: Tensor | null;
  /** Mean over the episodes of the full return Σ γᵗ r_t. */
  readonly meanReturn: number;
}

/**
 * The losses for a batch of episodes. The policy is scanned over the observations, so gradients go back through whole episodes:
 *
 *   ∇J ≈ Σ_b w_b Σ_t ∇log π(a_t | h_t) · (R_t − b(h_t)) + β Σ_b w_b Σ_t ∇H(π(· | h_t))      R_t = Σ_{k≥t} γ^{k−t} r_k
 *
 * Any baseline that does not depend on a_t leaves the expectation unchanged and changes only the variance. The discount counts from the present
 * step, as usual: the factor γᵗ of the exact gradient of a discounted return is omitted. Takes one forward and one backward pass over the episodes.
 * @param policy observations [B,I] to logits [B,A]; a logit of −∞ masks an action, which then does not count in the entropy
 * @throws ShapeError for actions or weights of another size; ArgumentError for actions that the policy does not have
 * @see Williams, "Simple statistical gradient-following algorithms for connectionist reinforcement learning", 1992; Wierstra, Förster, Peters and
 * Schmidhuber, "Recurrent policy gradients", 2010
 * @example
 * const episodes = rollout(policy, mazes, { maxSteps: 60, generator });
 * const losses = reinforceLosses(policy, episodes, { baseline, normalize: true });
 * backward(add(losses.policy, losses.baseline!));
 */
export function reinforceLosses<S extends State>(
  policy: Recurrence<S>,
  episodes: Episodes,
  options: ReinforceOptions = {},
): ReinforceLosses {
  checkRecurrence("reinforceLosses", policy);
  checkObject("reinforceLosses", "episodes", episodes);
  checkOptions("reinforceLosses", options, ["baseline", "discount", "entropy", "normalize", "weights"]);
  const { observations, actions, lengths } = episodes;
  const { discount = 1, entropy = 0.01, normalize = false } = options;
  checkNumber("reinforceLosses", "entropy", entropy, { least: 0 });
  checkSequence("reinforceLosses", observations, policy.inputSize);
  checkTensor("reinforceLosses", actions);
  checkList("reinforceLosses", "lengths", lengths);
  if (options.weights !== undefined) checkList("reinforceLosses", "weights", options.weights);
  if (options.baseline !== undefined) checkRecurrence("reinforceLosses: baseline", options.baseline);
  const [T, B] = observations.shape as [number, number, number];
  const returns = returnsToGo(episodes.rewards, discount);
  checkEpisodes(episodes, returns);
  const weights = weightsOf(options.weights, B);
  const dtype = observations.dtype;
  const logits = policy.scan(observations, undefined, { lengths })[0];
  checkActions(actions, logits.dim(2));
  const goals = tensor(returns.flat(), { shape: [T, B], dtype });
  const baseline = options.baseline as Recurrence | undefined;
  const values = baseline && reshape(baseline.scan(observations, undefined, { lengths })[0], [T, B]);
  const advantage = advantages(values === undefined ? goals : sub(goals, values.detach()), lengths, normalize);
  const logs = logSoftmax(fillBeyond(logits, lengths), -1);
  const said = reshape(gather(logs, 2, reshape(actions, [T, B, 1])), [T, B]);
  const gain = mul(said, advantage);
  const surprise = entropy === 0 ? gain : add(gain, mul(sum(negativeEntropyTerms(logs), { axis: 2 }), -entropy));
  const each = sum(zeroBeyond(surprise, lengths), { axis: 0 });
  return {
    policy: neg(sum(mul(each, tensor(weights, { dtype })))),
    baseline: values === undefined ? null : valueError(values, goals, lengths),
    meanReturn: (returns[0] ?? []).reduce((a, b) => a + b, 0) / B,
  };
}

function checkEpisodes({ actions, rewards, observations, lengths }: Episodes, returns: readonly (readonly number[])[]): void {
  const [T, B] = observations.shape as [number, number, number];
  if (actions.rank !== 2 || actions.dim(0) !== T || actions.dim(1) !== B)
    throw new ShapeError(`reinforceLosses: expected actions [${T},${B}], got ${show(actions.shape)}`);
  if (returns.length !== T || rewards.some((row) => row.length !== B) || lengths.length !== B)
    throw new ShapeError(
      `reinforceLosses: expected ${T} rows of rewards and lengths for ${B} episodes, got ${rewards.length} and ${lengths.length}`,
    );
}

function checkActions(actions: Tensor, A: number): void {
  const wrong = Array.from(actions.data(), Number).find((a) => !(a >= 0 && a < A));
  if (wrong !== undefined) throw new ArgumentError(`reinforceLosses: expected actions in [0, ${A - 1}], got ${wrong}`);
}

function weightsOf(weights: readonly number[] | undefined, B: number): readonly number[] {
  if (weights === undefined) return new Array<number>(B).fill(1 / B);
  if (weights.length !== B) throw new ShapeError(`reinforceLosses: expected ${B} weights, got ${weights.length}`);
  return weights;
}

/** R − b, normalised to mean 0 and variance 1 over the real steps if wanted; zeros beyond. */
function advantages(raw: Tensor, lengths: readonly number[], normalize: boolean): Tensor {
  const real = zeroBeyond(raw.detach(), lengths);
  if (!normalize) return real;
  const B = lengths.length;
  const counts = (_: number, i: number): boolean => Math.floor(i / B) < (lengths[i % B] as number);
  const values = Array.from<number>(real.data());
  const steps = values.filter(counts);
  const mean = steps.reduce((a, b) => a + b, 0) / steps.length;
  const variance = steps.reduce((a, b) => a + (b - mean) ** 2, 0) / steps.length;
  // If all are equal, there is nothing to learn.
  const scale = variance > 0 ? 1 / Math.sqrt(variance) : 0;
  return zeroBeyond(
    tensor(
      values.map((v) => (v - mean) * scale),
      { shape: raw.shape, dtype: raw.dtype },
    ),
    lengths,
  );
}

/** Mean over the real steps of (value − return)². */
function valueError(values: Tensor, goals: Tensor, lengths: readonly number[]): Tensor {
  const steps = lengths.reduce((a, b) => a + b, 0);
  return mul(mseLoss(zeroBeyond(values, lengths), zeroBeyond(goals, lengths), { reduction: "sum" }), 1 / Math.max(1, steps));
}
