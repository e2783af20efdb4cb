// What is done again and again without a scope, with a turn of the event loop in between: node requests.mjs LIBRARY KIND TIMES LIMIT_MIB

const [library, kind, times, limit] = process.argv.slice(2);
const {
  Adam,
  backward,
  Generator,
  Linear,
  LSTM,
  memory,
  noGrad,
  parseSafetensors,
  serializeSafetensors,
  setMemoryLimit,
  Stream,
  sum,
  zeros,
} = await import(library);

setMemoryLimit(Number(limit) * 2 ** 20);
const generator = new Generator(1);
const lstm = new LSTM({ inputSize: 8, hiddenSize: 16, generator });
const head = new Linear(16, 64, { generator });
const large = new LSTM({ inputSize: 64, hiddenSize: 128, generator });
const bytes = serializeSafetensors(large.stateDict());
const optimizer = new Adam(large.parameters());
const train = () => {
  backward(sum(large.forward(zeros([4, 4, 64])).output));
  optimizer.step();
  optimizer.zeroGrad();
};
train();

const kinds = {
  inference: () => noGrad(() => head.forward(lstm.forward(zeros([16, 4, 8])).output).data()),
  training: train,
  models: () => new LSTM({ inputSize: 64, hiddenSize: 128 }).loadStateDict(parseSafetensors(bytes).tensors),
  streams: () => new Stream(large).step(new Float32Array(64)),
  optimizers: () => new Adam(large.parameters()).loadStateDict(optimizer.stateDict()),
};

const done = { kind, times: 0, error: null };
try {
  for (; done.times < Number(times); done.times++) {
    kinds[kind]();
    await new Promise((resolve) => setImmediate(resolve));
  }
} catch (error) {
  done.error = error.message;
}
console.log(JSON.stringify({ ...done, ...memory() }));
