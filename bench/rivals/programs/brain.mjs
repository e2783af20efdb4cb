// The smallest LSTM inference with brain.js, which has to train once before it runs.

import brain from "brain.js";

const net = new brain.recurrent.LSTMTimeStep({ inputSize: 64, hiddenLayers: [64], outputSize: 64 });
const steps = Array.from({ length: 10 }, () => new Array(64).fill(0));
net.train([steps.slice(0, 3)], { iterations: 1, errorThresh: 0, log: false });
if (net.run(steps).length !== 64) throw new Error("expected 64 outputs");
console.log(performance.now());
