/**
 * Where the golden values of the LSTMs come from: from the equations, by this program of plain numbers, to the six digits in which the tests
 * give them. PyTorch has the LSTM among them, and agrees (1.13, float64):
 *
 *     p = lambda s, *shape: 0.5 * torch.sin(1 + 0.7 * torch.arange(math.prod(shape), dtype=torch.float64) + 1.3 * s).view(shape)
 *     lstm = torch.nn.LSTM(3, 2).double()
 *     for s, w in enumerate(lstm.parameters()): w.data = p(s, *w.shape)
 *     x = 0.5 * torch.cos(0.3 * torch.arange(12, dtype=torch.float64)).view(4, 1, 3)
 *     lstm(x)[1]  # h = 0.136258, 0.249471; c = 0.296283, 0.407056
 */

import { describe, expect, it } from "vitest";
import { logistic } from "../oracle/numbers.ts";

const [I, H, T] = [3, 2, 4];

/** Element k of parameter number s. */
const p = (s: number, k: number) => 0.5 * Math.sin(1 + 0.7 * k + 1.3 * s);

interface Variant {
  readonly peepholes?: boolean;
  /** What stands in place of f. */
  readonly forget?: (i: number, f: number) => number;
}

/** h and c after four steps: rows i f g o, parameters W_ih, W_hh, b_ih, b_hh, p_i, p_f, p_o numbered from 0; o looks at the new c. */
function lstm({ peepholes = false, forget = (_, f) => f }: Variant): number[] {
  let [h, c] = [
    [0, 0],
    [0, 0],
  ];
  for (let t = 0; t < T; t++) {
    const x = Array.from({ length: I }, (_, i) => 0.5 * Math.cos(0.3 * (I * t + i)));
    const sum = (gate: number, k: number) => {
      const row = gate * H + k;
      const fromX = x.reduce((total, v, j) => total + p(0, row * I + j) * v, 0);
      const fromH = h.reduce((total, v, j) => total + p(1, row * H + j) * v, 0);
      return fromX + fromH + p(2, row) + p(3, row);
    };
    const look = (s: number, k: number, cells: readonly number[]) => (peepholes ? p(s, k) * (cells[k] as number) : 0);
    const next = c.map((old, k) => {
      const i = logistic(sum(0, k) + look(4, k, c));
      const f = forget(i, logistic(sum(1, k) + look(5, k, c)));
      return f * old + i * Math.tanh(sum(2, k));
    });
    h = next.map((v, k) => logistic(sum(3, k) + look(6, k, next)) * Math.tanh(v));
    c = next;
  }
  return [...h, ...c];
}

describe("golden values of the LSTM", () => {
  it.each<[string, Variant, number[]]>([
    ["as it is in PyTorch", {}, [0.136258, 0.249471, 0.296283, 0.407056]],
    ["with peepholes", { peepholes: true }, [0.146996, 0.269063, 0.307097, 0.44634]],
    ["with coupled gates", { forget: (i) => 1 - i }, [0.208575, 0.307808, 0.483898, 0.519747]],
    ["without a forget gate", { forget: () => 1 }, [0.270162, 0.418086, 0.690567, 0.774479]],
  ])("%s", (_, variant, expected) => {
    for (const [k, value] of lstm(variant).entries()) expect(Math.abs(value - (expected[k] as number))).toBeLessThanOrEqual(5.1e-7);
  });
});
