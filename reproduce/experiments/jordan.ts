/** Jordan's networks produce letters from a plan; what a context of outputs alone cannot tell apart, state units can. */

import { JordanNetwork, JordanSequentialNetwork, JordanStateNetwork, TeacherForced } from "../../src/cells/simple/jordan.ts";
import { crossEntropy } from "../../src/nn/losses.ts";
import { mul } from "../../src/ops/arithmetic.ts";
import { reshape } from "../../src/ops/broadcast.ts";
import type { Recurrence } from "../../src/recurrence/recurrence.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { type Experiment, experiment, type Run } from "../experiment.ts";
import { train } from "../training.ts";

/** AAAB for plan 0, BBBA for plan 1. */
const SEQUENCES = [
  [0, 0, 0, 1],
  [1, 1, 1, 0],
];
const STEPS = [0, 1, 2, 3];

/** [plan; the letter before as one of two, zeros at first] for both sequences, and their letters. */
function lesson(): [xs: Tensor, letters: Tensor] {
  const before = (letters: number[], t: number) => (t === 0 ? [0, 0] : letters[t - 1] === 0 ? [1, 0] : [0, 1]);
  const xs = STEPS.flatMap((t) => SEQUENCES.flatMap((letters, plan) => [plan, ...before(letters, t)]));
  const targets = STEPS.flatMap((t) => SEQUENCES.map((letters) => letters[t] as number));
  return [tensor(xs, { shape: [4, 2, 3], dtype: "float32" }), tensor(targets, { dtype: "int32" })];
}

/** Nats for one sequence after training. */
function nats(run: Run, network: Recurrence, part: readonly [number, number]): number {
  const [xs, letters] = lesson();
  const loss = () => mul(crossEntropy(reshape(network.scan(xs)[0], [8, 2]), letters), 4);
  return train(run, { parameters: network.parameters(), updates: run.short ? 500 : 1500, lr: run.short ? 2e-2 : 1e-2, loss, part });
}

function serialOrder(run: Run) {
  const options = { inputSize: 1, hiddenSize: 8, outputSize: 2, outputActivation: "linear", generator: new Generator(run.seed) } as const;
  return {
    context: nats(run, new TeacherForced(new JordanNetwork(options)), [0, 1 / 3]),
    decay: nats(run, new TeacherForced(new JordanSequentialNetwork({ ...options, decay: 0.5 })), [1 / 3, 2 / 3]),
    state: nats(run, new TeacherForced(new JordanStateNetwork({ ...options, stateSize: 4 })), [2 / 3, 1]),
  };
}

export const jordan: readonly Experiment[] = [
  experiment({
    name: "jordan-serial-order",
    system: "Jordan networks: output context, and state units",
    file: "src/cells/simple/jordan.ts",
    paper: "Jordan (1986), Attractor dynamics and parallelism in a connectionist sequential machine",
    task: "produce AAAB or BBBA, as the plan says; teacher forcing, 8 hidden units, 1,500 updates with Adam 1e-2",
    reported: "state units that average past outputs let a network produce sequences with repeated letters; no number",
    claim: "nats per sequence: 1.90 to 2.00 with the output as context (the bound is 3·H(1/3) = 1.910), at most 0.05 with state units",
    figures: {
      context: "nats, output as context",
      decay: "nats, state units s = μs + y",
      state: "nats, trained state units",
    },
    run: serialOrder,
    claims: [{ rate: 1, holds: ({ context, decay, state }) => context >= 1.9 && context <= 2 && decay <= 0.05 && state <= 0.05 }],
    learns: ({ context, decay, state }) => context >= 1.9 && decay <= 0.1 && state <= 0.1,
  }),
];
