// jax-js on its WebAssembly backend. It has no scan over steps, so sequences are unrolled inside `jit`. Arrays are counted
// references: an argument is consumed, `.ref` keeps it.

import { createRequire } from "node:module";
import { defaultDevice, init, jit, nn, numpy as np, valueAndGrad } from "@jax-js/jax";
import { headWeights, recurrentWeights, SEEDS, uniform, whole } from "../inputs.mjs";
import { VOCABULARY } from "../workloads.mjs";
import { lastStep } from "./layouts.mjs";

const LEARNING_RATE = 1e-3;
const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

const array = (values, shape) => np.array(values, { shape });
const random = (shape, seed) =>
  array(
    uniform(
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
    shape,
  );
const zeros = (...shape) => np.zeros(shape);

/** x·Wᵀ; W stays. */
const times = (x, w) => np.matmul(x, w.ref.transpose());

function weightsOf(gates, I, H) {
  const { weightIh, weightHh, bias } = recurrentWeights(gates, I, H);
  return [array(weightIh, [gates * H, I]), array(weightHh, [gates * H, H]), array(bias, [gates * H])];
}

/** One step from the inputs' part; consumes it and the state, keeps the weights. */
const cells = {
  LSTM(gx, [h, c], weightHh) {
    const [i, f, g, o] = np.split(gx.add(times(h, weightHh)), 4, 1);
    const next = nn
      .sigmoid(f)
      .mul(c)
      .add(nn.sigmoid(i).mul(np.tanh(g)));
    return [nn.sigmoid(o).mul(np.tanh(next.ref)), next];
  },
  GRU(gx, [h], weightHh) {
    const [xr, xz, xn] = np.split(gx, 3, 1);
    const [hr, hz, hn] = np.split(times(h.ref, weightHh), 3, 1);
    const r = nn.sigmoid(xr.add(hr));
    const z = nn.sigmoid(xz.add(hz));
    const n = np.tanh(xn.add(r.mul(hn)));
    return [n.ref.add(z.mul(h.sub(n)))];
  },
  Elman(gx, [h], weightHh) {
    return [np.tanh(gx.add(times(h, weightHh)))];
  },
};

/** A sequence unrolled: xs [T·B, I] to ys [T·B, H]. Consumes xs and the state, keeps the weights. */
function unrolled(cell, T, xs, state, [weightIh, weightHh, bias]) {
  const parts = np.split(times(xs, weightIh).add(bias.ref), T, 0);
  const ys = [];
  let carried = state;
  for (const gx of parts) {
    carried = cells[cell](gx, carried, weightHh);
    ys.push(carried[0].ref);
  }
  for (const s of carried) s.dispose();
  return np.concatenate(ys, 0);
}

const keep = (list) => list.map((x) => x.ref);

function gemm({ n }) {
  const product = jit((a, b) => np.matmul(a, b));
  const [a, b] = [random([n, n], SEEDS.a), random([n, n], SEEDS.b)];
  const run = () => product(a.ref, b.ref).dataSync();
  return { run: () => void run(), result: run };
}

function sequence({ T, B, H }) {
  const weights = weightsOf(4, H, H);
  const xs = random([T * B, H], SEEDS.x);
  const forward = jit((x, w) => {
    const ys = unrolled("LSTM", T, x, [zeros(B, H), zeros(B, H)], w);
    for (const p of w) p.dispose();
    return ys;
  });
  const run = () => forward(xs.ref, keep(weights)).dataSync();
  return { run: () => void run(), result: () => lastStep(run(), B, H) };
}

function stream({ H }) {
  const weights = weightsOf(4, H, H);
  const x = random([1, H], SEEDS.x);
  const step = jit((input, state, [weightIh, weightHh, bias]) => {
    const next = cells.LSTM(times(input, weightIh).add(bias), state, weightHh);
    weightIh.dispose();
    weightHh.dispose();
    return next;
  });
  let state = [zeros(1, H), zeros(1, H)];
  const run = () => {
    state = step(x.ref, state, keep(weights));
    return state[0].ref.dataSync();
  };
  const result = () => {
    for (let i = 0; i < 9; i++) run();
    return run();
  };
  return { run: () => void run(), result };
}

/** Adam on a list of parameters, compiled together with the loss and its gradient. */
function trainer(parameters, loss) {
  const gradient = valueAndGrad(loss);
  const compiled = jit((p, m, v, rate, correction) => {
    const [value, g] = gradient(keep(p));
    const m1 = m.map((x, i) => x.mul(BETA1).add(g[i].ref.mul(1 - BETA1)));
    const v1 = v.map((x, i) => x.mul(BETA2).add(g[i].ref.mul(g[i]).mul(1 - BETA2)));
    const p1 = p.map((x, i) => x.sub(m1[i].ref.mul(rate.ref).div(np.sqrt(v1[i].ref.mul(correction.ref)).add(EPSILON))));
    rate.dispose();
    correction.dispose();
    return [value, p1, m1, v1];
  });
  let state = [parameters, parameters.map((p) => zeros(...p.shape)), parameters.map((p) => zeros(...p.shape))];
  let t = 0;
  const step = () => {
    t++;
    const [value, ...next] = compiled(...state, np.array(LEARNING_RATE / (1 - BETA1 ** t)), np.array(1 / (1 - BETA2 ** t)));
    state = next;
    return value.dataSync()[0];
  };
  return { run: () => void step(), result: () => [step(), step(), step()] };
}

function characters({ cell, T, B, H }) {
  const oneHot = (seed) => nn.oneHot(np.array(whole(T * B, seed, VOCABULARY), { dtype: np.int32 }), VOCABULARY);
  const [inputs, targets] = [oneHot(SEEDS.ids), oneHot(SEEDS.targets)];
  const head = headWeights(H, VOCABULARY);
  const parameters = [
    ...weightsOf(cell === "LSTM" ? 4 : 3, VOCABULARY, H),
    array(head.weight, [VOCABULARY, H]),
    array(head.bias, [VOCABULARY]),
  ];
  return trainer(parameters, (p) => {
    const state = cell === "LSTM" ? [zeros(B, H), zeros(B, H)] : [zeros(B, H)];
    const ys = unrolled(cell, T, inputs.ref, state, p);
    const logits = times(ys, p[3]).add(p[4].ref);
    for (const x of p) x.dispose();
    return nn
      .logSoftmax(logits, 1)
      .mul(targets.ref)
      .sum()
      .mul(-1 / (T * B));
  });
}

function elman({ T, I, H }) {
  const [xs, targets] = [random([T, I], SEEDS.x), random([T, 1], SEEDS.targets)];
  const head = headWeights(H, 1);
  return trainer([...weightsOf(1, I, H), array(head.weight, [1, H]), array(head.bias, [1])], (p) => {
    const ys = unrolled("Elman", T, xs.ref, [zeros(1, H)], p);
    const apart = times(ys, p[3]).add(p[4].ref).sub(targets.ref);
    for (const x of p) x.dispose();
    return apart.ref.mul(apart).mean();
  });
}

export async function open() {
  await init("wasm");
  defaultDevice("wasm");
  const { version } = createRequire(import.meta.url)("./node_modules/@jax-js/jax/package.json");
  return { version, kinds: { gemm, sequence, stream, characters, elman } };
}
