import { noGrad } from "../autodiff/tape.ts";
import { checkFlag, checkNumber } from "../base/checks.ts";
import { ShapeError } from "../base/errors.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { matmul } from "../ops/linear.ts";
import { norm } from "../ops/reduce.ts";
import { transpose } from "../ops/shape.ts";
import { show } from "../tensor/shape.ts";
import { assign, type Tensor } from "../tensor/tensor.ts";
import { type DecayOptions, type Group, type InitialSlots, Optimizer, type Parameters, type Slots, signOf } from "./optimizer.ts";

export interface MuonOptions extends DecayOptions {
  readonly momentum?: number;
  /** Whether to look ahead by the momentum (default true). */
  readonly nesterov?: boolean;
}

const [A, B, C] = [3.4445, -4.775, 2.0315];
const SWEEPS = 5;

/**
 * Momentum with an orthogonalised direction: for the gradient d of a matrix p [M,N],
 *
 *     v ← momentum·v + d,  X = (d + momentum·v)/‖·‖,  five times X ← a·X + (b·S + c·S²)·X with S = X·Xᵀ
 *     p ← (1 − lr·weightDecay)·p − lr·√max(1, M/N)·X
 *
 * X approximates UVᵀ of the singular value decomposition UΣVᵀ: all directions count alike, with singular values near 1 (0.7 to 1.2).
 * Use it only for matrices between layers, and AdamW for biases, embeddings and readouts. O(min(M,N)·M·N) per step. Defaults: lr 0.02, momentum 0.95,
 * nesterov true, weightDecay 0, which is decoupled from the gradient.
 * @throws ShapeError for a parameter that is not a matrix
 * @see Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024 (constants quoted from memory)
 * @example const matrices = new Muon(rnn.parameters().filter((p) => p.rank === 2), { lr: 0.02 });
 */
export class Muon extends Optimizer<MuonOptions> {
  constructor(params: Parameters<MuonOptions>, options: MuonOptions = {}) {
    super("Muon", params, { lr: 0.02, weightDecay: 0, maximize: false, momentum: 0.95, nesterov: true }, options);
    for (const p of this.params) if (p.rank !== 2) throw new ShapeError(`Muon: expected matrices, got a parameter ${show(p.shape)}`);
  }

  protected override checkGroup(group: Group<MuonOptions>): void {
    super.checkGroup(group);
    checkNumber("Muon", "momentum", group.momentum, { least: 0, below: 1 });
    checkFlag("Muon", "nesterov", group.nesterov);
  }

  protected override initial(): InitialSlots {
    return { tensors: { momentumBuffer: 0 } };
  }

  protected override update(p: Tensor, g: Tensor, slots: Slots, group: Group<MuonOptions>): void {
    const { lr, weightDecay, momentum, nesterov } = group;
    const v = slots.tensors.momentumBuffer as Tensor;
    noGrad(() => {
      const d = mul(g, signOf(group));
      assign(v, add(mul(v, momentum), d));
      const X = orthogonalized(nesterov ? add(d, mul(v, momentum)) : v);
      const scale = Math.sqrt(Math.max(1, p.dim(0) / Math.max(1, p.dim(1))));
      assign(p, sub(mul(p, 1 - lr * weightDecay), mul(X, lr * scale)));
    });
  }
}

/** Approximates UVᵀ of a matrix UΣVᵀ by a quintic Newton-Schulz iteration; zeros for a zero matrix. */
function orthogonalized(G: Tensor): Tensor {
  const wide = G.dim(0) <= G.dim(1);
  const size = norm(G).item();
  let X = mul(wide ? G : transpose(G, 0, 1), size > 0 ? 1 / size : 0);
  for (let i = 0; i < SWEEPS; i++) {
    const S = matmul(X, transpose(X, 0, 1));
    X = add(mul(X, A), matmul(add(mul(S, B), mul(matmul(S, S), C)), X));
  }
  return wide ? X : transpose(X, 0, 1);
}
