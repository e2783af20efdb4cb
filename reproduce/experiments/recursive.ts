/** Networks over trees say the values of expressions: logic deeper than in training, and lists of digits against an LSTM. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { Embedding, Linear } from "../../src/nn/layers.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { Module } from "../../src/nn/module.ts";
import { takeRows } from "../../src/ops/gather.ts";
import { argmax } from "../../src/ops/reduce.ts";
import { LSTMCell } from "../../src/recurrence/rnn-cells.ts";
import { type State, stateTensors } from "../../src/recurrence/state.ts";
import type { Generator } from "../../src/tensor/random.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { RecursiveNetwork } from "../../src/trees/recursive.ts";
import { RecursiveNeuralTensorNetwork } from "../../src/trees/rntn.ts";
import { forestOf, type StructureNetwork } from "../../src/trees/structure.ts";
import { NaryTreeLSTM } from "../../src/trees/tree-lstm.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { type Expression, LIST_OPS, LOGIC, listExpression, logicExpression } from "../tasks/expressions.ts";
import { train } from "../training.ts";

interface Language {
  readonly symbols: number;
  readonly classes: number;
}

/** Says the values of expressions. */
abstract class Reader extends Module {
  readonly embedding: Embedding;
  readonly head: Linear;

  constructor({ symbols, classes }: Language, inputSize: number, outputSize: number, generator: Generator) {
    super();
    this.embedding = new Embedding(symbols, inputSize, { generator, paddingIdx: 0 });
    this.head = new Linear(outputSize, classes, { generator });
  }

  /** One vector for each expression. */
  protected abstract vectors(expressions: readonly Expression[]): Tensor;

  logits(expressions: readonly Expression[]): Tensor {
    return this.head.forward(this.vectors(expressions));
  }

  loss(expressions: readonly Expression[]): Tensor {
    return crossEntropy(this.logits(expressions), indices(expressions.map((e) => e.value)));
  }

  /** The share of values said right. */
  accuracy(expressions: readonly Expression[]): number {
    const said = scope(() => noGrad(() => argmax(this.logits(expressions), { axis: 1 }).data()));
    return expressions.filter((e, i) => e.value === said[i]).length / expressions.length;
  }
}

function indices(list: readonly number[]): Tensor {
  return tensor([...list], { dtype: "int32" });
}

/** By their trees, from the leaves up; equal parts of a batch's expressions are computed once. */
class TreeReader extends Reader {
  readonly network: StructureNetwork<State>;

  constructor(language: Language, network: StructureNetwork<State>, generator: Generator) {
    super(language, network.inputSize, network.outputSize, generator);
    this.network = network;
  }

  protected override vectors(expressions: readonly Expression[]): Tensor {
    const { structure, symbols, roots } = forestOf(
      expressions.map((e) => e.tree),
      { shared: true },
    );
    const states = this.network.forward(structure, this.embedding.forward(indices(symbols)));
    return takeRows(stateTensors(states)[0] as Tensor, indices(roots));
  }
}

/** By their symbols, one after the other. */
class SequenceReader extends Reader {
  readonly cell: LSTMCell;

  constructor(language: Language, size: number, generator: Generator) {
    super(language, size, size, generator);
    this.cell = new LSTMCell({ inputSize: size, hiddenSize: size, generator });
  }

  protected override vectors(expressions: readonly Expression[]): Tensor {
    const lengths = expressions.map((e) => e.sequence.length);
    const [T, B] = [Math.max(...lengths), lengths.length];
    const symbols = Int32Array.from({ length: T * B }, (_, i) => expressions[i % B]?.sequence[Math.floor(i / B)] ?? 0);
    return this.cell.scan(this.embedding.forward(tensor(symbols, { shape: [T, B] })), undefined, { lengths })[1].h;
  }
}

interface Lessons {
  readonly expressions: readonly Expression[];
  readonly epochs: number;
  readonly lr: number;
  readonly decay?: { readonly every: number; readonly factor: number };
  /** Whether all expressions inside are examples, too. */
  readonly everyPart?: boolean;
  readonly dice: Dice;
}

const BATCH = 32;

function learn(run: Run, reader: Reader, lessons: Lessons, part: readonly [number, number]): void {
  const { expressions, epochs, lr, decay, everyPart = false, dice } = lessons;
  const each = Math.floor(expressions.length / BATCH);
  let order = [...expressions];
  const loss = (update: number) => {
    const at = update % each;
    if (at === 0) order = dice.shuffle(order);
    const batch = order.slice(at * BATCH, (at + 1) * BATCH);
    return reader.loss(everyPart ? batch.flatMap((e) => e.parts) : batch);
  };
  train(run, { parameters: reader.parameters(), updates: epochs * each, lr, clip: 5, loss, part, ...(decay && { decay }) });
}

/** `count` expressions, none of them among `others`. */
function draw(count: number, make: () => Expression, others: readonly Expression[] = []): Expression[] {
  const known = new Set(others.map((e) => e.sequence.join()));
  const found: Expression[] = [];
  while (found.length < count) {
    const e = make();
    if (!known.has(e.sequence.join())) found.push(e);
  }
  return found;
}

function runLogic(run: Run) {
  const { weights: generator, training, test } = streams(run.seed);
  const size = 16;
  const [deepest, count, epochs] = run.short ? [3, 640, 8] : [4, 5000, 10];
  const expressions = draw(count, () => logicExpression(training, training.between(1, deepest)));
  const deeper = draw(run.short ? 300 : 1000, () => logicExpression(test, test.between(deepest + 1, deepest + 2)));
  const networks = {
    plain: new RecursiveNetwork({ size, generator }),
    tensor: new RecursiveNeuralTensorNetwork({ size, generator }),
    lstm: new NaryTreeLSTM({ inputSize: size, hiddenSize: size, generator }),
  };
  const accuracies = Object.entries(networks).map(([name, network], i) => {
    const reader = new TreeReader(LOGIC, network as StructureNetwork<State>, generator);
    learn(run, reader, { expressions, epochs, lr: run.short ? 5e-3 : 3e-3, dice: training }, [i / 3, (i + 1) / 3]);
    return [name, reader.accuracy(deeper)] as const;
  });
  const ones = deeper.filter((e) => e.value === 1).length / deeper.length;
  return { ...(Object.fromEntries(accuracies) as Record<keyof typeof networks, number>), majority: Math.max(ones, 1 - ones) };
}

function runListOps(run: Run) {
  const { weights: generator, training, test } = streams(run.seed);
  const size = 32;
  const [depth, count, epochs] = run.short ? [1, 960, 12] : [3, 40000, 6];
  const expressions = draw(count, () => listExpression(training, depth));
  const fresh = draw(run.short ? 300 : 1000, () => listExpression(test, depth), expressions);
  const tree = new TreeReader(LIST_OPS, new NaryTreeLSTM({ inputSize: size, hiddenSize: size, generator }), generator);
  const sequence = new SequenceReader(LIST_OPS, size, generator);
  const decay = { every: 3000, factor: 0.4 };
  const lessons = { expressions, epochs, lr: run.short ? 1e-2 : 5e-3, decay, everyPart: true, dice: training };
  learn(run, tree, lessons, [0, 0.7]);
  learn(run, sequence, lessons, [0.7, 1]);
  return { tree: tree.accuracy(fresh), sequence: sequence.accuracy(fresh) };
}

export const recursive: readonly Experiment[] = [
  experiment({
    name: "recursive-logic",
    system: "Recursive network, recursive neural tensor network, binary Tree-LSTM",
    file: "src/trees/rntn.ts",
    paper: "Bowman, Potts & Manning (2015), Recursive neural networks can learn logical semantics",
    task: "evaluate expressions over true, false, not, and, or, xor; 16 units; trained on 5,000 of depth 1 to 4 (loss at the root), tested on 1,000 of depth 5 and 6",
    reported:
      "on relations between formulas of logic plain and tensor networks learn the recursive structure and generalise to longer formulas than in training, the tensor network better; figures by length, no table",
    claim:
      "accuracy at least 98 % on expressions deeper than in training, with the tensor network or the Tree-LSTM; the plain network is shown beside them",
    figures: { plain: "accuracy, plain network", tensor: "tensor network", lstm: "Tree-LSTM", majority: "most frequent value" },
    remarks: "values instead of relations between two formulas",
    run: runLogic,
    claims: [{ rate: 0.8, holds: ({ tensor, lstm }) => Math.max(tensor, lstm) >= 0.98 }],
    learns: ({ plain, tensor, lstm }) => Math.min(plain, tensor, lstm) >= 0.7,
  }),
  experiment({
    name: "tree-lstm-list-ops",
    system: "Tree-LSTM",
    file: "src/trees/tree-lstm.ts",
    paper:
      "Tai, Socher & Manning (2015), Improved semantic representations from tree-structured LSTM networks; task: Nangia & Bowman (2018), ListOps",
    task: "evaluate nested MAX, MIN, MED, SM of 2 to 4 digits, up to three deep; 32 units; trained on 40,000 with a loss at every list, six epochs; tested on 1,000 fresh ones",
    reported: "ListOps with 90,000 expressions, nested deeper: Tree-LSTM with the given trees about 98 %, LSTM about 74 %",
    claim: "accuracy at least 90 %, and 8 points more than with an LSTM of the same size on the sequence of symbols",
    figures: { tree: "accuracy, Tree-LSTM", sequence: "accuracy, LSTM" },
    remarks:
      "Both networks were trained at 5e-3; the LSTM's rate was not tuned for it. The LSTM learns from all inner lists, too, each as a sequence of its own. With the loss at the root alone the Tree-LSTM reached 63 % with 8,000 expressions (16 epochs) and 82 % with 90,000 (4 epochs), in one seed.",
    seeds: 5,
    run: runListOps,
    claims: [{ rate: 0.6, holds: ({ tree, sequence }) => tree >= 0.9 && tree >= sequence + 0.08 }],
    learns: ({ tree, sequence }) => tree >= 0.4 && sequence >= 0.25,
  }),
];
