/** Convolutions as layers, with PyTorch's names, options and initial weights. */

import { checkFlag, checkOptions, checkSizes } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { type Conv1dOptions, type Conv2dOptions, conv1d, conv2d } from "../ops/conv.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type FromStateDictOptions, floatOf, fromTensors, ownOptions, type StateSource, shapeOf } from "./from-state-dict.ts";
import { type BiasOptions, LAYER, type LayerOptions, uniformParameter } from "./layers.ts";
import { Module, type Parameter } from "./module.ts";

const CONV = ["stride", "padding", "dilation", "groups", "causal"] as const;

export interface Conv1dLayerOptions extends BiasOptions, Conv1dOptions {}
export interface Conv2dLayerOptions extends BiasOptions, Conv2dOptions {}

/** Options that weights do not determine: `groups`, and those of the window. */
export interface Conv1dFromOptions extends FromStateDictOptions, LayerOptions, Conv1dOptions {}
export interface Conv2dFromOptions extends FromStateDictOptions, LayerOptions, Conv2dOptions {}

interface Sizes {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
}

/** @throws ArgumentError for groups that do not divide the channels */
function checkChannels(op: string, { inChannels, outChannels, groups }: Sizes): void {
  checkSizes(op, { inChannels, outChannels, groups });
  for (const [name, channels] of Object.entries({ inChannels, outChannels })) {
    if (channels % groups !== 0) throw new ArgumentError(`${op}: expected ${groups} groups to divide ${name}, got ${channels}`);
  }
}

/** The given options of the operation. */
function windowOf<O extends object>(options: O): Pick<O, Extract<keyof O, (typeof CONV)[number]>> {
  return Object.fromEntries(
    CONV.flatMap((name) => (options[name as never] === undefined ? [] : [[name, options[name as never]]])),
  ) as never;
}

/**
 * Filters over sequences: y[n,o,t] = b[o] + Σ_c,k w[o,c,k]·x[n,c,…]; `conv1d` has the equation. Weights [O,C/groups,K] and bias [O] from U(±1/√(K·C/groups)).
 * @throws ArgumentError, before a weight is drawn, for sizes and options out of their range
 * @example const y = new Conv1d(4, 8, 3, { padding: 1 }).forward(x); // [N,4,T] to [N,8,T]
 */
export class Conv1d extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: number;
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly #window: Conv1dOptions;

  constructor(inChannels: number, outChannels: number, kernelSize: number, options: Conv1dLayerOptions = {}) {
    super();
    checkOptions("Conv1d", options, ["bias", ...LAYER, ...CONV]);
    const { groups = 1, bias = true } = options;
    checkChannels("Conv1d", { inChannels, outChannels, groups });
    checkSizes("Conv1d", { kernelSize });
    checkFlag("Conv1d", "bias", bias);
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = kernelSize;
    this.#window = windowOf(options);
    const shape = [outChannels, inChannels / groups, kernelSize];
    const bound = 1 / Math.sqrt((inChannels / groups) * kernelSize);
    this.weight = uniformParameter(shape, bound, options);
    this.bias = bias ? uniformParameter([outChannels], bound, options) : null;
  }

  /** x [N,C,T] to [N,O,T']. */
  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, this.bias, this.#window);
  }

  /**
   * Makes a layer from its weights: `weight` [O,C/groups,K], and `bias` if there is one.
   * @throws FormatError for anything but such weights
   * @example const layer = Conv1d.fromStateDict(parseSafetensors(bytes), { prefix: "conv", padding: 1 });
   */
  static fromStateDict(source: StateSource, options: Conv1dFromOptions = {}): Conv1d {
    const op = "Conv1d.fromStateDict";
    checkOptions(op, options, ["prefix", ...LAYER, ...CONV]);
    return fromTensors(op, source, options, (own) => {
      const [O, C, K] = shapeOf(op, own, "weight", ["outChannels", "inChannels / groups", "kernelSize"]) as [number, number, number];
      const common = { bias: own.has("bias"), dtype: floatOf(own, "weight"), ...ownOptions(options) };
      return new Conv1d(C * (options.groups ?? 1), O, K, common);
    });
  }
}

/**
 * Filters over images; `conv2d` has the equation. Weights [O,C/groups,KH,KW] and bias [O] from U(±1/√(KH·KW·C/groups)).
 * @param kernelSize height and width, or one number for both
 * @throws ArgumentError, before a weight is drawn, for sizes and options out of their range
 * @example const y = new Conv2d(1, 8, 3, { padding: 1 }).forward(x); // [N,1,H,W] to [N,8,H,W]
 */
export class Conv2d extends Module {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly kernelSize: readonly [number, number];
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  readonly #window: Conv2dOptions;

  constructor(inChannels: number, outChannels: number, kernelSize: number | readonly [number, number], options: Conv2dLayerOptions = {}) {
    super();
    checkOptions("Conv2d", options, ["bias", ...LAYER, ...CONV]);
    const { groups = 1, bias = true } = options;
    checkChannels("Conv2d", { inChannels, outChannels, groups });
    checkFlag("Conv2d", "bias", bias);
    const size = Array.isArray(kernelSize) ? (kernelSize as readonly number[]) : [kernelSize as number, kernelSize as number];
    if (size.length !== 2) throw new ArgumentError(`Conv2d: expected kernelSize as one number or two, got ${quote(kernelSize)}`);
    const [height, width] = size as [number, number];
    checkSizes("Conv2d", { "kernelSize[0]": height, "kernelSize[1]": width });
    this.inChannels = inChannels;
    this.outChannels = outChannels;
    this.kernelSize = [height, width];
    this.#window = windowOf(options);
    const bound = 1 / Math.sqrt((inChannels / groups) * height * width);
    this.weight = uniformParameter([outChannels, inChannels / groups, height, width], bound, options);
    this.bias = bias ? uniformParameter([outChannels], bound, options) : null;
  }

  /** x [N,C,H,W] to [N,O,H',W']. */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.#window);
  }

  /**
   * Makes a layer from its weights: `weight` [O,C/groups,KH,KW], and `bias` if there is one.
   * @throws FormatError for anything but such weights
   * @example const layer = Conv2d.fromStateDict(parseSafetensors(bytes), { prefix: "conv", stride: 2 });
   */
  static fromStateDict(source: StateSource, options: Conv2dFromOptions = {}): Conv2d {
    const op = "Conv2d.fromStateDict";
    checkOptions(op, options, ["prefix", ...LAYER, ...CONV]);
    return fromTensors(op, source, options, (own) => {
      const axes = ["outChannels", "inChannels / groups", "kernelSize[0]", "kernelSize[1]"];
      const [O, C, height, width] = shapeOf(op, own, "weight", axes) as [number, number, number, number];
      const common = { bias: own.has("bias"), dtype: floatOf(own, "weight"), ...ownOptions(options) };
      return new Conv2d(C * (options.groups ?? 1), O, [height, width], common);
    });
  }
}
