// The smallest LSTM inference with ONNX Runtime; the model's bytes count as weights and are not shipped with it.

import { lstmModel } from "../onnx.mjs";

export async function infer({ InferenceSession, Tensor }) {
  const [T, B, I, H] = [10, 1, 64, 64];
  const zeros = (...shape) => new Float32Array(shape.reduce((a, b) => a * b, 1));
  const model = lstmModel({ T, B, I, H, W: zeros(4 * H, I), R: zeros(4 * H, H), bias: zeros(8 * H) });
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const state = () => new Tensor("float32", zeros(H), [1, B, H]);
  const { Y } = await session.run({ X: new Tensor("float32", zeros(T, I), [T, B, I]), h: state(), c: state() });
  if (Y.data.length !== T * H) throw new Error(`expected 640 outputs, got ${Y.data.length}`);
  console.log(performance.now());
}
