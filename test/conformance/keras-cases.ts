/** Values of Keras: every case of keras/cases.json in a conformance folder, through `kerasModel`, as it is described there. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { backward } from "../../src/autodiff/backward.ts";
import { noGrad } from "../../src/autodiff/tape.ts";
import { KerasCell } from "../../src/interop/keras-cells.ts";
import {
  KerasDense,
  KerasEmbedding,
  type KerasLayer,
  type KerasModel,
  type KerasRecurrent,
  KerasSequence,
} from "../../src/interop/keras-layers.ts";
import { kerasModel } from "../../src/interop/keras-model.ts";
import { exportWeights, type RecurrentModule } from "../../src/interop/layouts.ts";
import { mseLoss } from "../../src/nn/losses.ts";
import { slice, transpose } from "../../src/ops/shape.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { scope, type Tensor, tensor } from "../../src/tensor/tensor.ts";
import type { Check } from "./runner.ts";

type Nested = number | readonly Nested[];

interface Described {
  readonly layer: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights?: Readonly<Record<string, Nested>>;
}

interface Call {
  readonly input: Nested;
  readonly outputs: readonly Nested[];
  readonly reset_states?: boolean;
  readonly initial_state?: readonly Nested[];
}

interface KerasCase extends Partial<Call> {
  readonly name: string;
  readonly layers: readonly Described[];
  readonly tolerance: number;
  readonly calls?: readonly Call[];
  readonly train?: { readonly lr: number; readonly epochs: number; readonly batch_size: number; readonly x: Nested; readonly y: Nested };
  readonly losses?: readonly (number | null)[];
  /** Of each layer its arrays, in Keras's order. */
  readonly weights_after?: readonly (readonly Nested[])[];
}

const f64 = (values: Nested): Tensor => tensor(values as number[], { dtype: "float64" });

function modelOf({ layers }: KerasCase): KerasModel {
  return kerasModel(
    layers.map(({ layer, config, weights = {} }) => ({
      class_name: layer,
      config,
      weights: Object.fromEntries(Object.entries(weights).map(([name, values]) => [name, f64(values)])),
    })),
  );
}

/** What an input is to the first layer: indices or numbers. */
function inputOf(model: KerasModel, values: Nested): Tensor {
  const [first] = model.layers.values();
  return first instanceof KerasEmbedding ? tensor(values as number[], { dtype: "int32" }) : f64(values);
}

/** Outputs of the model; after those of the last recurrent layer its states, if that is what its settings ask for. */
function outputsOf(model: KerasModel, { layers }: KerasCase, { input, initial_state: initial }: Call): Tensor[] {
  let x = inputOf(model, input);
  let mask: Tensor | null = null;
  let states: readonly Tensor[] = [];
  for (const [i, layer] of [...model.layers.values()].entries()) {
    const after: Tensor | null = layer.maskAfter(x, mask);
    if (layer instanceof KerasSequence) {
      const { output, state } = layer.run(x, { mask, ...(initial && { state: initial.map(f64) }) });
      if (layers[i]?.config.return_state === true) states = state;
      x = output;
    } else x = layer.forward(x, mask);
    mask = after;
  }
  return [x, ...states];
}

function problem(actual: Tensor, expected: Nested, tolerance: number): string | null {
  const e = f64(expected);
  const [a, b] = [actual.data(), e.data()];
  if (a.length !== b.length) return `shape ${actual.shape} for ${e.shape}`;
  const scale = Math.max(1, ...b.map(Math.abs));
  const worst = Math.max(...Array.from(a, (v, i) => Math.abs(v - (b[i] as number)))) / scale;
  return !(worst <= tolerance) ? `error ${worst}` : null;
}

/** Plain gradient descent, batches in order. @returns the mean loss of each epoch */
function train(model: KerasModel, { lr, epochs, batch_size: size, x, y }: NonNullable<KerasCase["train"]>): number[] {
  const optimizer = new SGD(model.parameters(), { lr });
  const [inputs, targets] = [inputOf(model, x), f64(y)];
  const batches = Math.ceil(inputs.dim(0) / size);
  return Array.from({ length: epochs }, () => {
    let total = 0;
    for (let i = 0; i < batches; i++) {
      const part = (t: Tensor): Tensor => slice(t, 0, i * size, Math.min(t.dim(0), (i + 1) * size));
      const loss = mseLoss(model.forward(part(inputs)), part(targets));
      backward(loss);
      optimizer.step();
      model.zeroGrad();
      total += loss.item();
    }
    return total / batches;
  });
}

/** A layer's weights in Keras's layout. */
function weightsOf(layer: KerasLayer): ReadonlyMap<string, Tensor> {
  if (layer instanceof KerasDense) return new Map([["kernel", transpose(layer.linear.weight)]]);
  const { cell } = layer as KerasRecurrent;
  if (!(cell instanceof KerasCell)) return exportWeights(cell as unknown as RecurrentModule, "keras");
  return new Map([
    ["kernel", cell.kernel],
    ["recurrent_kernel", cell.recurrentKernel],
  ]);
}

/** What is wrong with values, each with what it is called. */
function wrong(found: readonly Tensor[], expected: readonly Nested[], tolerance: number, called: string): string[] {
  if (found.length !== expected.length) return [`${called}: expected ${expected.length} values, got ${found.length}`];
  return expected.flatMap((e, i) => {
    const told = problem(found[i] as Tensor, e, tolerance);
    return told === null ? [] : [`${called} ${i}: ${told}`];
  });
}

/** Outputs of one call or of several after each other. */
function callProblems(c: KerasCase, calls: readonly Call[]): string[] {
  const model = modelOf(c);
  return calls.flatMap((call, n) => {
    if (call.reset_states) model.resetStates();
    return wrong(outputsOf(model, c, call), call.outputs, c.tolerance, `call ${n}, output`);
  });
}

/** Losses of training, and the weights after it. */
function trainingProblems(c: KerasCase, training: NonNullable<KerasCase["train"]>): string[] {
  const model = modelOf(c);
  const losses = train(model, training);
  const known = (c.losses ?? []).flatMap((e, i) => (e === null ? [] : [[losses[i] as number, e] as const]));
  const layers = [...model.layers.values()];
  return [
    ...known.flatMap(([loss, e], i) => wrong([tensor([loss], { dtype: "float64" })], [[e]], c.tolerance, `loss ${i}`)),
    ...(c.weights_after ?? []).flatMap((weights, i) =>
      wrong([...weightsOf(layers[i] as KerasLayer).values()].slice(0, weights.length), weights, c.tolerance, `layer ${i}, array`),
    ),
  ];
}

function problemsOf(c: KerasCase): string[] {
  if (c.train !== undefined) return trainingProblems(c, c.train);
  const calls = c.calls ?? (c.outputs === undefined ? [] : [c as Call]);
  return calls.length > 0 ? noGrad(() => callProblems(c, calls)) : ["expected outputs, calls or training, got none"];
}

function check(name: string, run: () => string[]): Check {
  const caught = (): string[] => {
    try {
      return scope(run);
    } catch (error) {
      return [error instanceof Error ? `${error.name}: ${error.message}` : String(error)];
    }
  };
  return { group: "keras", name, precision: "f64", run: caught };
}

/** Every case of a conformance folder. */
export function kerasChecks(folder: string): Check[] {
  const file = join(folder, "keras/cases.json");
  if (!existsSync(file)) return [check("", () => ["expected keras/cases.json, got none"])];
  const cases = JSON.parse(readFileSync(file, "utf8")) as KerasCase[];
  return cases.length > 0 ? cases.map((c) => check(c.name, () => problemsOf(c))) : [check("", () => ["expected cases, got none"])];
}
