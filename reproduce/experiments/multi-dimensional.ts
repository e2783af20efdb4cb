/** Multi-dimensional networks carry what they have seen across a grid, also one larger than those they learned on. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { type GridNetwork, MDLSTM, MDRNN, MultiDirectional, StableMDLSTM } from "../../src/grids/multi-dimensional.ts";
import { Linear } from "../../src/nn/layers.ts";
import { bceWithLogits } from "../../src/nn/losses.ts";
import { broadcastTo, reshape } from "../../src/ops/broadcast.ts";
import { scope, type Tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { streams } from "../tasks/dice.ts";
import { evenDensity, type GridBatch, type GridOptions, gridOrBatch, majority, oneSided } from "../tasks/grid-or.ts";
import { train } from "../training.ts";

const [SIDE, LARGE, DENSITY, H] = [10, 20, 0.02, 8];

/** A network's logits, and what they should say. */
interface Task {
  readonly logits: (xs: Tensor) => Tensor;
  readonly targets: (batch: GridBatch) => Tensor;
  readonly parameters: Parameters<typeof train>[1]["parameters"];
}

interface Plan {
  readonly task: Task;
  readonly density: number;
  readonly updates: number;
  readonly part: readonly [number, number];
}

/** Trains on 10 × 10 grids; gives the share of right answers on fresh grids of each of the given sides. */
function learn(run: Run, { task, density, updates, part }: Plan, sides: readonly number[]): number[] {
  const { training, test } = streams(run.seed);
  train(run, {
    parameters: task.parameters,
    updates,
    lr: 5e-3,
    decay: { every: Math.ceil((2 * updates) / 3), factor: 0.3 },
    clip: 1,
    part,
    loss: () => {
      const batch = gridOrBatch(training, { batch: 16, side: SIDE, density });
      return bceWithLogits(task.logits(batch.xs), task.targets(batch));
    },
  });
  return sides.map((side) => accuracy(task, (batch) => gridOrBatch(test, { batch, side, density })));
}

function accuracy({ logits, targets }: Task, draw: (batch: GridOptions["batch"]) => GridBatch): number {
  const [parts, size] = [10, 50];
  let [right, all] = [0, 0];
  for (let n = 0; n < parts; n++) {
    scope(() => {
      const batch = draw(size);
      const wanted = Array.from(targets(batch).data(), Number);
      const said = noGrad(() => logits(batch.xs)).data();
      all += said.length;
      right += wanted.filter((v, k) => v === Number((said[k] as number) > 0)).length;
    });
  }
  return right / all;
}

/** Whether there was a one up to each place, from the network's output there. */
function prefixTask(grid: GridNetwork, head: Linear): Task {
  const parameters = [...grid.parameters(), ...head.parameters()];
  return { logits: (xs) => head.forward(grid.forward(xs)), targets: ({ before }) => before, parameters };
}

/** Whether there is a one anywhere, said at every place. */
function everywhereTask(grid: GridNetwork | MultiDirectional, head: Linear): Task {
  const targets = ({ xs, any }: GridBatch) => broadcastTo(reshape(any, [any.dim(0), 1, 1, 1]), xs.shape);
  return { logits: (xs) => head.forward(grid.forward(xs)), targets, parameters: [...grid.parameters(), ...head.parameters()] };
}

/** The same, said once, from the corners where the scans end. */
function cornerTask(grid: MultiDirectional, head: Linear): Task {
  const parameters = [...grid.parameters(), ...head.parameters()];
  return { logits: (xs) => head.forward(grid.corners(xs)), targets: ({ any }) => any, parameters };
}

function prefix(run: Run) {
  const { weights } = streams(run.seed);
  const options = { axes: 2, inputSize: 1, hiddenSize: H, generator: weights };
  const kinds = [() => new MDRNN(options), () => new MDLSTM(options), () => new StableMDLSTM(options)];
  const updates = run.short ? 200 : 1000;
  const scores = kinds.slice(0, run.short ? 2 : 3).flatMap((make, k) => {
    const task = prefixTask(make(), new Linear(H, 1, { generator: weights }));
    return learn(run, { task, density: DENSITY, updates, part: [k / 3, (k + 1) / 3] }, [SIDE, LARGE]);
  });
  const [small = 0, large = 0, lstmSmall = 0, lstmLarge = 0, stableSmall = lstmSmall, stableLarge = lstmLarge] = scores;
  return { small, large, lstmSmall, lstmLarge, stableSmall, stableLarge };
}

function anywhere(run: Run) {
  const { weights } = streams(run.seed);
  const grid = () => new MDRNN({ axes: 2, inputSize: 1, hiddenSize: H, generator: weights });
  const four = () => new MultiDirectional({ axes: 2, create: grid });
  const head = (width: number) => new Linear(width, 1, { generator: weights });
  const share = (task: Task, updates: number, part: readonly [number, number]) =>
    learn(run, { task, density: evenDensity(SIDE), updates, part }, [SIDE])[0] ?? 0;
  const everywhere = share(everywhereTask(four(), head(4 * H)), run.short ? 320 : 1000, [0, 0.2]);
  const single = share(everywhereTask(grid(), head(H)), run.short ? 20 : 1000, [0.2, 0.3]);
  // One answer a grid instead of a hundred: more updates.
  const corners = share(cornerTask(four(), head(4 * H)), run.short ? 80 : 4000, [0.3, 1]);
  return { corners, everywhere, single };
}

const PAPER = "Graves, Fernández, Schmidhuber (2007), Multi-dimensional recurrent neural networks";
const REPORTED =
  "two image segmentation tasks; later Arabic handwriting with MDLSTM, 91.4 % right against 87.2 % of the competition's winner (Graves and Schmidhuber 2008). What is tested here is the principle, on grids whose best answer is known";
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

export const multiDimensional: readonly Experiment[] = [
  experiment({
    name: "multi-dimensional-prefix",
    system: "MDRNN, MDLSTM, MDLSTM with stable cells",
    file: "src/grids/multi-dimensional.ts",
    paper: PAPER,
    task: "10 × 10 grids with ones at a density of 0.02: at each place, tell whether there is a one anywhere above and to the left. One direction, 8 units, Adam 5e-3, batches of 16, 1,000 updates; then tested on 20 × 20 as well",
    reported: REPORTED,
    claim: `accuracy of the MDRNN at least 99.5 % on 10 × 10 and 98 % on 20 × 20; the commoner answer at each place gives ${percent(majority(SIDE, DENSITY))} and ${percent(majority(LARGE, DENSITY))}; the LSTMs are shown beside it`,
    figures: {
      small: "accuracy, MDRNN on 10 × 10",
      large: "MDRNN on 20 × 20",
      lstmSmall: "MDLSTM on 10 × 10",
      lstmLarge: "MDLSTM on 20 × 20",
      stableSmall: "stable cells on 10 × 10",
      stableLarge: "stable cells on 20 × 20",
    },
    run: prefix,
    claims: [{ rate: 0.8, holds: ({ small, large }) => small >= 0.995 && large >= 0.98 }],
    learns: ({ small, lstmSmall }) => Math.min(small, lstmSmall) >= 0.85,
  }),
  experiment({
    name: "multi-dimensional-directions",
    system: "MDRNN in four directions",
    file: "src/grids/multi-dimensional.ts",
    paper: PAPER,
    task: "10 × 10 grids, half of them without a one; tell whether there is one, once from the four corners where the scans end, and at every place from the four outputs there; 8 units a direction, Adam 5e-3, batches of 16, 1,000 updates (4,000 from the corners, which give one answer a grid)",
    reported: REPORTED,
    claim: `accuracy at least 99 % from the corners and at every place (chance: 50 %; the best that one direction can do at every place: ${percent(oneSided(SIDE))})`,
    figures: { corners: "accuracy, from the corners", everywhere: "at every place", single: "at every place, one direction" },
    run: anywhere,
    claims: [
      { rate: 0.8, holds: ({ corners, everywhere, single }) => corners >= 0.99 && everywhere >= 0.99 && single <= oneSided(SIDE) + 0.02 },
    ],
    learns: ({ corners, everywhere }) => everywhere >= 0.78 && corners >= 0.57,
  }),
];
