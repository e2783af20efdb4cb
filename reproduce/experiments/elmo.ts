/** What a language model that was never told of topics knows of them. */

import { noGrad } from "../../src/autodiff/tape.ts";
import { CharacterEncoder } from "../../src/models/character-encoder.ts";
import { BidirectionalLanguageModel, ELMo } from "../../src/models/elmo.ts";
import { Linear } from "../../src/nn/layers.ts";
import { bceWithLogits } from "../../src/nn/losses.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import { embedding, takeRows } from "../../src/ops/gather.ts";
import { softmax } from "../../src/ops/softmax.ts";
import { heatMap } from "../../src/plot/heat-map.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { bitAccuracy } from "../bits.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { type Dice, streams } from "../tasks/dice.ts";
import { CHARACTERS, type Sentences, TopicLanguage } from "../tasks/topics.ts";
import { train } from "../training.ts";

const [R, B] = [16, 32];

/** The vectors of the words of sentences: every word of the vocabulary is spelled out once. */
function read(model: BidirectionalLanguageModel, { spelling }: TopicLanguage, words: Tensor): Tensor {
  return embedding(words, model.encoder.forward(spelling));
}

function newModel(run: Run, language: TopicLanguage): BidirectionalLanguageModel {
  const { weights: generator } = streams(run.seed);
  const filters = [
    [1, 8],
    [2, 12],
    [3, 12],
  ] as const;
  const encoder = new CharacterEncoder({ characters: CHARACTERS, embeddingSize: 8, filters, outputSize: R, generator });
  return new BidirectionalLanguageModel({ encoder, vocabSize: language.vocabSize, hiddenSize: 32, generator });
}

function trainedModel(run: Run, language: TopicLanguage, dice: Dice): BidirectionalLanguageModel {
  const model = newModel(run, language);
  const text = Array.from({ length: 125 }, () => language.sentences(dice, B).words);
  const epochs = run.short ? 2 : 10;
  train(run, {
    parameters: model.parameters(),
    updates: epochs * text.length,
    lr: 5e-3,
    clip: 5,
    part: [0, 0.8],
    loss: (update) => {
      const words = text[update % text.length] as Tensor;
      return model.loss(read(model, language, words), words);
    },
  });
  return model;
}

/** For each ambiguous word that occurs: what each layer says of it [N,2R], and the topic it was used in [N,1]. */
interface Occurrences {
  readonly words: readonly number[];
  readonly layers: readonly Tensor[];
  readonly topics: Tensor;
}

function occurrences(model: BidirectionalLanguageModel, language: TopicLanguage, { words, topics }: Sentences): Occurrences {
  const places = Array.from(words.data(), (word, i) => (language.isAmbiguous(word) ? i : -1)).filter((i) => i >= 0);
  const rows = tensor(places, { dtype: "int32" });
  const layers = noGrad(() => model.layers(read(model, language, words)).map((h) => takeRows(reshape(h, [words.size, 2 * R]), rows)));
  const wanted = places.map((i) => topics[i % topics.length] as number);
  const used = places.map((i) => words.data()[i] as number);
  return { words: used, layers, topics: tensor(wanted, { shape: [places.length, 1], dtype: "float32" }) };
}

/** Share of fresh ambiguous words whose topic is told from a mixture of the given layers; and the mixture. */
function probe(
  run: Run,
  layers: readonly number[],
  known: Occurrences,
  fresh: Occurrences,
  from: number,
): { share: number; mixture: Tensor } {
  const { weights: generator } = streams(run.seed);
  const mix = new ELMo(layers.length);
  const reader = new Linear(2 * R, 1, { generator });
  const logits = (of: Occurrences) => reader.forward(mix.forward(layers.map((j) => of.layers[j] as Tensor)));
  train(run, {
    parameters: [...mix.parameters(), ...reader.parameters()],
    updates: 300,
    lr: 2e-2,
    part: [from, from + 0.04],
    loss: () => bceWithLogits(logits(known), known.topics),
  });
  return {
    share: scope(() =>
      bitAccuracy(
        noGrad(() => logits(fresh)),
        fresh.topics,
      ),
    ),
    mixture: noGrad(() => softmax(mix.weights, 0)),
  };
}

/** What the second layer says of each ambiguous word, on average, on either topic: one row each. */
function meanings(language: TopicLanguage, { words, layers, topics }: Occurrences): string {
  const [values, topicOf] = [(layers[2] as Tensor).data(), topics.data()];
  const senses = [...new Set(words)].sort((a, b) => a - b).flatMap((word) => [0, 1].map((topic) => ({ word, topic })));
  const rows = senses.map(({ word, topic }) => {
    const places = words.flatMap((w, i) => (w === word && topicOf[i] === topic ? [i] : []));
    return Array.from({ length: 2 * R }, (_, j) => places.reduce((sum, i) => sum + (values[i * 2 * R + j] as number), 0) / places.length);
  });
  return heatMap(rows, {
    title: "Second layer at ambiguous words, on topic 1 and 2",
    rows: senses.map(({ word, topic }) => `${language.text(word)} ${topic + 1}`),
    xLabel: "left to right, then right to left",
    cell: 18,
  });
}

function topicsRun(run: Run) {
  const { training, test } = streams(run.seed);
  const language = new TopicLanguage(training);
  const model = trainedModel(run, language, training);
  const [taught, asked] = [language.sentences(training, 500), language.sentences(test, 1000)];
  const from = (layers: readonly number[], part: number, by = model) =>
    probe(run, layers, occurrences(by, language, taught), occurrences(by, language, asked), part);
  const [words, first, second] = [0, 1, 2].map((j) => from([j], 0.8 + 0.04 * j).share) as [number, number, number];
  if (!run.short) run.picture("meanings", meanings(language, occurrences(model, language, asked)));
  const { share: mixed, mixture } = from([0, 1, 2], 0.92);
  const untrained = from([0, 1, 2], 0.96, newModel(run, language)).share;
  return { words, first, second, mixed, weightOfWords: mixture.data()[0] as number, untrained };
}

export const elmo: readonly Experiment[] = [
  experiment({
    name: "elmo-topics",
    system: "ELMo: bidirectional language model over characters",
    file: "src/models/elmo.ts",
    paper: "Peters, Neumann, Iyyer, Gardner, Clark, Lee and Zettlemoyer (2018), Deep contextualized word representations",
    task: "two topics of 20 words and 10 words of both, of 3 to 6 random letters; sentences of 8 words, ambiguous with probability 0.3; a language model (32 filters of widths 1 to 3, 2 layers of 32 cells projected to 16) reads 4,000 sentences ten times; then its weights are frozen, and a linear probe learns the topic of ambiguous words from 500 sentences and is tested on 1,000 others",
    reported:
      "word senses are told apart by the contextual layers: F1 of 69.0 with the second layer and 67.4 with the first, where the first sense gets 65.9 (table 5)",
    claim:
      "accuracy at least 95 % with the mixture of all layers, and at most 55 % with the words alone (chance: 50 %); an untrained model for comparison",
    figures: {
      words: "accuracy, words alone (layer 0)",
      first: "layer 1",
      second: "layer 2",
      mixed: "trained mixture",
      weightOfWords: "weight of layer 0 in the mixture",
      untrained: "accuracy, mixture of an untrained model",
    },
    run: topicsRun,
    claims: [{ rate: 0.8, holds: ({ mixed, words }) => mixed >= 0.95 && words <= 0.55 }],
    learns: ({ mixed, words }) => mixed >= 0.85 && words <= 0.6,
  }),
];
