/** Which layers have weights that can be int8, and where they keep them. */

import { Embedding, Linear } from "../nn/layers.ts";
import type { Module, Parameter } from "../nn/module.ts";
import { WEIGHT_NAMES } from "../recurrence/kinds.ts";
import { movesAs } from "../recurrence/recurrence.ts";
import { GRU, LSTM, RNN } from "../recurrence/rnn.ts";
import { GRUCell, LSTMCell, RNNCell } from "../recurrence/rnn-cells.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { MOST_COLUMNS, QuantizedMatrix } from "./matrix.ts";

/** What stands where a layer keeps a weight. By type it is a parameter. */
export type Weight = Tensor | QuantizedMatrix;

interface Kind {
  readonly Class: abstract new (...args: never) => Module;
  /** The methods that multiply by the weights: those of a subclass may do so in other ways. */
  readonly methods: readonly string[];
  /** The fields of the weights; null for layers that hold them out of sight. */
  readonly fields: Readonly<Record<string, string>> | null;
}

const OF_LAYER = { weight: "weight", bias: "bias" };
/** A function, so that bundles which do not ask for it have none of these classes. */
function kindOf(module: Module): Kind | undefined {
  const kinds: Kind[] = [
    ...[Linear, Embedding].map((Class) => ({ Class, methods: ["forward"], fields: OF_LAYER })),
    ...[RNN, LSTM, GRU].map((Class) => ({ Class, methods: ["forward", "step", "scan"], fields: null })),
    ...[RNNCell, LSTMCell, GRUCell].map((Class) => ({ Class, methods: ["step", "scan"], fields: WEIGHT_NAMES })),
  ];
  return kinds.find(({ Class }) => module instanceof Class);
}

/** The names of weights that are multiplied with; the others are added, or are a factor for each unit. */
const MATRIX = /^weight(_ih|_hh|_hr)?(_l\d+)?(_reverse)?$/;

/** A layer whose weights may be int8. */
export class Layer {
  readonly module: Module;
  readonly #fields: Kind["fields"];

  constructor(module: Module, { fields }: Kind) {
    this.module = module;
    this.#fields = fields;
  }

  /** Puts something in the place of each weight, which may be the weight itself. */
  replace(change: (name: string, weight: Weight) => Weight): void {
    const changed = change as unknown as (name: string, weight: Parameter) => Parameter;
    if (this.#fields === null) {
      (this.module as LSTM).replaceWeights(changed);
      return;
    }
    const weights = this.module as unknown as Record<string, Parameter | null | undefined>;
    for (const [field, name] of Object.entries(this.#fields)) {
      const weight = weights[field];
      if (weight) weights[field] = changed(name, weight);
    }
  }

  /** The weights that are matrices, by name. */
  get matrices(): Map<string, Weight> {
    const found = new Map<string, Weight>();
    this.replace((name, weight) => {
      if (MATRIX.test(name)) found.set(name, weight);
      return weight;
    });
    return found;
  }

  /** Heights of the blocks of rows by which the layer multiplies; undefined for all rows at once. */
  partsOf(name: string, rows: number): readonly number[] | undefined {
    const gru = this.module instanceof GRU || this.module instanceof GRUCell;
    return gru && name.startsWith("weight_hh") ? [(2 * rows) / 3, rows / 3] : undefined;
  }
}

/** A module as a layer whose weights may be int8, or why it is none; null where it has nothing to do with it. */
export function layerOf(module: Module): Layer | string | null {
  const kind = kindOf(module);
  if (kind === undefined) return null;
  const { Class, methods } = kind;
  const own = methods.find((method) => !movesAs(module, Class, [method]));
  return own === undefined ? new Layer(module, kind) : `it is a ${Class.name} with a ${own} of its own`;
}

/** Why a weight cannot be int8; null if it can. */
export function obstacleOf(weight: Weight): string | null {
  if (weight instanceof QuantizedMatrix) return null;
  if (weight.dtype !== "float32") return `it is of ${weight.dtype}`;
  if (weight.dim(1) > MOST_COLUMNS) return `it has more than ${MOST_COLUMNS} columns`;
  return weight.data().every(Number.isFinite) ? null : "it holds numbers that are not finite";
}
