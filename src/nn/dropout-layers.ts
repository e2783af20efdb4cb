/** Dropout as modules: active in training, off in evaluation. */

import { checkNumber, optionsOf } from "../base/checks.ts";
import { type DropoutOptions, dropout, variationalDropout } from "../ops/dropout.ts";
import type { Generator } from "../tensor/random.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Module } from "./module.ts";

export interface DropoutLayerOptions {
  /** Source of the dropout masks; default: the default generator. */
  readonly generator?: Generator;
}

/** A module's options for the dropout functions. */
export function dropoutOptionsOf(module: Module, generator: Generator | undefined): DropoutOptions {
  return generator === undefined ? { training: module.training } : { training: module.training, generator };
}

export function checkProbability(op: string, p: number): number {
  checkNumber(op, "p", p, { least: 0, most: 1 });
  return p;
}

/** Sets each element to zero with probability p and scales the others by 1/(1 − p); see `dropout`. */
export class Dropout extends Module {
  readonly p: number;
  /** Source of the dropout masks; default: the default generator. */
  readonly generator: Generator | undefined;

  constructor(p = 0.5, options: DropoutLayerOptions = {}) {
    super();
    const { generator } = optionsOf("Dropout", options, ["generator"]);
    this.p = checkProbability("Dropout", p);
    this.generator = generator;
  }

  forward(x: Tensor): Tensor {
    return dropout(x, this.p, dropoutOptionsOf(this, this.generator));
  }
}

/** Dropout of sequences [T,B,F] with one mask for all steps; see `variationalDropout`. */
export class VariationalDropout extends Module {
  readonly p: number;
  /** Source of the dropout masks; default: the default generator. */
  readonly generator: Generator | undefined;

  constructor(p = 0.5, options: DropoutLayerOptions = {}) {
    super();
    const { generator } = optionsOf("VariationalDropout", options, ["generator"]);
    this.p = checkProbability("VariationalDropout", p);
    this.generator = generator;
  }

  forward(xs: Tensor): Tensor {
    return variationalDropout(xs, this.p, dropoutOptionsOf(this, this.generator));
  }
}
