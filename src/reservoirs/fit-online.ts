/** Readouts that learn while the network runs: recursive least squares, and FORCE. */

import { noGrad } from "../autodiff/tape.ts";
import { checkMethods, checkOneOf, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { RecursiveLeastSquares } from "../numerics/recursive-least-squares.ts";
import { cast } from "../ops/cast.ts";
import { type Recurrence, startOf } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import { Stream } from "../recurrence/stream.ts";
import { scope, type Tensor, tensor } from "../tensor/tensor.ts";
import type { AnyReservoir, EchoStateNetwork, EchoStateNetworkState } from "./echo-state-network.ts";
import { refuseMissing, withNoise } from "./reservoir.ts";

export interface FitOnlineOptions<S extends State> {
  /** What the reservoir reads as its last output, in a network with feedback: the target, or its own output, as FORCE does (default "target"). */
  readonly feedback?: "target" | "output";
  /** λ of the regression at the start (default 1), and how rows are forgotten: see `RecursiveLeastSquares`. */
  readonly ridge?: number;
  readonly forgetting?: number;
  /** Steps between two updates (default 1). */
  readonly every?: number;
  /** Steps at the beginning that are run without updates (default 0). */
  readonly washout?: number;
  readonly state?: EchoStateNetworkState<S>;
}

/** How an online fit went. */
export interface OnlineFit<S extends State> {
  /** |y − target| of each step before its update, the largest of the outputs. */
  readonly errors: Float64Array;
  /** What W has moved by in each step: its length. It dies down where the fit settles. */
  readonly changes: Float64Array;
  /** The state after the last step. */
  readonly state: EchoStateNetworkState<S>;
}

/**
 * Trains the readout of an echo state network step by step, by recursive least squares on [1; x; h], from zero. Without feedback, and with
 * `feedback: "target"`, it ends where `fit` does with the same λ. With `feedback: "output"` the network runs on its own output while it learns,
 * which is FORCE: errors are kept small from the first steps on by fast updates, so that the network learns at the states that it will visit when it runs
 * freely. For that λ is that of Sussillo and Abbott's α, and reservoirs are chaotic at first (a spectral radius of 1.2 to 1.6).
 * Reservoirs with `noise` add it. One sequence; the regression and its outputs are in float64. Costs a step of the reservoir and O(F²).
 * @param xs [T,1,I] (I may be 0 in a network that runs on its feedback alone)
 * @param targets [T,1,O]
 * @returns errors, and the state: from there the network can run freely
 * @throws ShapeError for other shapes; ArgumentError for options out of range, batches, values that are not finite
 * @see Sussillo and Abbott, "Generating coherent patterns of activity from chaotic neural networks", Neuron 63, 2009, eq. 3-5; Jaeger, "Adaptive
 * nonlinear system identification with echo state networks", 2003
 * @example const { state, errors } = fitOnline(network, xs, targets, { feedback: "output" });
 */
export function fitOnline<S extends State>(
  network: EchoStateNetwork<S>,
  xs: Tensor,
  targets: Tensor,
  options: FitOnlineOptions<S> = {},
): OnlineFit<S> {
  const {
    feedback = "target",
    every = 1,
    washout = 0,
  } = optionsOf("fitOnline", options, ["feedback", "ridge", "forgetting", "every", "washout", "state"]);
  checkMethods("fitOnline", "a network", network, ["checkPair", "setReadout"]);
  checkOneOf("fitOnline", "feedback", feedback, ["target", "output"]);
  checkWhole("fitOnline", "every", every, { least: 1 });
  checkWhole("fitOnline", "washout", washout);
  network.checkPair("fitOnline", xs, targets);
  if (xs.dim(1) !== 1) throw new ArgumentError(`fitOnline: expected one sequence, got a batch of ${xs.dim(1)}`);
  refuseMissing("fitOnline", "targets", targets);
  if (washout >= xs.dim(0)) throw new ArgumentError(`fitOnline: expected a washout below the ${xs.dim(0)} steps, got ${washout}`);
  const state = startOf(network, xs, options.state);
  const [T, I, O] = [xs.dim(0), network.inputSize, network.outputSize];
  const dtype = network.readout.weight.dtype as "float32" | "float64";
  const { reservoir: pool } = network;
  const stream = withNoise(pool, () => new Stream(pool as AnyReservoir<S> as unknown as Recurrence<S>, { dtype }));
  stream.state = state.reservoir;
  const regression = new RecursiveLeastSquares(network.readout.inFeatures + 1, O, {
    ...(options.ridge !== undefined && { ridge: options.ridge }),
    ...(options.forgetting !== undefined && { forgetting: options.forgetting }),
  });
  const { of, inverse } = network.output;
  const linear = network.outputActivation === "linear";
  const numbersOf = (t: Tensor) => Float64Array.from(t.data(), Number);
  const [inputs, wanted] = [numbersOf(xs), numbersOf(targets)];
  const beforeOutput = linear ? wanted : scope(() => noGrad(() => numbersOf(inverse(cast(targets, "float64")))));
  let last: Float64Array = network.feedback ? Float64Array.from((state.y as Tensor).data(), Number) : new Float64Array(0);
  const errors = new Float64Array(T);
  const changes = new Float64Array(T);
  const learn = (t: number): void => {
    const [x, target] = [inputs.subarray(t * I, (t + 1) * I), wanted.subarray(t * O, (t + 1) * O)];
    const h = stream.step([...x, ...last]);
    const features = [1, ...(network.readInput ? x.map((v) => (Number.isNaN(v) ? 0 : v)) : []), ...Array.from(h, Number)];
    const predicted = regression.predict(features);
    const y = linear ? predicted : scope(() => noGrad(() => numbersOf(of(tensor(predicted)))));
    errors[t] = y.reduce((most, v, o) => Math.max(most, Math.abs(v - (target[o] as number))), 0);
    if (t >= washout && t % every === 0) {
      const before = regression.weight.slice();
      regression.update(features, beforeOutput.subarray(t * O, (t + 1) * O));
      changes[t] = Math.sqrt(regression.weight.reduce((sum, w, i) => sum + (w - (before[i] as number)) ** 2, 0));
    }
    if (network.feedback) last = feedback === "output" ? y : target;
  };
  withNoise(pool, () => {
    for (let t = 0; t < T; t++) learn(t);
  });
  network.setReadout(regression.weight);
  const { state: reservoir } = stream;
  const after = network.feedback ? { reservoir, y: tensor([...last], { shape: [1, O], dtype }) } : { reservoir };
  return { errors, changes, state: after };
}
