// The smallest LSTM inference with jax-js, step by step: it has no LSTM and no scan.

import { defaultDevice, init, nn, numpy as np } from "@jax-js/jax";

await init("wasm");
defaultDevice("wasm");
const [T, H] = [10, 64];
const [weightIh, weightHh] = [np.zeros([H, 4 * H]), np.zeros([H, 4 * H])];
let [h, c] = [np.zeros([1, H]), np.zeros([1, H])];
for (let t = 0; t < T; t++) {
  const sums = np.matmul(np.zeros([1, H]), weightIh.ref).add(np.matmul(h, weightHh.ref));
  const [i, f, g, o] = np.split(sums, 4, 1);
  c = nn
    .sigmoid(f)
    .mul(c)
    .add(nn.sigmoid(i).mul(np.tanh(g)));
  h = nn.sigmoid(o).mul(np.tanh(c.ref));
}
if (h.dataSync().length !== H) throw new Error(`expected ${H} outputs`);
console.log(performance.now());
