import { describe, expect, it } from "vitest";
import { backward } from "../../../src/autodiff/backward.ts";
import { ConvLSTM, type ConvLSTMOptions } from "../../../src/cells/gated/conv-lstm.ts";
import { Linear } from "../../../src/nn/layers.ts";
import { mseLoss } from "../../../src/nn/losses.ts";
import { reshape } from "../../../src/ops/broadcast.ts";
import { select } from "../../../src/ops/shape.ts";
import { Adam } from "../../../src/optim/adam.ts";
import { Generator } from "../../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../../src/tensor/tensor.ts";
import { logistic } from "../../oracle/numbers.ts";
import { accept, expectClose, learn } from "../acceptance.ts";

const [H, W, C, K] = [2, 3, 2, 2];

function build(options: Partial<ConvLSTMOptions> = {}): ConvLSTM {
  const generator = new Generator(2);
  const cell = new ConvLSTM({ height: H, width: W, inputChannels: C, hiddenChannels: K, dtype: "float64", generator, ...options });
  const { shape, dtype } = cell.weightPeephole;
  assign(cell.weightPeephole, generator.uniform(shape, -1, 1, dtype as "float64"));
  return cell;
}

/** Σ over channels and places of a filter on an image with zeros around it. */
function filtered(w: Tensor, out: number, image: readonly number[], channels: number, r: number, s: number): number {
  const [values, k] = [w.data(), w.dim(2)];
  let total = 0;
  for (let c = 0; c < channels; c++) {
    for (let i = 0; i < k * k; i++) {
      const [row, column] = [r + Math.floor(i / k) - (k >> 1), s + (i % k) - (k >> 1)];
      if (row < 0 || row >= H || column < 0 || column >= W) continue;
      total += (values[(out * channels + c) * k * k + i] as number) * (image[(c * H + row) * W + column] as number);
    }
  }
  return total;
}

describe("ConvLSTM", () => {
  it("has the gradients of its equations, and steps that equal its scan", () => accept(build()));

  it("is the paper's recurrence", () => {
    const cell = build();
    const xs = new Generator(3).uniform([4, 1, C * H * W], -1, 1, "float64");
    const [peephole, bias] = [cell.weightPeephole.data(), cell.bias.data()];
    const size = K * H * W;
    let [h, c] = [new Array<number>(size).fill(0), new Array<number>(size).fill(0)];
    for (let t = 0; t < 4; t++) {
      const x = Array.from(xs.data()).slice(t * C * H * W, (t + 1) * C * H * W);
      const before = h;
      const sum = (gate: number, n: number) => {
        const [out, r, s] = [gate * K + Math.floor(n / (H * W)), Math.floor(n / W) % H, n % W];
        return filtered(cell.weightIh, out, x, C, r, s) + filtered(cell.weightHh, out, before, K, r, s) + (bias[out] as number);
      };
      const seen = (part: number, n: number, value: number) => (peephole[part * size + n] as number) * value;
      c = c.map((old, n) => {
        const [i, f] = [logistic(sum(0, n) + seen(0, n, old)), logistic(sum(1, n) + seen(1, n, old))];
        return f * old + i * Math.tanh(sum(2, n));
      });
      h = c.map((now, n) => logistic(sum(3, n) + seen(2, n, now)) * Math.tanh(now));
    }
    expectClose(cell.scan(xs)[1].h, h, 1e-12);
  });

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
