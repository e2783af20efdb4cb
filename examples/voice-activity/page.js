/** In a browser: an AudioWorklet hands over quanta of 128 samples, and the page listens to them. */

import { RATE, VoiceDetector, VoiceModel } from "./detector.ts";
import { Segmenter } from "./segments.ts";
import { readWav } from "./wav.ts";

const fetched = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

/** A graph's sound, quantum by quantum; ends after so many samples. */
async function* quantaOf(context, source, samples) {
  await context.audioWorklet.addModule("worklet.js");
  const listener = new AudioWorkletNode(context, "listener");
  const waiting = [];
  let wake = () => undefined;
  listener.port.onmessage = ({ data }) => {
    waiting.push(data);
    wake();
  };
  source.connect(listener).connect(context.destination);
  if (context instanceof OfflineAudioContext) context.startRendering();
  for (let left = samples; left > 0; ) {
    if (waiting.length === 0) {
      await new Promise((resolve) => {
        wake = resolve;
      });
    }
    for (const quantum of waiting.splice(0)) {
      yield quantum.subarray(0, left);
      left -= quantum.length;
    }
  }
}

/** Renders a WAV file through a worklet and listens. @returns { probabilities, segments, quanta }, the number of those that came */
export async function listenTo(modelUrl, wavUrl) {
  const model = new VoiceModel(await fetched(modelUrl));
  const { samples } = readWav(await fetched(wavUrl));
  const context = new OfflineAudioContext(1, samples.length, RATE);
  const source = new AudioBufferSourceNode(context, { buffer: new AudioBuffer({ length: samples.length, sampleRate: RATE }) });
  source.buffer.copyToChannel(samples, 0);
  source.start();
  const [detector, segmenter] = [new VoiceDetector(model), new Segmenter({ frame: model.frame })];
  const [probabilities, segments] = [[], []];
  const take = (found) => {
    probabilities.push(...found);
    segments.push(...found.flatMap((p) => segmenter.push(p)));
  };
  let quanta = 0;
  for await (const quantum of quantaOf(context, source, samples.length)) {
    quanta++;
    take(detector.push(quantum));
  }
  take(detector.end());
  return { probabilities, segments: [...segments, ...segmenter.end(detector.heard)], quanta };
}

/** Listens to the microphone, and says of each frame how likely speech is. */
export async function listen(modelUrl, say) {
  const model = new VoiceModel(await fetched(modelUrl));
  const context = new AudioContext({ sampleRate: RATE });
  const source = new MediaStreamAudioSourceNode(context, { mediaStream: await navigator.mediaDevices.getUserMedia({ audio: true }) });
  const detector = new VoiceDetector(model);
  for await (const quantum of quantaOf(context, source, Number.POSITIVE_INFINITY)) for (const p of detector.push(quantum)) say(p);
}
