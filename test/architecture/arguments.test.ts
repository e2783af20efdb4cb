/** Every public function and class takes what is no argument at all with an error of the library, never with one of the language. */

import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { defineOp } from "../../src/autodiff/define-op.ts";
import { apply } from "../../src/autodiff/primitive.ts";
import { tomita } from "../../src/automata/automaton.ts";
import { insertAutomaton } from "../../src/automata/insertion.ts";
import * as errors from "../../src/base/errors.ts";
import { ClockworkRNN } from "../../src/cells/index.ts";
import { fixedPoints, jacobianAt } from "../../src/dynamics/fixed-points.ts";
import { HistoryCompressor } from "../../src/hierarchies/history-compressor.ts";
import { Predictor } from "../../src/hierarchies/index.ts";
import { exportWeights, importWeights } from "../../src/interop/layouts.ts";
import { crbp, eprop, rbp, rflo, rtrl, truncatedLstm } from "../../src/learning/index.ts";
import { SequenceBatchNorm } from "../../src/nn/batch-norm.ts";
import { Dropout, VariationalDropout } from "../../src/nn/dropout-layers.ts";
import * as initializers from "../../src/nn/init.ts";
import { Bilinear, Embedding, LayerNorm, Linear } from "../../src/nn/layers.ts";
import { Parameter } from "../../src/nn/module.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { ReduceLROnPlateau, warmUp } from "../../src/optim/schedules.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { imageGrid } from "../../src/plot/images.ts";
import { Cell, type Recurrence } from "../../src/recurrence/recurrence.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { stateTensors } from "../../src/recurrence/state.ts";
import { NEAT } from "../../src/search/neat.ts";
import { Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { fit } from "../../src/train/fit.ts";
import { online } from "../../src/train/online.ts";
import { forestOf } from "../../src/trees/structure.ts";
import { LearnedInitialState, Reversed } from "../../src/wrappers/index.ts";
import { every } from "../recurrence/every.ts";
import { thrown } from "../thrown.ts";

const WRONG: readonly unknown[] = [null, undefined, 3, "x", {}, []];
const KNOWN = Object.values(errors);

/** The subpaths, by the files that they are made of. */
const entries = [...readdirSync("src").filter((folder) => existsSync(`src/${folder}/index.ts`)), "node", "web", "inference"].map((name) =>
  existsSync(`src/${name}.ts`) ? `../../src/${name}.ts` : `../../src/${name}/index.ts`,
);

const show = (value: unknown): string => (value === undefined ? "undefined" : JSON.stringify(value));

/** What an error of the language says, or null where the library's own came, or none. */
async function complaint(call: () => unknown): Promise<string | null> {
  try {
    const result = (await call()) as { [Symbol.asyncIterator]?: () => AsyncIterator<unknown> } | null | undefined;
    // What works only when it is iterated fails there.
    if (typeof result === "object") await result?.[Symbol.asyncIterator]?.().next();
    return null;
  } catch (error) {
    // A file that is not there is the system's to tell.
    const own = KNOWN.some((known) => error instanceof known) || (error as { syscall?: string }).syscall !== undefined;
    return own ? null : String(error);
  }
}

/** What the arguments before a wrong one may be. */
const FILLINGS: readonly (() => unknown)[] = [
  () => tensor([[1, 2]]),
  () => tensor([1, 0], { dtype: "int32" }),
  () => new RNNCell({ inputSize: 2, hiddenSize: 2, generator: new Generator(1) }),
  () => new SGD([new Parameter(tensor([1]))], { lr: 1 }),
  () => [[1, 2]],
  () => [1, 0],
  () => (x: unknown) => x,
  () => 2,
  () => "no/such",
  () => new Map(),
];

/** Complaints about null in the second argument and later ones, whatever the first ones are. */
async function complaintsAboutNull(name: string, make: (args: unknown[]) => unknown): Promise<string[]> {
  const found: string[] = [];
  for (const position of [1, 2, 3]) {
    for (const filling of FILLINGS) {
      const said = await complaint(() => make([...Array.from({ length: position }, filling), null]));
      if (said !== null) found.push(`${name}, argument ${position} after ${filling}: ${said}`);
    }
  }
  return found;
}

async function complaintsAbout(name: string, value: (...args: unknown[]) => unknown): Promise<string[]> {
  const isClass = /^class\b/.test(Function.prototype.toString.call(value));
  const found = await complaintsAboutNull(name, (args) => (isClass ? Reflect.construct(value, args) : value(...args)));
  for (const wrong of WRONG) {
    const call = () => (isClass ? Reflect.construct(value, [wrong]) : value(wrong));
    const said = await complaint(call);
    if (said !== null) found.push(`${isClass ? "new " : ""}${name}(${show(wrong)}): ${said}`);
  }
  return found;
}

describe.each(entries)("%s", (file) => {
  it("refuses null, undefined, 3, a text, {} and [], and null after other arguments, in its own words", async () => {
    const all = (await import(/* @vite-ignore */ file)) as Record<string, unknown>;
    const found: string[] = [];
    for (const [name, value] of Object.entries(all)) {
      if (typeof value === "function") found.push(...(await complaintsAbout(name, value as never)));
    }
    expect(found).toEqual([]);
  });
});

describe("arguments after the first, and what callbacks give", () => {
  const any = (value: unknown): never => value as never;
  const weight = () => tensor([[1, 2]]);
  const optimizer = () => new SGD([new Parameter(weight())], { lr: 0.1 });
  const compressor = () => {
    const cell = new RNNCell({ inputSize: 3, hiddenSize: 2, generator: new Generator(1) });
    return new HistoryCompressor({ symbols: 3, gapBits: 4, levels: [any(new Predictor(cell, { outputSize: 3 }))] });
  };
  const start = { starts: [[1]] };
  /** A function, to be called with whatever. */
  const call = (fn: unknown) => fn as (...args: unknown[]) => unknown;
  const lstm = new LSTM({ inputSize: 2, hiddenSize: 2, generator: new Generator(1) });
  const sequence = () => tensor([[[1, 2]], [[3, 4]]]);
  const rnn = () => new RNNCell({ inputSize: 2, hiddenSize: 2, generator: new Generator(1) });
  const fitting = (options: object) => fit(new Linear(2, 1), [{}], { optimizer: optimizer(), loss: () => tensor(0), ...options });
  const learning = (loss: unknown) => {
    const model = rnn();
    return online(model, { optimizer: new SGD(model.parameters(), { lr: 0.1 }), gradients: rtrl(), loss: any(loss) }).step(any({}));
  };
  const late = defineOp({ name: "late", forward: ([x]) => any(x), vjp: any(async (g: unknown) => g), jvp: (t) => t });
  const neat = (inputs: number) => new NEAT({ inputs, outputs: 1, population: 3, generator: new Generator(1) });

  it.each<[string, () => unknown, string, string]>([
    ["a layout of no recurrent module", () => exportWeights(any(new Linear(2, 3)), any(undefined)), "DTypeError", "exportWeights: expected an RNN, GRU or LSTM or a cell of one, got Linear"],
    ["a layout for no recurrent module", () => importWeights(any(new Linear(2, 3)), "torch", new Map()), "DTypeError", "importWeights: expected an RNN"],
    ["a layout of nothing", () => exportWeights(any(null), "torch"), "DTypeError", "exportWeights: expected a recurrent module"],
    ["Linear", () => new Linear(2, 3, any(null)), "DTypeError", "Linear: expected options"],
    ["Bilinear", () => new Bilinear(2, 3, 4, any(null)), "DTypeError", "Bilinear: expected options"],
    ["Embedding", () => new Embedding(2, 3, any(null)), "DTypeError", "Embedding: expected options"],
    ["LayerNorm", () => new LayerNorm(2, any(null)), "DTypeError", "LayerNorm: expected options"],
    ["Dropout", () => new Dropout(0.5, any(null)), "DTypeError", "Dropout: expected options"],
    ["VariationalDropout", () => new VariationalDropout(0.5, any(null)), "DTypeError", "VariationalDropout: expected options"],
    ["SequenceBatchNorm", () => new SequenceBatchNorm(2, any(null)), "DTypeError", "SequenceBatchNorm: expected options"],
    ["insertAutomaton", () => insertAutomaton(tomita(1), any(null)), "DTypeError", "insertAutomaton: expected options"],
    ["a strength", () => insertAutomaton(tomita(1), { strength: Number.POSITIVE_INFINITY }), "ArgumentError", "insertAutomaton: expected strength"],
    ["warmUp", () => warmUp(2, any(null)), "DTypeError", "warmUp: expected the next schedule to be a function"],
    ["ReduceLROnPlateau", () => new ReduceLROnPlateau(optimizer(), any(null)), "DTypeError", "ReduceLROnPlateau: expected options"],
    ["no optimizer", () => new ReduceLROnPlateau(any({})), "DTypeError", "ReduceLROnPlateau: expected the optimizer's groups"],
    ["reconstruct", () => compressor().reconstruct(any(null)), "DTypeError", "reconstruct: expected options"],
    ["lengths", () => compressor().reconstruct(any({ lengths: 3, unexpected: [] })), "DTypeError", "reconstruct: expected lengths"],
    ["unexpected items", () => compressor().reconstruct(any({ lengths: [1], unexpected: [null] })), "DTypeError", "reconstruct: expected unexpected items"],
    ["an asynchronous flow", () => fixedPoints(any(async (y: unknown) => y), start), "StateError", "fixedPoints: expected a synchronous function, got a promise"],
    ["an asynchronous map", () => fixedPoints(any(async (y: unknown) => y), { ...start, kind: "map" }), "StateError", "fixedPoints: expected a synchronous"],
    ["an asynchronous function", () => jacobianAt(any(async (y: unknown) => y), [1]), "StateError", "jacobianAt: expected a synchronous"],
    ["a flow of numbers", () => fixedPoints(any(() => 1), start), "DTypeError", "fixedPoints: expected a tensor"],
    ["a start", () => fixedPoints((y) => y, { starts: any([null]) }), "DTypeError", "fixedPoints: expected a start"],
    ["a forest of texts", () => forestOf(any(["a"])), "DTypeError", "forestOf: expected a tree that is no symbol to be an array"],
    ["a text as a forest", () => forestOf(any("a")), "DTypeError", "forestOf: expected trees to be an array"],
    ["forestOf", () => forestOf([1], any(null)), "DTypeError", "forestOf: expected options"],
    ["no value", () => initializers.constant(weight(), any(undefined)), "DTypeError", "constant: expected numbers"],
    ["no columns", () => imageGrid([[1]], { width: 1, columns: 0 }), "ArgumentError", "imageGrid: expected columns to be a whole number of at least 1, got 0"],
    ["no width", () => imageGrid([[1]], { width: 0 }), "ArgumentError", "imageGrid: expected width"],
    ["no early stopping", () => fitting({ earlyStopping: null }), "DTypeError", "fit: earlyStopping: expected options as an object, got null"],
    ["no signal", () => fitting({ signal: 1 }), "DTypeError", "fit: expected a signal"],
    ["no Q", () => crbp({ Q: [] }), "ArgumentError", "crbp: expected a Q for each layer but the first, got none"],
    ["options of rtrl", () => call(rtrl)({ x: 1 }), "ArgumentError", 'rtrl: expected no more arguments, got {"x":1}'],
    ["a number for rtrl", () => call(rtrl)(3), "ArgumentError", "rtrl: expected no more arguments, got 3"],
    ["options of eprop", () => call(eprop)({ x: 1 }), "ArgumentError", "eprop: expected no more arguments"],
    ["options of rflo", () => call(rflo)({ x: 1 }), "ArgumentError", "rflo: expected no more arguments"],
    ["options of rbp", () => call(rbp)({ x: 1 }), "ArgumentError", "rbp: expected no more arguments"],
    ["options of truncatedLstm", () => call(truncatedLstm)({ x: 1 }), "ArgumentError", "truncatedLstm: expected no more arguments"],
    ["a state beside forward's options", () => call(lstm.forward.bind(lstm))(sequence(), undefined, { lengths: [1] }), "ArgumentError", 'forward: expected no more arguments, got {"lengths":[1]}'],
    ["no periods", () => new ClockworkRNN(any({ inputSize: 2, hiddenSize: 2 })), "DTypeError", "ClockworkRNN: expected periods to be an array of whole numbers, got undefined"],
    ["a loss that is a generator", () => learning(function* () { yield 1; }), "ArgumentError", "got a Generator"],
    ["a loss that runs no recurrence", () => learning(() => sum(weight())), "ArgumentError", "online: expected loss to run a step of the model's recurrences"],
    ["no options of LearnedInitialState's scan", () => new LearnedInitialState(rnn()).scan(sequence(), undefined, any(null)), "DTypeError", "scan: expected options"],
    ["no options of Reversed's scan", () => new Reversed(rnn()).scan(sequence(), undefined, any(null)), "DTypeError", "scan: expected options"],
    ["a rule that gives a promise", () => backward(sum(apply(late, [new Parameter(weight())], undefined))), "StateError", "a rule of late: expected a synchronous function, got a promise"],
    ["a saved search of other options", () => neat(3).restore(neat(2).toBytes()), "FormatError", "restore: expected the state of a search with inputs 3, got one with inputs 2"],
    ["no scale", () => imageGrid([[1]], { width: 1, scale: Number.NaN }), "ArgumentError", "imageGrid: expected scale"],
  ])("%s", (_, attempt, name, message) => {
    const error = thrown(attempt) as Error;
    expect(error).toMatchObject({ name });
    expect(error.message).toContain(message);
  }); // biome-ignore format: a table

  it("nothing is written where a value is refused", () => {
    const t = weight();
    thrown(() => initializers.constant(t, any(undefined)));
    expect(t.toArray()).toEqual([[1, 2]]);
  });
});

describe("every recurrence", () => {
  it.each(Object.keys(every))("%s takes null as no state, and refuses other states, lengths and options that are none", async (name) => {
    const cell = every[name]?.({ generator: new Generator(1) }) as Recurrence;
    const xs = new Generator(2).normal([3, 2, cell.inputSize]);
    const scan = (state: unknown, options: unknown) => () => cell.eval().scan(xs, state as never, options as never);
    expect(cell.scan(xs, null as never)[1]).toBeDefined();
    expect(thrown(scan(undefined, null))).toMatchObject({ code: "ERR_DTYPE" });
    expect(thrown(scan(undefined, { lengths: null }))).toMatchObject({ code: "ERR_DTYPE" });
    const hasState = stateTensors(cell.initialState(1)).length > 0;
    for (const wrong of hasState ? [3, "h", {}, []] : []) {
      expect(["ERR_SHAPE", "ERR_DTYPE"]).toContain((thrown(scan(wrong, {})) as { code?: string } | null)?.code);
    }
  });

  it.each(Object.keys(every))("%s refuses the same in its other methods", async (name) => {
    const cell = every[name]?.({ generator: new Generator(1) }) as Recurrence & Record<"plan" | "whyEager" | "forward", unknown>;
    const state = cell.initialState(2);
    const x = new Generator(2).normal([2, cell.inputSize]);
    const call = (method: unknown, ...args: unknown[]) => typeof method === "function" && method.apply(cell, args);
    const found: string[] = [];
    for (const wrong of WRONG) {
      const calls = {
        scan: () => cell.scan(wrong as never),
        step: () => cell.step(wrong as never, state),
        "step from a state": () => cell.step(x, wrong as never),
        initialState: () => cell.initialState(wrong as never),
        plan: () => call(cell.plan, wrong),
        whyEager: () => call(cell.whyEager, wrong),
        forward: () => call(cell.forward, wrong),
      };
      for (const [method, attempt] of Object.entries(calls)) {
        const said = await complaint(attempt);
        if (said !== null) found.push(`${method}(${show(wrong)}): ${said}`);
      }
    }
    expect(found).toEqual([]);
  });

  it.each(Object.keys(every).filter((name) => every[name]?.({ generator: new Generator(1) }) instanceof Cell))(
    "%s names the input or the state that its step refuses",
    (name) => {
      const cell = every[name]?.({ generator: new Generator(1) }) as Recurrence;
      const [x, state] = [new Generator(2).normal([2, cell.inputSize]), cell.initialState(2)];
      // A few have no use for one of the two, or take a number for it.
      const said = (a: unknown, b: unknown) => (thrown(() => cell.step(a as never, b as never)) as Error | null)?.message ?? null;
      expect(said(new Generator(2).normal([2, cell.inputSize + 1]), state) ?? "step: expected x").toMatch(/^step: expected x/);
      expect(["step: expected a tensor, got undefined", null]).toContain(said(undefined, state));
      for (const wrong of stateTensors(state).length > 0 ? [null, undefined, 3, "h"] : []) {
        expect(said(x, wrong) ?? "state: expected state").toMatch(/^(state: expected (a tensor as )?state|step: expected a tensor)/);
      }
    },
  );

  it("an error of a step whose arguments are right is its own", () => {
    class Failing extends Cell<readonly []> {
      readonly inputSize = 1;
      readonly outputSize = 1;
      initialState(): readonly [] {
        return [];
      }
      step(): [never, readonly []] {
        throw new TypeError("mine");
      }
    }
    expect(() => new Failing().step(...([tensor([[1]]), []] as unknown as []))).toThrow("mine");
  });
});
