/** Robot control: an arm reaches with a payload that it can neither see nor weigh; policies learn through the simulated arm. */

import {
  Adam,
  add,
  bootstrapInterval,
  cat,
  cosineAnnealingLR,
  Generator,
  GRUCell,
  Linear,
  lineChart,
  Module,
  manualSeed,
  mean,
  mul,
  predict,
  SequenceBatches,
  slice,
  square,
  sub,
  sum,
  type Tensor,
  tanh,
} from "tapeloop";
import { type Figure, type Result, type RunOptions, restored, resultOf, train } from "../shared/example.ts";
import { Arm, handAt, type Observation, type Policy, START } from "./arm.ts";
import { wallFollowing } from "./wall.ts";

/** Steps of a reach, one second; the distance counts over the last ones. */
const STEPS = 100;
const HELD = 20;
const TESTS = 200;

/** Goal and present angles around the middle of the workspace [B,4]. */
const seen = ({ goal, angles }: Observation): Tensor => cat([sub(goal, angles), sub(angles, 1)], 1);

class RecurrentPolicy extends Module implements Policy {
  readonly hiddenSize = 24;
  readonly cell = new GRUCell({ inputSize: 4, hiddenSize: 24 });
  readonly head = new Linear(24, 2);

  act(observation: Observation, memory: Tensor): [torques: Tensor, memory: Tensor] {
    const [, next] = this.cell.step(seen(observation), memory);
    return [mul(this.head.forward(next), 5), next];
  }
}

/** About as many weights, and no memory. */
class FeedforwardPolicy extends Module implements Policy {
  readonly hiddenSize = 1;
  readonly first = new Linear(4, 42);
  readonly second = new Linear(42, 42);
  readonly head = new Linear(42, 2);

  act(observation: Observation, memory: Tensor): [torques: Tensor, memory: Tensor] {
    const hidden = tanh(this.second.forward(tanh(this.first.forward(seen(observation)))));
    return [mul(this.head.forward(hidden), 5), memory];
  }
}

/** Springs and dampers; unlike the networks it is told the speeds. */
class ProportionalDerivative extends Module implements Policy {
  readonly hiddenSize = 1;
  readonly #stiffness: number;
  readonly #damping: number;

  constructor(stiffness: number, damping: number) {
    super();
    this.#stiffness = stiffness;
    this.#damping = damping;
  }

  act({ goal, angles, speeds }: Observation, memory: Tensor): [torques: Tensor, memory: Tensor] {
    return [sub(mul(sub(goal, angles), this.#stiffness), mul(speeds, this.#damping)), memory];
  }
}

class Arms extends Module {
  readonly recurrent = new Arm(new RecurrentPolicy());
  readonly feedforward = new Arm(new FeedforwardPolicy());
}

/** A reach: goal angles and payload at every step, and where the hand should be. */
interface Reach {
  readonly xs: number[][];
  readonly ys: number[];
}

function reaches(count: number, generator: Generator): Reach[] {
  const draws = generator.uniform([count, 3]).toArray() as number[][];
  return draws.map(([a, b, c]): Reach => {
    const goal: [number, number] = [0.2 + 1.4 * (a as number), 0.5 + 1.6 * (b as number)];
    return { xs: Array.from({ length: STEPS }, () => [...goal, 1.5 * (c as number)]), ys: handAt(goal) };
  });
}

function batchesOf(list: readonly Reach[], options: { batchSize: number; shuffle?: boolean; epochs: number }) {
  return new SequenceBatches(list, { dtype: "float32", targetDtype: "float32", targets: "stacked", ...options });
}

/** Squared distance in square decimetres, most of it at the end, and a little for torques. */
function effort(arm: Arm, { xs, ys }: { xs: Tensor; ys: Tensor }): Tensor {
  const [out] = arm.scan(xs);
  const distances = sum(square(mul(sub(slice(out, 2, 0, 2), ys), 10)), { axis: 2 });
  const torques = mean(square(slice(out, 2, 2, 4)));
  return add(add(mean(slice(distances, 0, STEPS - HELD, STEPS)), mul(mean(distances), 0.1)), mul(torques, 1e-4));
}

/** The hand's path of each reach [reach][step] = [x, y]. */
function pathsOf(arm: Arm, list: readonly Reach[]): number[][][] {
  const batches = batchesOf(list, { batchSize: list.length, epochs: 1 });
  const [out] = predict(arm, batches, (own, { xs }) => own.scan(xs)[0].toArray() as number[][][]) as [number[][][]];
  return list.map((_, b) => out.map((step) => (step[b] as number[]).slice(0, 2)));
}

/** Centimetres between hand and goal, over the last fifth of each reach. */
function distancesOf(arm: Arm, list: readonly Reach[]): number[] {
  return pathsOf(arm, list).map((path, b) => {
    const goal = (list[b] as Reach).ys as [number, number];
    const ends = path.slice(-HELD).map(([x, y]) => 100 * Math.hypot((x as number) - goal[0], (y as number) - goal[1]));
    return average(ends);
  });
}

const average = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

/** The best springs and dampers on the training reaches. */
function tuned(list: readonly Reach[]): { arm: Arm; gains: string } {
  const grid = [4, 8, 16, 32, 48, 64].flatMap((stiffness) => [0.5, 1, 2, 4, 6, 8].map((damping) => ({ stiffness, damping })));
  const tried = grid.map(({ stiffness, damping }) => {
    const arm = new Arm(new ProportionalDerivative(stiffness, damping));
    return { arm, gains: `${stiffness} Nm, ${damping} Nms`, distance: average(distancesOf(arm, list)) };
  });
  return tried.reduce((best, one) => (one.distance < best.distance ? one : best));
}

export async function run(options: RunOptions = {}): Promise<Result> {
  const { seed = 0, quick = false, full = false, data } = options;
  manualSeed(seed);
  const arms = new Arms();
  const training = reaches(512, new Generator(2 * seed));
  const test = reaches(TESTS, new Generator(2 * seed + 1));
  if (!restored(arms, options)) {
    for (const name of ["recurrent", "feedforward"] as const) {
      const arm = arms[name];
      const batches = batchesOf(training, { batchSize: 32, shuffle: true, epochs: quick ? 1 : full ? 200 : 50 });
      await train(
        name,
        arm,
        batches,
        {
          optimizer: new Adam(arm.parameters(), { lr: 5e-3 }),
          loss: effort,
          clipNorm: 1,
          // A policy that makes the arm whirl may leave no numbers; such a batch is left out.
          onError: () => "skip",
          schedule: cosineAnnealingLR({ tMax: batches.epochs * batches.batchesPerEpoch }),
          ...(quick ? { maxSteps: 3 } : {}),
        },
        options,
      );
    }
  }
  const { arm: springs, gains } = tuned(training.slice(0, 64));
  const controllers = { "GRU policy": arms.recurrent, "feedforward policy": arms.feedforward, [`PD, told the speeds (${gains})`]: springs };
  const figures = Object.entries(controllers).map(([of, arm]): Figure => {
    const distances = distancesOf(arm, test);
    const interval = bootstrapInterval(TESTS, (cases) => average(cases.map((i) => distances[i] as number)), {
      generator: new Generator(0),
    });
    return { metric: "distance from the goal, last fifth of a second, cm", of, value: average(distances), interval };
  });
  const [own, feedforward] = figures as [Figure, Figure, Figure];
  const wall = data === undefined ? { figures: [], gates: [] } : await wallFollowing(data, options);
  return resultOf(arms, {
    figures: [...figures, ...wall.figures],
    gates: [
      ...wall.gates,
      { what: "the GRU's distance is at most 0.6 of the feedforward policy's", passed: own.value <= 0.6 * feedforward.value },
    ],
    data: `generated: reaches of a simulated arm of two links with 0 to 1.5 kg in its hand${data === undefined ? "" : `; wall following from ${data}`}`,
    pictures: { "paths.svg": pictureOf(test.slice(0, 8), { "GRU policy": arms.recurrent, "feedforward policy": arms.feedforward }) },
  });
}

/** Where the hand goes in some reaches. */
function pictureOf(list: readonly Reach[], policies: Readonly<Record<string, Arm>>): string {
  const lines = Object.entries(policies).map(([name, arm]) => {
    const paths = pathsOf(arm, list).flatMap((path) => [...path, [Number.NaN, Number.NaN]]);
    return { name, x: paths.map(([x]) => x as number), y: paths.map(([, y]) => y as number) };
  });
  const [x0, y0] = handAt(START);
  const goals = list.map(({ ys }) => ys as [number, number]);
  const cross = (at: (goal: [number, number]) => number, dx: number) => goals.flatMap((g) => [at(g) - dx, at(g) + dx, Number.NaN]);
  const crosses = {
    name: "goals",
    color: "#000000",
    x: [...cross(([x]) => x, 0.01), ...cross(([x]) => x, 0)],
    y: [...cross(([, y]) => y, 0), ...cross(([, y]) => y, 0.01)],
  };
  return lineChart([...lines, crosses, { name: "start", x: [x0 - 0.01, x0 + 0.01], y: [y0, y0], color: "#cc79a7" }], {
    title: "Eight reaches with unknown payloads",
    xLabel: "metres",
    width: 620,
    height: 620,
  });
}
