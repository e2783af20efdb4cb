/** Recurrences in residual blocks, as deep networks use them. */

import { LayerNorm, Linear } from "../src/nn/layers.ts";
import { Module } from "../src/nn/module.ts";
import { add } from "../src/ops/arithmetic.ts";
import { gelu } from "../src/ops/math.ts";
import { select } from "../src/ops/shape.ts";
import type { Recurrence } from "../src/recurrence/recurrence.ts";
import type { State } from "../src/recurrence/state.ts";
import type { Generator } from "../src/tensor/random.ts";
import type { Tensor } from "../src/tensor/tensor.ts";

/** y = x + W gelu(cell(norm(x))) */
class Block extends Module {
  readonly norm: LayerNorm;
  readonly cell: Recurrence<State>;
  readonly out: Linear;

  constructor(cell: Recurrence, width: number, generator: Generator) {
    super();
    this.norm = new LayerNorm(width);
    this.cell = cell;
    this.out = new Linear(cell.outputSize, width, { generator });
  }

  forward(xs: Tensor): Tensor {
    return add(xs, this.out.forward(gelu(this.cell.scan(this.norm.forward(xs))[0])));
  }
}

/** gelu of a linear layer into the cells' width, a block for each cell, and a linear layer out of it. */
export class ResidualNet extends Module {
  readonly embed: Linear;
  readonly blocks: readonly Block[];
  readonly head: Linear;

  constructor(cells: readonly Recurrence[], inputSize: number, outputSize: number, generator: Generator) {
    super();
    const width = (cells[0] as Recurrence).inputSize;
    this.embed = new Linear(inputSize, width, { generator });
    this.blocks = cells.map((cell) => new Block(cell, width, generator));
    this.head = new Linear(width, outputSize, { generator });
  }

  /** xs [T,B,I] to [T,B,O]. */
  forward(xs: Tensor): Tensor {
    return this.head.forward(this.#features(xs));
  }

  /** What is put out after the last step [B,O]. */
  final(xs: Tensor): Tensor {
    return this.head.forward(select(this.#features(xs), 0, xs.dim(0) - 1));
  }

  #features(xs: Tensor): Tensor {
    return this.blocks.reduce((x, block) => block.forward(x), gelu(this.embed.forward(xs)));
  }
}
