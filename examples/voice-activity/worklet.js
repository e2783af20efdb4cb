// Runs where sound is rendered and hands on what comes in, a quantum of 128 samples at a time.

class Listener extends AudioWorkletProcessor {
  process([[samples] = []]) {
    if (samples) this.port.postMessage(samples.slice());
    return true;
  }
}

registerProcessor("listener", Listener);
