import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { ConvLSTM, type ConvLSTMOptions } from "../../../src/cells/gated/conv-lstm.ts";
import { Linear } from "../../../src/nn/layers.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { select } from "../../../src/ops/shape.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, tensor } from "../../../src/tensor/tensor.ts";
import { holdAgainst } from "../../oracle/equations.ts";
import { each, logistic, part, plus, type Vector } from "../../oracle/numbers.ts";
import { accept, learn } from "../acceptance.ts";

const [H, W, C, K] = [2, 3, 2, 2];

function build(options: Partial<ConvLSTMOptions> = {}): ConvLSTM {
  const generator = new Generator(2);
  const cell = new ConvLSTM({ height: H, width: W, inputChannels: C, hiddenChannels: K, dtype: "float64", generator, ...options });
  const { shape, dtype } = cell.weightPeephole;
  assign(cell.weightPeephole, generator.uniform(shape, -1, 1, dtype as "float64"));
  return cell;
}

/** Σ over channels and places of a filter [channels,k,k] on an image with zeros around it, of which an even filter's odd one comes last. */
function filtered(filter: Vector, image: Vector, k: number, r: number, s: number): number {
  const places = filter.map((w, at) => {
    const [c, i, j] = [Math.floor(at / (k * k)), Math.floor(at / k) % k, at % k];
    const [row, column] = [r + i - Math.floor((k - 1) / 2), s + j - Math.floor((k - 1) / 2)];
    return row < 0 || row >= H || column < 0 || column >= W ? 0 : w * (image[(c * H + row) * W + column] as number);
  });
  return places.reduce((a, b) => a + b);
}

describe("ConvLSTM", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => accept(build()));

  it.each([1, 2, 3, 4])("is equation 3 from any state, values and derivatives; filters of side %i", (k) =>
    holdAgainst(build({ kernelSize: k }), (p, x, [h, c]) => {
      const size = K * H * W;
      const [Wx, Wh, b] = [p.matrix("weight_ih", C * k * k), p.matrix("weight_hh", K * k * k), p.vector("bias")];
      const sums = Array.from({ length: 4 * size }, (_, n) => {
        const [out, r, s] = [Math.floor(n / (H * W)), Math.floor(n / W) % H, n % W];
        return filtered(Wx[out] as Vector, x, k, r, s) + filtered(Wh[out] as Vector, h as Vector, k, r, s) + (b[out] as number);
      });
      const [si, sf, sg, so] = [0, 1, 2, 3].map((gate): Vector => part(sums, gate, 4)) as [Vector, Vector, Vector, Vector];
      const [wi, wf, wo] = p.matrix("weight_peephole", size) as Vector[] as [Vector, Vector, Vector];
      const gate = (sum: Vector, w: Vector, cell: Vector) => each((s, wi, ci) => logistic(s + wi * ci), sum, w, cell);
      const kept = each((f, old) => f * old, gate(sf, wf, c as Vector), c as Vector);
      const c1 = plus(
        kept,
        each((i, g) => i * Math.tanh(g), gate(si, wi, c as Vector), sg),
      );
      const h1 = each((o, now) => o * Math.tanh(now), gate(so, wo, c1), c1);
      return [h1, [h1, c1]];
    }),
  );

  it("learns which way a dot moves", () => {
    const [T, B, side] = [4, 16, 6];
    const cell = new ConvLSTM({ height: 1, width: side, inputChannels: 1, hiddenChannels: 4, generator: new Generator(1) });
    const head = new Linear(cell.outputSize, side, { generator: new Generator(2) });
    const optimizer = new Adam([...cell.parameters(), ...head.parameters()], { lr: 1e-2 });
    const g = new Generator(3);
    const error = learn(250, () => {
      const draws = g.uniform([B, 2]).data();
      const place = (b: number, t: number) => {
        const [start, way] = [Math.floor((draws[2 * b] as number) * side), (draws[2 * b + 1] as number) < 0.5 ? 1 : side - 1];
        return (start + t * way) % side;
      };
      const frames = Float32Array.from({ length: (T + 1) * B * side }, (_, k) => {
        const [t, b] = [Math.floor(k / (B * side)), Math.floor(k / side) % B];
        return Number(place(b, t) === k % side);
      });
      const all = tensor(frames, { shape: [T + 1, B, side], dtype: "float32" });
      const xs = tensor(frames.slice(0, T * B * side), { shape: [T, B, side], dtype: "float32" });
      const loss = mseLoss(head.forward(select(cell.scan(xs)[0], 0, T - 1)), reshape(select(all, 0, T), [B, side]));
      optimizer.zeroGrad();
      backward(loss);
      optimizer.step();
      return loss;
    });
    // Knowing the last place but not the direction leaves 1/12.
    expect(error).toBeLessThan(0.03);
  });
});
