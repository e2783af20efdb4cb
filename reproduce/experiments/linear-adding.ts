/** Adding over 200 steps with recurrences that are linear, or nearly so, in their state. */

import { LRU } from "../../src/cells/diagonal/lru.ts";
import { MinGRU } from "../../src/cells/diagonal/min-rnn.ts";
import { QRNN } from "../../src/cells/diagonal/qrnn.ts";
import { SRU } from "../../src/cells/diagonal/sru.ts";
import { Linear } from "../../src/nn/layers.ts";
import type { Parameter } from "../../src/nn/module.ts";
import { gelu } from "../../src/ops/math.ts";
import { select } from "../../src/ops/shape.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor } from "../../src/tensor/tensor.ts";
import { StackedRNN } from "../../src/wrappers/stacked.ts";
import { type Adder, adderError, addingError } from "../adding.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { Net } from "../net.ts";
import { streams } from "../tasks/dice.ts";

const H = 32;

interface System {
  readonly id: string;
  readonly name: string;
  readonly file: string;
  readonly paper: string;
  /** Layers of the recurrence; as tall as the networks of the others unless given. */
  readonly layers?: number;
  /** Whether there is a layer of gelu units before the recurrence and one after it: what is linear in all of its parts cannot mask. */
  readonly nonlinear?: boolean;
  readonly updates?: number;
  /** The learning rate that came out best (default 1e-2). */
  readonly rate?: number;
  readonly remarks?: string;
  readonly layer: (inputSize: number, generator: Generator, steps: number) => Recurrence;
}

/** A QRNN whose gates keep for 1 to `steps` steps and let as little in: biases ±log u, u uniform (Tallec and Ollivier, 2018). */
function openQRNN(inputSize: number, generator: Generator, steps: number): QRNN {
  const cell = new QRNN({ inputSize, hiddenSize: H, pooling: "ifo", generator });
  const ages = generator.uniform([H], 1, steps).data();
  const open = (j: number) => Math.log(Number(ages[j]));
  const [forget, input] = [1, 3];
  assign(
    cell.bias,
    Array.from(cell.bias.data(), (b, k) => {
      const [gate, j] = [Math.floor(k / H), k % H];
      if (gate === forget) return open(j);
      return gate === input ? -open(j) : Number(b);
    }),
  );
  return cell;
}

/** A unit whose eigenvalues turn little and fade little over the sequence. */
function slowLRU(inputSize: number, generator: Generator, steps: number): LRU {
  return new LRU({ inputSize, hiddenSize: H, rMin: 1 - 3 / steps, rMax: 1 - 0.03 / steps, maxPhase: 3 / steps, generator });
}

const systems: readonly System[] = [
  {
    id: "lru",
    name: "linear recurrent unit",
    file: "src/cells/diagonal/lru.ts",
    paper: "Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu, De 2023, Resurrecting recurrent neural networks for long sequences",
    layers: 1,
    nonlinear: true,
    updates: 2000,
    layer: slowLRU,
  },
  {
    id: "min-gru",
    name: "minGRU",
    file: "src/cells/diagonal/min-rnn.ts",
    paper: "Feng, Tung, Ahmed, Bengio, Hajimirsadeghi 2024, Were RNNs all we needed?",
    rate: 3e-2,
    layer: (inputSize, generator) => new MinGRU({ inputSize, hiddenSize: H, generator }),
  },
  {
    id: "sru",
    name: "simple recurrent unit",
    file: "src/cells/diagonal/sru.ts",
    paper: "Lei, Zhang, Wang, Dai, Artzi 2018, Simple recurrent units for highly parallelizable recurrence",
    rate: 3e-2,
    layer: (inputSize, generator) => new SRU({ inputSize, hiddenSize: H, generator }),
  },
  {
    id: "qrnn",
    name: "quasi-recurrent network",
    file: "src/cells/diagonal/qrnn.ts",
    paper: "Bradbury, Merity, Xiong, Socher 2017, Quasi-recurrent neural networks",
    layer: openQRNN,
  },
];

/** Gelu units, the recurrence, gelu units on its last output, and a number. */
class GeluNet implements Adder {
  readonly #before: Linear;
  readonly #cell: Recurrence;
  readonly #after: Linear;
  readonly #head: Linear;

  constructor(cell: Recurrence, generator: Generator) {
    this.#before = new Linear(2, H, { generator });
    this.#cell = cell;
    this.#after = new Linear(H, H, { generator });
    this.#head = new Linear(H, 1, { generator });
  }

  get parameters(): Parameter[] {
    return [this.#before, this.#cell, this.#after, this.#head].flatMap((module) => [...module.parameters()]);
  }

  final(xs: Tensor): Tensor {
    const [hs] = this.#cell.scan(gelu(this.#before.forward(xs)));
    return this.#head.forward(gelu(this.#after.forward(select(hs, 0, xs.dim(0) - 1))));
  }
}

function adderOf({ layer, layers = 2, nonlinear }: System, generator: Generator, steps: number): Adder {
  if (nonlinear) return new GeluNet(layer(H, generator, steps), generator);
  const stack = Array.from({ length: layers }, (_, l) => layer(l === 0 ? 2 : H, generator, steps));
  return new Net(new StackedRNN(stack), 1, generator);
}

function addingRun(run: Run, system: System) {
  const { weights } = streams(run.seed);
  const [steps, updates] = run.short ? [20, 220] : [200, system.updates ?? 700];
  const setting = { steps, range: [0, 1] as const, batch: 32, updates, decay: { every: Math.ceil(updates / 4), factor: 0.5 } };
  const plain = new RNNCell({ inputSize: 2, hiddenSize: H, generator: weights });
  return {
    mse: adderError(run, adderOf(system, weights, steps), { ...setting, lr: run.short ? 1e-2 : run.rate("mse"), part: [0, 0.6] }),
    rnn: run.short ? 0 : addingError(run, plain, { ...setting, lr: run.rate("rnn"), part: [0.6, 1] }),
  };
}

function taskOf({ layers = 2, nonlinear, updates = 700 }: System): string {
  const size = layers === 1 ? "a layer" : `${layers} layers`;
  const between = nonlinear ? ", between layers of gelu units" : "";
  return `adding, 200 steps, values on [0, 1]; ${size} of 32 units${between}, batch 32, ${updates.toLocaleString("en")} updates with Adam, its rate halved every ${updates / 4}, clipped at 1`;
}

export const linearAdding: readonly Experiment[] = systems.map((system) =>
  experiment({
    name: `${system.id}-adding`,
    system: system.name,
    file: system.file,
    paper: system.paper,
    task: taskOf(system),
    reported: "not in the paper: a common test of long memory (Hochreiter and Schmidhuber 1997; Le, Jaitly and Hinton 2015)",
    claim: "mean squared error at most 0.02, and a tanh network's at least 0.1 (a constant: 0.167)",
    figures: { mse: system.name, rnn: "tanh network" },
    ...(system.remarks && { remarks: system.remarks }),
    tuning: {
      grid: [1e-3, 3e-3, 1e-2, 3e-2],
      seeds: [0],
      updates: system.updates ?? 700,
      better: "lower",
      rates: { mse: system.rate ?? 1e-2, rnn: 1e-2 },
    },
    run: (run) => addingRun(run, system),
    claims: [{ rate: 0.6, holds: ({ mse, rnn }) => mse <= 0.02 && rnn >= 0.1 }],
    learns: ({ mse }) => mse <= 0.1,
  }),
);
