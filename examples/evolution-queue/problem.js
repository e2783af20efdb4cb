// What is searched: the weights of a small recurrent network that gives the exclusive or of two bits of the step before.

import { Generator, Linear, Module, mseLoss, noGrad, RNN, scope, sigmoid, tensor } from "tapeloop";
import { CMAES, flatten, unflatten } from "tapeloop/search";

const [T, B] = [32, 4];

class Network extends Module {
  constructor() {
    super();
    const generator = new Generator(1);
    this.rnn = new RNN({ inputSize: 2, hiddenSize: 3, dtype: "float64", generator });
    this.head = new Linear(3, 1, { dtype: "float64", generator });
  }

  forward(xs) {
    return sigmoid(this.head.forward(this.rnn.forward(xs).output));
  }
}

/** Bits [T,B,2], and for each step the exclusive or of those before it (½ at the first, where there are none). */
function task() {
  const bits = Array.from(new Generator(7).bernoulli([T * B * 2], 0.5, "int32").data());
  const answers = Array.from({ length: T * B }, (_, k) => (k < B ? 0.5 : bits[2 * (k - B)] ^ bits[2 * (k - B) + 1]));
  return {
    xs: tensor(bits, { shape: [T, B, 2], dtype: "float64" }),
    ds: tensor(answers, { shape: [T, B, 1], dtype: "float64" }),
  };
}

const network = new Network();
const { xs, ds } = task();

/** The mean squared error with these weights: the same number in every process. */
export function cost(weights) {
  unflatten(network, weights);
  return scope(() => noGrad(() => mseLoss(network.forward(xs), ds).item()));
}

/** The search, from its beginning. */
export function newSearch({ seed = 1, maxGenerations = 200 } = {}) {
  return new CMAES({
    start: flatten(new Network()),
    sigma: 1,
    population: 24,
    target: 0.02,
    maxGenerations,
    generator: new Generator(seed),
  });
}
