/** Builds automata into networks. */

import { checkNumber, optionsOf } from "../base/checks.ts";
import { SecondOrderRNN } from "../cells/simple/second-order.ts";
import { LAYER, type LayerOptions } from "../nn/layers.ts";
import type { Parameter } from "../nn/module.ts";
import { assign } from "../tensor/tensor.ts";
import { type Automaton, checkAutomaton } from "./automaton.ts";

export interface InsertOptions extends LayerOptions {
  /** Rule strength H: larger values keep states closer to 0 and 1 (default 8). */
  readonly strength?: number;
}

/**
 * A network that runs a given automaton: unit 0 is the answer, unit j + 1 is on in state j.
 *
 *   W_ijk = H if δ(q_j, a_k) = q_i    W_jjk = −H if δ(q_j, a_k) ≠ q_j    W_0jk = ±H as δ(q_j, a_k) is accepted    b = −H/2
 *
 * @see Omlin and Giles, "Constructing deterministic finite-state automata in recurrent neural networks", 1996, section 3
 * Deviates: unit 0 starts with the answer for the empty string.
 * @throws ArgumentError for an invalid automaton, and for a strength that is not above 0
 * @example const net = insertAutomaton(tomita(4), { strength: 8 });
 */
export function insertAutomaton(automaton: Automaton, options: InsertOptions = {}): SecondOrderRNN {
  const { strength: H = 8, ...layer } = optionsOf("insertAutomaton", options, ["strength", ...LAYER]);
  checkNumber("insertAutomaton", "strength", H, { above: 0 });
  checkAutomaton("insertAutomaton", automaton);
  const { symbols: K, transitions, accepting } = automaton;
  const N = transitions.length + 1;
  const start = Array.from({ length: N }, (_, i) => Number(i === 0 ? accepting[0] : i === 1));
  const cell = new SecondOrderRNN({ ...layer, inputSize: K, hiddenSize: N, start });
  const weights = new Float64Array(N * N * K);
  const set = (i: number, j: number, k: number, value: number) => {
    weights[(i * N + j) * K + k] = value;
  };
  transitions.forEach((row, q) => {
    row.forEach((next, k) => {
      const j = q + 1;
      set(j, j, k, -H);
      set(next + 1, j, k, H);
      set(0, j, k, accepting[next] ? H : -H);
    });
  });
  assign(cell.weight, weights);
  assign(cell.bias as Parameter, new Float64Array(N).fill(-H / 2));
  return cell;
}
