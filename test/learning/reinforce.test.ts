/** REINFORCE against exact enumeration of all episodes of small worlds. */

import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { gradients } from "../../src/autodiff/sweep.ts";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { type Environment, type Episodes, reinforceLosses, returnsToGo, rollout } from "../../src/learning/index.ts";
import { Linear } from "../../src/nn/layers.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { reshape, sum } from "../../src/ops/broadcast.ts";
import { gather } from "../../src/ops/gather.ts";
import { exp } from "../../src/ops/math.ts";
import { cat } from "../../src/ops/shape.ts";
import { logSoftmax } from "../../src/ops/softmax.ts";
import { Cell } from "../../src/recurrence/recurrence.ts";
import { GRUCell } from "../../src/recurrence/rnn-cells.ts";
import { full, onesLike } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { MooreMachine } from "../../src/wrappers/index.ts";

const dtype = "float64";
const net = (inputs: number, outputs: number, seed: number) => {
  const generator = new Generator(seed);
  return new MooreMachine(
    new GRUCell({ inputSize: inputs, hiddenSize: 3, dtype, generator }),
    new Linear(3, outputs, { dtype, generator }),
  );
};
const values = (t: Tensor | null): number[] => Array.from((t as Tensor).data());

/** Three steps, two actions; which of two goals counts is seen at the first step alone, and the place after each action. */
class Small implements Environment {
  readonly #goals: readonly number[];
  #goal = 0;
  #place = 0;
  #time = 0;
  #episode = 0;

  constructor(goals: readonly number[]) {
    this.#goals = goals;
  }

  reset(): number[] {
    this.#goal = this.#goals[this.#episode++ % this.#goals.length] as number;
    [this.#place, this.#time] = [0, 0];
    return [this.#goal, 0];
  }

  step(action: number) {
    this.#place = 2 * this.#place + action;
    this.#time++;
    const reward = this.#time < 3 ? 0.1 * this.#place - 0.3 * action : this.#goal === 1 ? Math.sin(this.#place) : Math.cos(2 * this.#place);
    return { observation: [0, this.#place / 4], reward, done: this.#time === 3 };
  }
}

/** A policy with one more action, the first, which it never takes. */
class Masked extends Cell<Tensor> {
  readonly inputSize = 2;
  readonly outputSize = 3;
  readonly policy: ReturnType<typeof net>;
  readonly #never: number;

  constructor(policy: ReturnType<typeof net>, never: number) {
    super();
    this.policy = policy;
    this.#never = never;
  }

  initialState(batch: number): Tensor {
    return this.policy.initialState(batch) as Tensor;
  }

  step(x: Tensor, state: Tensor): [Tensor, Tensor] {
    const [y, next] = this.policy.step(x, state as never);
    return [cat([full([x.dim(0), 1], this.#never, dtype), y], 1), next as unknown as Tensor];
  }
}

/** All 2·2³ episodes, with what the world does for them. */
function everyEpisode(): Episodes & { readonly chance: readonly number[] } {
  const all = Array.from({ length: 16 }, (_, i) => ({ goal: i >> 3, actions: [(i >> 2) & 1, (i >> 1) & 1, i & 1] }));
  const lived = all.map(({ goal, actions }) => {
    const world = new Small([goal]);
    const seen = [world.reset()];
    const rewards = actions.map((a) => {
      const { observation, reward } = world.step(a);
      seen.push(observation);
      return reward;
    });
    return { seen: seen.slice(0, 3), rewards };
  });
  const byTime = <V>(pick: (i: number, t: number) => V): V[][] => [0, 1, 2].map((t) => all.map((_, i) => pick(i, t)));
  return {
    observations: tensor(
      byTime((i, t) => lived[i]?.seen[t] as number[]),
      { dtype },
    ),
    actions: tensor(
      byTime((i, t) => all[i]?.actions[t] as number),
      { dtype: "int32" },
    ),
    rewards: byTime((i, t) => lived[i]?.rewards[t] as number),
    lengths: new Array<number>(16).fill(3),
    chance: new Array<number>(16).fill(0.5),
  };
}

/** The probabilities [16] of all episodes under a policy, differentiable. */
function probabilities(policy: ReturnType<typeof net>, { observations, actions, chance }: ReturnType<typeof everyEpisode>): Tensor {
  const logs = logSoftmax(policy.scan(observations)[0], -1);
  const said = reshape(gather(logs, 2, reshape(actions, [3, 16, 1])), [3, 16]);
  return mul(exp(sum(said, { axis: 0 })), tensor([...chance], { dtype }));
}

describe("reinforceLosses", () => {
  const episodes = everyEpisode();

  it.each(["none", "a recurrence"])("over all episodes is the exact gradient of the expected return, baseline: %s", (kind) => {
    const policy = net(2, 2, 1);
    const p = probabilities(policy, episodes);
    expect(Math.abs(values(p).reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-12);
    const whole = (returnsToGo(episodes.rewards)[0] as number[]) ?? [];
    const J = sum(mul(p, tensor([...whole], { dtype })));
    const exact = gradients([J], policy.parameters(), [onesLike(J)]);
    const baseline = kind === "none" ? {} : { baseline: net(2, 1, 2) as never };
    const losses = reinforceLosses(policy, episodes, { entropy: 0, weights: values(p), ...baseline });
    const found = gradients([losses.policy], policy.parameters(), [onesLike(losses.policy)]);
    exact.forEach((g, i) => {
      values(g).forEach((v, k) => {
        expect(!(Math.abs(v + (values(found[i] as Tensor)[k] as number)) <= 1e-9)).toBe(false);
      });
    });
    expect(exact.flatMap(values).some((v) => Math.abs(v) > 1e-3)).toBe(true);
  });

  it("trains the baseline on the returns, apart from the policy", () => {
    const [policy, baseline] = [net(2, 2, 1), net(2, 1, 2)];
    const losses = reinforceLosses(policy, episodes, { baseline: baseline as never, discount: 0.9 });
    const returns = returnsToGo(episodes.rewards, 0.9);
    const b = baseline.scan(episodes.observations)[0].toArray() as number[][][];
    const expected = returns.flatMap((row, t) => row.map((r, i) => (r - (b[t]?.[i]?.[0] as number)) ** 2)).reduce((x, y) => x + y, 0) / 48;
    expect(Math.abs((losses.baseline as Tensor).item() - expected)).toBeLessThan(1e-12);
    expect(Math.abs(losses.meanReturn - (returns[0] as number[]).reduce((x, y) => x + y, 0) / 16)).toBeLessThan(1e-12);
    backward(losses.policy);
    expect(baseline.parameters().every((q) => q.grad === null)).toBe(true);
    backward(losses.baseline as Tensor);
    expect(baseline.parameters().some((q) => q.grad !== null && values(q.grad).some((v) => v !== 0))).toBe(true);
  });

  it("adds β times the entropy, and nothing beyond an episode's end", () => {
    const policy = net(2, 2, 3);
    const lengths = Array.from({ length: 16 }, (_, i) => 1 + (i % 3));
    const silent = { ...episodes, lengths, rewards: episodes.rewards.map((row) => row.map(() => 0)) };
    const loss = reinforceLosses(policy, silent, { entropy: 0.3 }).policy;
    const logits = policy.scan(episodes.observations, undefined, { lengths })[0].toArray() as number[][][];
    let entropy = 0;
    for (let t = 0; t < 3; t++) {
      for (let i = 0; i < 16; i++) {
        if (t >= (lengths[i] as number)) continue;
        const z = logits[t]?.[i] as number[];
        const total = z.reduce((a, v) => a + Math.exp(v), 0);
        entropy -= z.reduce((a, v) => a + (Math.exp(v) / total) * Math.log(Math.exp(v) / total), 0);
      }
    }
    expect(Math.abs(loss.item() + (0.3 * entropy) / 16)).toBeLessThan(1e-12);
  });

  it.each([Number.NEGATIVE_INFINITY, -1e30])("gives masked actions no part in the entropy: logits of %d", (never) => {
    // Three actions, of which one is masked everywhere, against a policy that has the other two alone.
    const two = net(2, 2, 3);
    const lengths = Array.from({ length: 16 }, (_, i) => 1 + (i % 3));
    const masked = new Masked(two, never);
    // In the masked policy actions 0 and 1 are 1 and 2, and the 0 beyond the ends is one that it never takes.
    const actions = tensor(
      Array.from(episodes.actions.data(), (a, i) => (Math.floor(i / 16) < (lengths[i % 16] as number) ? Number(a) + 1 : 0)),
      { shape: [3, 16], dtype: "int32" },
    );
    const expected = reinforceLosses(two, { ...episodes, lengths }, {}).policy;
    const wanted = gradients([expected], two.parameters(), [onesLike(expected)]).flatMap(values);
    const loss = reinforceLosses(masked, { ...episodes, lengths, actions }, {}).policy;
    const found = gradients([loss], two.parameters(), [onesLike(loss)]).flatMap(values);
    expect(!(Math.abs(loss.item() - expected.item()) <= 1e-12)).toBe(false);
    found.forEach((g, i) => {
      expect(!(Math.abs(g - (wanted[i] as number)) <= 1e-12)).toBe(false);
    });
    expect(wanted.some((g) => Math.abs(g) > 1e-3)).toBe(true);
  });

  it("comes within 2 % of the expectation on a bandit", () => {
    const policy = net(1, 3, 4);
    const reward = [1, 0.2, -0.5];
    const B = 100_000;
    const arms = (): Environment => ({ reset: () => [1], step: (a) => ({ observation: [1], reward: reward[a] as number, done: true }) });
    const drawn = rollout(policy, new Array(B).fill(arms()), { maxSteps: 5, generator: new Generator(5) });
    expect(drawn.lengths.every((n) => n === 1)).toBe(true);
    const [p] = [values(logSoftmax(policy.scan(tensor([[[1]]], { dtype }))[0], -1)).map(Math.exp)];
    const exactly: Episodes = {
      observations: tensor([[[1], [1], [1]]], { dtype }),
      actions: tensor([[0, 1, 2]], { dtype: "int32" }),
      rewards: [reward],
      lengths: [1, 1, 1],
    };
    const of = (e: Episodes, weights?: number[]): number[] => {
      const { policy: loss } = reinforceLosses(policy, e, { entropy: 0, ...(weights !== undefined && { weights }) });
      return gradients([loss], policy.parameters(), [onesLike(loss)]).flatMap((g) => values(g as Tensor));
    };
    const [estimate, exact] = [of(drawn), of(exactly, p)];
    const norm = (v: number[]): number => Math.sqrt(v.reduce((a, x) => a + x * x, 0));
    expect(norm(estimate.map((v, i) => v - (exact[i] as number))) / norm(exact)).toBeLessThan(0.02);
  });

  it("normalises advantages over the real steps", () => {
    const policy = net(2, 2, 1);
    const lengths = episodes.lengths.map((_, i) => 1 + (i % 3));
    const a = reinforceLosses(policy, { ...episodes, lengths }, { entropy: 0, normalize: true }).policy.item();
    const shifted = {
      ...episodes,
      lengths,
      rewards: episodes.rewards.map((row, t) => row.map((r, i) => (t === (lengths[i] as number) - 1 ? 7 * r + 3 : 7 * r))),
    };
    // Returns 7 R + 3 at every real step: the same advantages.
    const cut = episodes.rewards.map((row, t) => row.map((r, i) => (t < (lengths[i] as number) ? r : 0)));
    const b = reinforceLosses(policy, { ...episodes, lengths, rewards: cut }, { entropy: 0, normalize: true }).policy.item();
    const moved = shifted.rewards.map((row, t) => row.map((r, i) => (t < (lengths[i] as number) ? r : 0)));
    const c = reinforceLosses(policy, { ...shifted, rewards: moved }, { entropy: 0, normalize: true }).policy.item();
    expect(Number.isFinite(a)).toBe(true);
    expect(Math.abs(b - c)).toBeLessThan(1e-12);
    const still = { ...episodes, rewards: episodes.rewards.map((row, t) => row.map(() => (t === 2 ? 1 : 0))) };
    expect(reinforceLosses(policy, still, { entropy: 0, normalize: true }).policy.item()).toBeCloseTo(0, 12);
  });

  it("refuses what does not fit", () => {
    const policy = net(2, 2, 1);
    expect(() => reinforceLosses(policy, { ...episodes, actions: tensor([[0]], { dtype: "int32" }) })).toThrow(ShapeError);
    expect(() => reinforceLosses(policy, { ...episodes, rewards: [] })).toThrow(ShapeError);
    expect(() => reinforceLosses(net(2, 1, 1), episodes)).toThrow(/actions in \[0, 0\], got 1/);
    expect(() => reinforceLosses(policy, episodes, { weights: [1] })).toThrow(ShapeError);
    expect(() => reinforceLosses(policy, episodes, { entropy: -1 })).toThrow(ArgumentError);
    expect(() => returnsToGo([[1]], 1.5)).toThrow(ArgumentError);
  });
});

describe("rollout", () => {
  it("records what was seen, done and earned, up to each end", () => {
    const policy = net(2, 2, 6);
    const worlds = [0, 1].map((goal) => new Small([goal]));
    const short: Environment = { reset: () => [9, 9], step: () => ({ observation: [8, 8], reward: -1, done: true }) };
    const found = rollout(policy, [...worlds, short], { maxSteps: 10, generator: new Generator(7) });
    expect(found.lengths).toEqual([3, 3, 1]);
    const actions = found.actions.toArray() as number[][];
    const seen = found.observations.toArray() as number[][][];
    [0, 1].forEach((goal) => {
      const world = new Small([goal]);
      let observation = world.reset();
      for (let t = 0; t < 3; t++) {
        expect(seen[t]?.[goal]).toEqual(observation);
        const next = world.step(actions[t]?.[goal] as number);
        expect(found.rewards[t]?.[goal]).toBe(next.reward);
        observation = next.observation;
      }
    });
    expect(seen.map((row) => row[2])).toEqual([
      [9, 9],
      [0, 0],
      [0, 0],
    ]);
    expect(found.rewards.map((row) => row[2])).toEqual([-1, 0, 0]);
    const same = rollout(policy, [...worlds, short], { maxSteps: 10, generator: new Generator(7) });
    expect(same.actions.toArray()).toEqual(actions);
    expect(rollout(policy, worlds, { maxSteps: 2 }).lengths).toEqual([2, 2]);
    expect(() => rollout(policy, [], { maxSteps: 2 })).toThrow(ArgumentError);
    expect(() => rollout(net(3, 2, 1), worlds, { maxSteps: 2 })).toThrow(ShapeError);
  });

  it("refuses observations that are no numbers, at first and later, and keeps those of a world that writes over its own", () => {
    const policy = net(1, 2, 6);
    const world = (first: unknown, later: unknown) =>
      ({ reset: () => first, step: () => ({ observation: later, reward: 0, done: false }) }) as never as Environment;
    for (const wrong of [undefined, 1, ["1"], [null]]) {
      expect(() => rollout(policy, [world(wrong, [0])], { maxSteps: 2 })).toThrow(DTypeError);
      expect(() => rollout(policy, [world([0], wrong)], { maxSteps: 2 })).toThrow(DTypeError);
    }
    const own = [0];
    const counting: Environment = {
      reset: () => own.fill(1),
      step: () => ({ observation: own.fill((own[0] as number) + 1), reward: 0, done: false }),
    };
    expect(rollout(policy, [counting], { maxSteps: 3 }).observations.toArray()).toEqual([[[1]], [[2]], [[3]]]);
  });

  it("discounts rewards once", () => {
    expect(
      returnsToGo(
        [
          [0, 1],
          [0, 1],
          [4, 1],
        ],
        0.5,
      ),
    ).toEqual([
      [1, 1.75],
      [2, 1.5],
      [4, 1],
    ]);
  });
});
