/** Linear, Bilinear, Embedding, LayerNorm, Sequential. */

import { checkNumber, checkOptions, checkSizes, checkWhole, optionsOf } from "../base/checks.ts";
import type { FloatDType } from "../base/dtype.ts";
import { embedding } from "../ops/gather.ts";
import { bilinear, linear } from "../ops/linear.ts";
import { layerNorm } from "../ops/normalize.ts";
import { ones, zeros } from "../tensor/create.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import type { Shape } from "../tensor/shape.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { type FromStateDictOptions, floatOf, fromTensors, ownOptions, type StateSource, shapeOf } from "./from-state-dict.ts";
import { Module, Parameter } from "./module.ts";
import { storedIn } from "./stored-matrix.ts";

export interface LayerOptions {
  readonly dtype?: FloatDType;
  /** Source of initial values; default: the default generator. */
  readonly generator?: Generator;
}

/** The names of `LayerOptions`, for modules with more options. @internal */
export const LAYER = ["dtype", "generator"] as const;

/** The options that a module passes on to its own layers. @internal */
export function layerOptions({ dtype, generator }: LayerOptions): LayerOptions {
  return { ...(dtype !== undefined && { dtype }), ...(generator !== undefined && { generator }) };
}

export interface BiasOptions extends LayerOptions {
  readonly bias?: boolean;
}

/** A new parameter, drawn from U(−bound, bound). */
export function uniformParameter(shape: Shape, bound: number, options: LayerOptions): Parameter {
  return new Parameter((options.generator ?? defaultGenerator()).uniform(shape, -bound, bound, options.dtype ?? "float32"));
}

/** Options of a layer made from its weights. */
export interface LayerFromOptions extends FromStateDictOptions, LayerOptions {}

const FROM = ["prefix", ...LAYER] as const;

/** y = x·Wᵀ + b for x [..., inFeatures]; W [outFeatures, inFeatures] from U(±1/√inFeatures), as in PyTorch. */
export class Linear extends Module {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(inFeatures: number, outFeatures: number, options: BiasOptions = {}) {
    super();
    checkSizes("Linear", { inFeatures, outFeatures });
    checkOptions("Linear", options, ["bias", ...LAYER]);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
    const bound = 1 / Math.sqrt(inFeatures);
    this.weight = uniformParameter([outFeatures, inFeatures], bound, options);
    this.bias = (options.bias ?? true) ? uniformParameter([outFeatures], bound, options) : null;
  }

  forward(x: Tensor): Tensor {
    const { weight, bias } = this;
    return storedIn(weight)?.linear(x, bias ?? undefined) ?? linear(x, weight, bias ?? undefined);
  }

  /**
   * Makes a layer from its weights: `weight` [outFeatures, inFeatures], and `bias` if there is one.
   * @throws FormatError for anything but such weights
   * @example const head = Linear.fromStateDict(parseSafetensors(bytes), { prefix: "head" });
   */
  static fromStateDict(source: StateSource, options: LayerFromOptions = {}): Linear {
    const op = "Linear.fromStateDict";
    checkOptions(op, options, FROM);
    return fromTensors(op, source, options, (own) => {
      const [outFeatures, inFeatures] = shapeOf(op, own, "weight", ["outFeatures", "inFeatures"]) as [number, number];
      return new Linear(inFeatures, outFeatures, { bias: own.has("bias"), dtype: floatOf(own, "weight"), ...ownOptions(options) });
    });
  }
}

/** y_o = x₁ᵀ·A_o·x₂ + b_o for x₁ [..., in1], x₂ [..., in2]; A [out, in1, in2]. */
export class Bilinear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(in1Features: number, in2Features: number, outFeatures: number, options: BiasOptions = {}) {
    super();
    checkSizes("Bilinear", { in1Features, in2Features, outFeatures });
    checkOptions("Bilinear", options, ["bias", ...LAYER]);
    const bound = 1 / Math.sqrt(in1Features);
    this.weight = uniformParameter([outFeatures, in1Features, in2Features], bound, options);
    this.bias = (options.bias ?? true) ? uniformParameter([outFeatures], bound, options) : null;
  }

  forward(x1: Tensor, x2: Tensor): Tensor {
    return bilinear(x1, x2, this.weight, this.bias ?? undefined);
  }
}

export interface EmbeddingOptions extends LayerOptions {
  /** Index whose row is zero and gets no gradient. */
  readonly paddingIdx?: number;
  /** Whether to divide each row's gradient by how often the index names the row (default false). */
  readonly scaleGradByFreq?: boolean;
}

export interface EmbeddingFromOptions extends FromStateDictOptions, EmbeddingOptions {}

/** Looks up rows of a table [numEmbeddings, embeddingDim] by an int32 index of any shape; initial values from N(0, 1). */
export class Embedding extends Module {
  readonly numEmbeddings: number;
  readonly embeddingDim: number;
  readonly paddingIdx: number | undefined;
  readonly scaleGradByFreq: boolean;
  readonly weight: Parameter;

  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingOptions = {}) {
    super();
    checkSizes("Embedding", { numEmbeddings, embeddingDim });
    const { paddingIdx } = optionsOf("Embedding", options, ["paddingIdx", "scaleGradByFreq", ...LAYER]);
    if (paddingIdx !== undefined) checkWhole("Embedding", "paddingIdx", paddingIdx, { least: 0, below: numEmbeddings });
    this.numEmbeddings = numEmbeddings;
    this.embeddingDim = embeddingDim;
    this.paddingIdx = paddingIdx;
    this.scaleGradByFreq = options.scaleGradByFreq ?? false;
    const generator = options.generator ?? defaultGenerator();
    this.weight = new Parameter(generator.normal([numEmbeddings, embeddingDim], 0, 1, options.dtype ?? "float32"));
    if (paddingIdx !== undefined) zeroRow(this.weight, paddingIdx);
  }

  forward(index: Tensor): Tensor {
    const stored = storedIn(this.weight);
    if (stored !== null) return stored.rowsAt(index);
    const padding = this.paddingIdx === undefined ? {} : { paddingIdx: this.paddingIdx };
    return embedding(index, this.weight, { ...padding, scaleGradByFreq: this.scaleGradByFreq });
  }

  /**
   * Makes a table from its `weight` [numEmbeddings, embeddingDim]. A padding row keeps its values, too.
   * @throws FormatError for anything but such a table
   * @example const table = Embedding.fromStateDict(parseSafetensors(bytes), { prefix: "embedding" });
   */
  static fromStateDict(source: StateSource, options: EmbeddingFromOptions = {}): Embedding {
    const op = "Embedding.fromStateDict";
    checkOptions(op, options, ["paddingIdx", "scaleGradByFreq", ...FROM]);
    return fromTensors(op, source, options, (own) => {
      const [rows, columns] = shapeOf(op, own, "weight", ["numEmbeddings", "embeddingDim"]) as [number, number];
      return new Embedding(rows, columns, { dtype: floatOf(own, "weight"), ...ownOptions(options) });
    });
  }
}

export interface LayerNormOptions extends LayerOptions {
  readonly eps?: number;
  readonly elementwiseAffine?: boolean;
}

export interface LayerNormFromOptions extends LayerFromOptions, Pick<LayerNormOptions, "eps"> {}

/** Normalises over the trailing axes `normalizedShape` (Ba, Kiros & Hinton 2016, Layer Normalization), then scales and shifts. */
export class LayerNorm extends Module {
  readonly normalizedShape: Shape;
  readonly eps: number;
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;

  constructor(normalizedShape: number | Shape, options: LayerNormOptions = {}) {
    super();
    const { eps = 1e-5 } = optionsOf("LayerNorm", options, ["eps", "elementwiseAffine", ...LAYER]);
    checkNumber("LayerNorm", "eps", eps, { least: 0 });
    this.normalizedShape = typeof normalizedShape === "number" ? [normalizedShape] : normalizedShape;
    this.eps = eps;
    const affine = options.elementwiseAffine ?? true;
    this.weight = affine ? new Parameter(ones(this.normalizedShape, options.dtype ?? "float32")) : null;
    this.bias = affine ? new Parameter(zeros(this.normalizedShape, options.dtype ?? "float32")) : null;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, { weight: this.weight ?? undefined, bias: this.bias ?? undefined, eps: this.eps });
  }

  /**
   * Makes a layer from its `weight`, which has the axes to normalise over, and `bias`.
   * @throws FormatError for anything but such weights
   * @example const norm = LayerNorm.fromStateDict(parseSafetensors(bytes), { prefix: "norm", eps: 1e-6 });
   */
  static fromStateDict(source: StateSource, options: LayerNormFromOptions = {}): LayerNorm {
    const op = "LayerNorm.fromStateDict";
    checkOptions(op, options, ["eps", ...FROM]);
    return fromTensors(op, source, options, (own) => {
      const axes = own.get("weight")?.shape.map((_, i) => `size of axis ${i}`) ?? ["…normalizedShape"];
      return new LayerNorm(shapeOf(op, own, "weight", axes), { dtype: floatOf(own, "weight"), ...ownOptions(options) });
    });
  }
}

/** Runs modules in order, each on the previous one's output. The state dict names them 0, 1, …. */
export class Sequential extends Module {
  readonly #layers: readonly (Module & { forward(x: Tensor): Tensor })[];

  constructor(...layers: (Module & { forward(x: Tensor): Tensor })[]) {
    super();
    this.#layers = layers;
    layers.forEach((layer, i) => {
      this.register(String(i), layer);
    });
  }

  forward(x: Tensor): Tensor {
    return this.#layers.reduce((value, layer) => layer.forward(value), x);
  }
}

function zeroRow(weight: Parameter, row: number): void {
  const values = weight.data();
  const width = weight.dim(1);
  values.fill(0, row * width, (row + 1) * width);
  assign(weight, values);
}
