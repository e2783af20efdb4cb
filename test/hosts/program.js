// What every host runs, on nothing but the published package: inference, training, saving and loading, and the runs whose bits are compared.

// biome-ignore-all lint/suspicious/noFocusedTests: fit trains a model
import {
  Adam,
  crossEntropy,
  Embedding,
  fit,
  Generator,
  Linear,
  LSTM,
  Module,
  noGrad,
  parseSafetensors,
  reshape,
  scope,
  serializeSafetensors,
  softmax,
  tensor,
  Vocabulary,
  WindowBatches,
} from "tapeloop";
import { loadQuantized, quantize, serializeQuantized } from "tapeloop/quantized";

const TEXT =
  "the tide comes in and the tide goes out; what the sea brings in the morning the sea takes back at night. " +
  "a boat that waits for the tide waits for the moon, and the moon waits for no one. ";

const vocabulary = Vocabulary.fromText(TEXT);
const ids = vocabulary.encode(TEXT.repeat(4));

/** Characters → embedding → two layers of LSTM with dropout between them → logits. */
class CharModel extends Module {
  constructor(hidden, options) {
    super();
    this.embedding = new Embedding(vocabulary.size, 12, options);
    this.lstm = new LSTM({ inputSize: 12, hiddenSize: hidden, numLayers: 2, dropout: 0.2, ...options });
    this.head = new Linear(hidden, vocabulary.size, options);
  }

  /** ids [T,B] → logits [T·B,V] and the next state */
  forward(inputs, state) {
    const [ys, next] = this.lstm.scan(this.embedding.forward(inputs), state);
    return [this.head.forward(reshape(ys, [inputs.size, this.lstm.hiddenSize])), next];
  }
}

function check(name, holds, detail) {
  if (!holds) throw new Error(`${name}: ${detail}`);
}

const same = (a, b) => a.length === b.length && a.every((v, i) => Object.is(v, b[i]));

/** SHA-256 of typed arrays and text, in hexadecimal. */
async function digest(...parts) {
  const bytes = parts.flatMap((p) => [...(typeof p === "string" ? new TextEncoder().encode(p) : new Uint8Array(p.buffer))]);
  const hash = await crypto.subtle.digest("SHA-256", new Uint8Array(bytes));
  return Array.from(new Uint8Array(hash), (b) => b.toString(16).padStart(2, "0")).join("");
}

/** The outputs of an LSTM for a fixed sequence, which must be the same bits at once and step by step. */
function infer() {
  const generator = new Generator(7);
  const lstm = new LSTM({ inputSize: 5, hiddenSize: 8, numLayers: 2, generator }).eval();
  return noGrad(() =>
    scope(() => {
      const xs = generator.normal([9, 3, 5]);
      const whole = lstm.scan(xs)[0].data();
      const values = xs.data();
      const steps = [];
      let state = lstm.initialState(3);
      for (let t = 0; t < 9; t++) {
        const [y, next] = lstm.step(tensor(values.subarray(15 * t, 15 * (t + 1)), { shape: [3, 5] }), state);
        steps.push(...y.data());
        state = next;
      }
      check("infer", same([...whole], steps), "expected steps with the bits of the whole sequence");
      return whole;
    }),
  );
}

/** The digest of what the character model with int8 weights says of the text, also after a way through a file. */
export async function int8Run() {
  const made = (seed) => new CharModel(24, { generator: new Generator(seed) });
  const [model, loaded] = [made(9), made(10)];
  quantize(model);
  const file = serializeQuantized(model);
  loadQuantized(loaded, file);
  const read = (m) => noGrad(() => scope(() => m.forward(tensor(ids.subarray(0, 60), { shape: [20, 3] }))[0].data()));
  const logits = read(model);
  check("int8", same(logits, read(loaded)), "expected the loaded model to say what the saved one says");
  return digest(file, logits);
}

/** A training that a seed and a size determine to the last bit. */
function training({ dtype, hidden, seed, maxSteps, lr = 5e-3, resume }) {
  const generator = new Generator(seed);
  const model = new CharModel(hidden, { dtype, generator });
  const steps = fit(model, new WindowBatches(ids, { batch: 4, window: 12 }), {
    optimizer: new Adam(model.parameters(), { lr }),
    loss: (m, { inputs, targets }, state) => {
      const [logits, next] = m.forward(inputs, state);
      return [crossEntropy(logits, reshape(targets, [targets.size])), next];
    },
    maxSteps,
    clipNorm: 1,
    generator,
    resume,
  });
  return { model, steps };
}

async function lossesOf(steps) {
  const losses = [];
  for await (const { loss } of steps) losses.push(loss);
  return losses;
}

function weightsOf(model) {
  return Array.from(model.stateDict().values(), (t) => t.data());
}

/** 200 steps, once in one go and once through a checkpoint in the middle; then the model through a file. */
async function trainSaveLoad() {
  const run = { dtype: "float32", hidden: 16, seed: 1, lr: 2e-2 };
  const whole = training({ ...run, maxSteps: 200 });
  const losses = await lossesOf(whole.steps);
  check("train", losses[199] < 0.7 * losses[0], `expected the loss to fall, got ${losses[0]} … ${losses[199]}`);

  const half = training({ ...run, maxSteps: 100 });
  await lossesOf(half.steps);
  const rest = training({ ...run, seed: 2, maxSteps: 200, resume: half.steps.checkpoint() });
  check("resume", same(await lossesOf(rest.steps), losses.slice(100)), "expected the losses of the uninterrupted run");

  const { tensors } = parseSafetensors(serializeSafetensors(whole.model.stateDict()));
  const loaded = training({ ...run, seed: 3, maxSteps: 0 }).model;
  loaded.loadStateDict(tensors);
  check(
    "load",
    generate(loaded.eval(), 40) === generate(whole.model.eval(), 40),
    "expected the loaded model to write what the saved one writes",
  );
  return losses;
}

/** Text drawn from the model, character by character. */
function generate(model, length) {
  const generator = new Generator(11);
  let state = model.lstm.initialState(1);
  let id = vocabulary.idOf("t");
  let text = "";
  for (let i = 0; i < length; i++) {
    const [logits, next] = noGrad(() => scope(() => model.forward(tensor([[id]], { dtype: "int32" }), state)));
    id = draw(
      scope(() => softmax(logits, -1).data()),
      generator.uniform([1]).item(),
    );
    text += vocabulary.symbolOf(id);
    state = next;
  }
  return text;
}

/** The id at share u of the probabilities. */
function draw(probabilities, u) {
  let id = 0;
  for (let left = u - probabilities[0]; left >= 0 && id < probabilities.length - 1; left -= probabilities[id]) id++;
  return id;
}

/** A training run reduced to what can be compared. */
export async function fixedRun(dtype, maxSteps) {
  const { model, steps } = training({ dtype, hidden: 24, seed: 2026, maxSteps });
  const losses = await lossesOf(steps);
  const weights = weightsOf(model.eval());
  const text = generate(model, 120);
  return { hash: await digest(...weights, new Float64Array(losses), text), losses, weights: weights.map((w) => [...w]), text };
}

/** The beginning of the fixed runs, short enough for the ordinary test suite. */
export async function shortRuns() {
  const hashOf = async (dtype) => (await fixedRun(dtype, 50)).hash;
  return { float32: await hashOf("float32"), float64: await hashOf("float64") };
}

/** The digest of what is inferred: enough to see that kernels are there. */
export async function inference() {
  return { infer: await digest(infer()) };
}

/** Everything, as plain data. */
export async function exercise() {
  const inferred = (await inference()).infer;
  const trained = await digest(new Float64Array(await trainSaveLoad()));
  const [float32, float64] = [await fixedRun("float32", 1000), await fixedRun("float64", 1000)];
  return { infer: inferred, int8: await int8Run(), train: trained, short: await shortRuns(), float32, float64 };
}
