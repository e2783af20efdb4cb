/** What refuses an option has drawn nothing by then: a generator that has moved would change all that is made after. */

import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import * as energy from "../../src/energy/index.ts";
import * as grids from "../../src/grids/index.ts";
import * as learning from "../../src/learning/index.ts";
import * as models from "../../src/models/index.ts";
import * as nn from "../../src/nn/index.ts";
import * as physics from "../../src/physics/index.ts";
import * as search from "../../src/search/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import * as trees from "../../src/trees/index.ts";
import { every } from "../recurrence/every.ts";
import { METHODS } from "../search/every.ts";
import { thrown } from "../thrown.ts";

const WRONG: readonly unknown[] = [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, "none of these", null, [], [-1], {}];

/** The names of options in all lists of the sources. */
const names = new Set(
  readdirSync("src", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => [
      ...readFileSync(`src/${file}`, "utf8").matchAll(
        /(?:checkOptions|optionsOf)\([^[\]]*\[([^\]]*)\]|const [A-Z_]+ = \[([^\]]*)\] as const/g,
      ),
    ])
    .flatMap(([, inCall, ofConstant]) => [...(inCall ?? ofConstant ?? "").matchAll(/"(\w+)"/g)].map((match) => match[1] as string)),
);

type Make = (options: object) => unknown;

/** What draws and is no recurrence, each with the least that it needs. */
const others: Readonly<Record<string, Make>> = {
  Linear: (o) => new nn.Linear(3, 2, o),
  Bilinear: (o) => new nn.Bilinear(3, 2, 2, o),
  Embedding: (o) => new nn.Embedding(3, 2, o),
  LinearChainCRF: (o) => new nn.LinearChainCRF({ numTags: 3, ...o }),
  RecursiveNetwork: (o) => new trees.RecursiveNetwork({ size: 3, ...o }),
  RecursiveNeuralTensorNetwork: (o) => new trees.RecursiveNeuralTensorNetwork({ size: 3, ...o }),
  ChildSumTreeLSTM: (o) => new trees.ChildSumTreeLSTM({ inputSize: 3, hiddenSize: 2, ...o }),
  NaryTreeLSTM: (o) => new trees.NaryTreeLSTM({ inputSize: 3, hiddenSize: 2, ...o }),
  MaskedConv2d: (o) => new grids.MaskedConv2d({ inputChannels: 2, outputChannels: 2, kernelSize: [3, 3], mask: "A", ...o }),
  MDRNN: (o) => new grids.MDRNN({ axes: 2, inputSize: 3, hiddenSize: 2, ...o }),
  MDLSTM: (o) => new grids.MDLSTM({ axes: 2, inputSize: 3, hiddenSize: 2, ...o }),
  StableMDLSTM: (o) => new grids.StableMDLSTM({ axes: 2, inputSize: 3, hiddenSize: 2, ...o }),
  RowLSTM: (o) => new grids.RowLSTM({ inputChannels: 2, hiddenChannels: 2, ...o }),
  DiagonalLSTM: (o) => new grids.DiagonalLSTM({ inputChannels: 2, hiddenChannels: 2, ...o }),
  DiagonalBiLSTM: (o) => new grids.DiagonalBiLSTM({ inputChannels: 2, hiddenChannels: 2, ...o }),
  PixelRNN: (o) => new grids.PixelRNN({ kind: "row", hiddenChannels: 2, inputKernel: 3, ...o }),
  Highway: (o) => new models.Highway(3, o),
  CharacterEncoder: (o) => new models.CharacterEncoder({ characters: 5, embeddingSize: 2, filters: [[1, 2]], outputSize: 2, ...o }),
  BidirectionalLanguageModel: (o) => {
    const encoder = new models.CharacterEncoder({ characters: 5, embeddingSize: 2, filters: [[1, 2]], outputSize: 2 });
    return new models.BidirectionalLanguageModel({ encoder, vocabSize: 4, hiddenSize: 3, ...o });
  },
  HRNN: (o) =>
    new models.HRNN({ tree: [{ name: "all" }, { name: "food", parent: "all", correlation: 0.6 }], hiddenSize: 1, numLayers: 1, ...o }),
  BroadcastLinear: (o) => new learning.BroadcastLinear(3, 2, o),
  HebbianLayer: (o) => new learning.HebbianLayer({ inputSize: 3, outputSize: 2, rule: "oja", ...o }),
  CrossCoupledPerceptron: (o) => new learning.CrossCoupledPerceptron({ inputSize: 20, units: 3, ...o }),
  ProfessorForcing: (o) => new learning.ProfessorForcing({ behaviorSize: 3, hiddenSize: 2, ...o }),
  EquilibriumNetwork: (o) => new learning.EquilibriumNetwork({ inputSize: 3, hiddenSize: 2, ...o }),
  Curriculum: (o) => new learning.Curriculum({ least: 1, most: 3, threshold: 0.9, ...o }),
  BoltzmannMachine: (o) => new energy.BoltzmannMachine({ visibleSize: 3, ...o }),
  RBM: (o) => new energy.RBM({ visibleSize: 3, hiddenSize: 2, ...o }),
  SherringtonKirkpatrick: (o) => new energy.SherringtonKirkpatrick({ size: 4, ...o } as never),
  HopfieldLayer: (o) => new energy.HopfieldLayer({ inputSize: 3, hiddenSize: 4, ...o } as never),
  MemristiveCrossbar: (o) => new physics.MemristiveCrossbar({ inputSize: 3, outputSize: 2, ...o }),
  ...Object.fromEntries(METHODS.map(([name, make]) => [name, (o: object) => make({ start: [0.5, 1, 2], ...o } as never)])),
  NEAT: (o) => new search.NEAT({ inputs: 2, outputs: 1, ...o }),
  CellEvolution: (o) => new search.CellEvolution(o),
  GraphCell: (o) => new search.GraphCell({ inputSize: 3, hiddenSize: 2, graph: search.lstmGraph, ...o }),
};

const makers: Readonly<Record<string, Make>> = { ...every, ...others };

it("the sources name their options", () => {
  expect([...names]).toEqual(expect.arrayContaining(["hiddenSize", "dropout", "forgetBias", "periods", "activation"]));
});

/** What an option of this value is answered with, and whether the generator has moved by then. */
function attempt(make: Make, option: string, value: unknown): { readonly error: unknown; readonly moved: boolean } {
  const generator = new Generator(1);
  const error = thrown(() => make({ generator, [option]: value }));
  return { error, moved: generator.state.counter > 0 };
}

it.each(Object.keys(others))("%s can be made, by the generator that it is given", (name) => {
  const generator = new Generator(1);
  expect(others[name]?.({ generator })).toBeDefined();
});

it.each(Object.keys(makers))("%s draws nothing before it refuses", (name) => {
  const make = makers[name] as Make;
  const known = [...names].filter((option) => !String(attempt(make, option, null).error).includes(`got "${option}"`));
  const found: string[] = [];
  for (const option of known.filter((o) => o !== "generator" && o !== "dtype")) {
    for (const wrong of WRONG) {
      const { error, moved } = attempt(make, option, wrong);
      if (error !== null && moved) found.push(`${option} ${JSON.stringify(wrong)}: ${error}`);
    }
  }
  expect(found).toEqual([]);
});
