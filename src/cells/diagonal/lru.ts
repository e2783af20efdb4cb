/** The linear recurrent unit: a diagonal complex recurrence, stable by parametrisation. */

import { checkNumber, checkSizes, optionsOf } from "../../base/checks.ts";
import { LAYER, type LayerOptions } from "../../nn/layers.ts";
import { Parameter } from "../../nn/module.ts";
import { add, mul, neg, sub } from "../../ops/arithmetic.ts";
import { broadcastTo, reshape } from "../../ops/broadcast.ts";
import { linear } from "../../ops/linear.ts";
import { cos, exp, log, sin, sqrt } from "../../ops/math.ts";
import { complexScan } from "../../ops/prefix-scan.ts";
import { cat, select, stack, unsqueeze } from "../../ops/shape.ts";
import { movesAs } from "../../recurrence/recurrence.ts";
import { zeros } from "../../tensor/create.ts";
import { defaultGenerator } from "../../tensor/random.ts";
import type { Tensor } from "../../tensor/tensor.ts";
import { rate } from "./mixing.ts";
import { after, type Lengths, lastOf, SequenceCell } from "./sequence-cell.ts";

/** Complex numbers as two planes of one shape. */
export type Complex = { readonly re: Tensor; readonly im: Tensor };

function plus(a: Complex, b: Complex): Complex {
  return { re: add(a.re, b.re), im: add(a.im, b.im) };
}

function times(a: Complex, b: Complex): Complex {
  return { re: sub(mul(a.re, b.re), mul(a.im, b.im)), im: add(mul(a.re, b.im), mul(a.im, b.re)) };
}

/** Stacks real and imaginary parts [T,…] as planes [T,2,…]. */
function planes({ re, im }: Complex): Tensor {
  return stack([re, im], 1);
}

export interface LRUOptions extends LayerOptions {
  readonly inputSize: number;
  /** Size N of the complex state. */
  readonly hiddenSize: number;
  /** Default inputSize, the only size for which there is a direct path D∘x. */
  readonly outputSize?: number;
  /** Eigenvalues start in the ring rMin ≤ |λ| ≤ rMax (default 0 and 1). */
  readonly rMin?: number;
  readonly rMax?: number;
  /** Phases start in [0, maxPhase] (default 2π). */
  readonly maxPhase?: number;
}

/**
 * Linear recurrent unit, with a complex state h [B,N] from zero:
 *
 *   λ = exp(−exp(ν) + i exp(θ))    h' = λ∘h + exp(γ)∘(B x)    y = Re(C h') + D∘x
 *
 * Parameters nu, theta, gamma [N] (as in the equation), bRe, bIm [N,I], cRe, cIm [O,N], d [I]. λ starts uniform on a ring
 * (u uniform on [0,1]: ν = log(−½ log(u(rMax² − rMin²) + rMin²)), θ = log(maxPhase·u)), γ = log √(1 − |λ|²), B from N(0, 1/2I),
 * C from N(0, 1/N), D from N(0, 1). Whole sequences run as one complex scan.
 * @see Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu, De, "Resurrecting recurrent neural networks for long sequences", 2023,
 *   section 3 and appendix A
 * Deviates: none.
 * @example const [ys, h] = new LRU({ inputSize: 4, hiddenSize: 16, rMin: 0.9, rMax: 0.999 }).scan(xs);
 */
export class LRU extends SequenceCell<Complex> {
  readonly inputSize: number;
  readonly outputSize: number;
  readonly hiddenSize: number;
  readonly nu: Parameter;
  readonly theta: Parameter;
  readonly gamma: Parameter;
  readonly bRe: Parameter;
  readonly bIm: Parameter;
  readonly cRe: Parameter;
  readonly cIm: Parameter;
  readonly d: Parameter | null;

  constructor(given: LRUOptions) {
    super();
    const {
      inputSize,
      hiddenSize,
      outputSize = inputSize,
      rMin = 0,
      rMax = 1,
      maxPhase = 2 * Math.PI,
      ...options
    } = optionsOf("LRU", given, ["inputSize", "hiddenSize", "outputSize", "rMin", "rMax", "maxPhase", ...LAYER]);
    checkSizes("LRU", { inputSize, hiddenSize, outputSize });
    checkNumber("LRU", "rMax", rMax, { above: 0, most: 1 });
    checkNumber("LRU", "rMin", rMin, { least: 0, below: rMax });
    checkNumber("LRU", "maxPhase", maxPhase, { above: 0 });
    this.inputSize = inputSize;
    this.outputSize = outputSize;
    this.hiddenSize = hiddenSize;
    const { dtype = "float32", generator = defaultGenerator() } = options;
    const uniform = () => generator.uniform([hiddenSize], 1e-6, 1 - 1e-6, dtype);
    const normal = (shape: number[], variance: number) => new Parameter(generator.normal(shape, 0, Math.sqrt(variance), dtype));
    const radius2 = add(mul(uniform(), rMax ** 2 - rMin ** 2), rMin ** 2);
    this.nu = new Parameter(log(mul(log(radius2), -0.5)));
    this.theta = new Parameter(log(mul(uniform(), maxPhase)));
    this.gamma = new Parameter(log(sqrt(add(neg(radius2), 1))));
    this.bRe = normal([hiddenSize, inputSize], 0.5 / inputSize);
    this.bIm = normal([hiddenSize, inputSize], 0.5 / inputSize);
    this.cRe = normal([outputSize, hiddenSize], 1 / hiddenSize);
    this.cIm = normal([outputSize, hiddenSize], 1 / hiddenSize);
    this.d = outputSize === inputSize ? normal([inputSize], 1) : null;
  }

  /** λ [N]. */
  eigenvalues(): Complex {
    const [size, phase] = [exp(neg(rate(this.nu))), exp(this.theta)];
    return { re: mul(size, cos(phase)), im: mul(size, sin(phase)) };
  }

  /** exp(γ)∘(B x). */
  #drive(x: Tensor): Complex {
    const scale = exp(this.gamma);
    return { re: mul(linear(x, this.bRe), scale), im: mul(linear(x, this.bIm), scale) };
  }

  #output(h: Complex, x: Tensor): Tensor {
    const y = sub(linear(h.re, this.cRe), linear(h.im, this.cIm));
    return this.d ? add(y, mul(this.d, x)) : y;
  }

  get independentUnits(): number | undefined {
    return movesAs(this, LRU, ["step", "eigenvalues"]) ? this.hiddenSize : undefined;
  }

  initialState(batch: number): Complex {
    const zero = () => zeros([batch, this.hiddenSize], this.nu.dtype);
    return { re: zero(), im: zero() };
  }

  step(x: Tensor, h: Complex): [y: Tensor, next: Complex] {
    const next = plus(times(this.eigenvalues(), h), this.#drive(x));
    return [this.#output(next, x), next];
  }

  whole(xs: Tensor, h0: Complex, lengths: Lengths): [ys: Tensor, last: Complex] {
    const drive = this.#drive(xs);
    const first = { re: unsqueeze(h0.re, 0), im: unsqueeze(h0.im, 0) };
    const terms = cat([planes(first), planes(drive)]);
    const { re, im } = this.eigenvalues();
    const hs = complexScan(broadcastTo(reshape(stack([re, im]), [2, 1, this.hiddenSize]), terms.shape), terms);
    const [hsRe, hsIm] = [select(hs, 1, 0), select(hs, 1, 1)];
    return [this.#output({ re: after(hsRe), im: after(hsIm) }, xs), { re: lastOf(hsRe, lengths), im: lastOf(hsIm, lengths) }];
  }
}
