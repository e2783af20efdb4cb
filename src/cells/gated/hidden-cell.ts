/** The base of cells whose state is their output, a vector of units. */

import { checkSizes, optionsOf } from "../../base/checks.ts";
import type { FloatDType } from "../../base/dtype.ts";
import { LAYER, type LayerOptions, uniformParameter } from "../../nn/layers.ts";
import type { Parameter } from "../../nn/module.ts";
import { Cell } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import type { Tensor } from "../../tensor/tensor.ts";

export interface HiddenCellOptions extends LayerOptions {
  readonly inputSize: number;
  readonly hiddenSize: number;
}

/** Base class of cells whose state h [B,H] starts at zero and is also the output. */
export abstract class HiddenCell extends Cell<Tensor> {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly outputSize: number;
  readonly #options: HiddenCellOptions;

  constructor(op: string, options: HiddenCellOptions) {
    super();
    const { inputSize, hiddenSize } = optionsOf(op, options, ["inputSize", "hiddenSize", ...LAYER]);
    checkSizes(op, { inputSize, hiddenSize });
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.outputSize = hiddenSize;
    this.#options = options;
  }

  /** The dtype of parameters and state. */
  get dtype(): FloatDType {
    return this.#options.dtype ?? "float32";
  }

  /** Zeros. */
  initialState(batch: number): Tensor {
    return zeros([batch, this.hiddenSize], this.dtype);
  }

  /** A parameter from U(±1/√H). */
  protected draw(...shape: number[]): Parameter {
    return uniformParameter(shape, 1 / Math.sqrt(this.hiddenSize), this.#options);
  }
}
