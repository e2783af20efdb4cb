// Finds speech in a WAV file and draws it: node main.ts SOUND.wav [PICTURE.svg]. MODEL names the model file.

import { readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { probabilitiesOf, RATE, VoiceModel } from "./detector.ts";
import { modelPath } from "./files.ts";
import { draw } from "./picture.ts";
import { type Segment, segmentsOf } from "./segments.ts";
import { readWav } from "./wav.ts";

const [file, picture] = process.argv.slice(2);
if (file === undefined) {
  console.error("Usage: node main.ts SOUND.wav [PICTURE.svg]");
  process.exit(2);
}
const model = new VoiceModel(await readFile(process.env.MODEL ?? modelPath("v5")));
const { rate, samples } = readWav(await readFile(file));
if (rate !== RATE) throw new RangeError(`${file}: expected ${RATE} samples a second, got ${rate} (sox IN.wav -r ${RATE} OUT.wav)`);
const probabilities = probabilitiesOf(model, samples);
const segments = segmentsOf(probabilities, samples.length, { frame: model.frame });
for (const { start, end } of segments) console.log(`${(start / RATE).toFixed(2)} s to ${(end / RATE).toFixed(2)} s`);
if (picture !== undefined) {
  // Where speech really is, for the sound of this example.
  const phrases = await readFile(join(dirname(file), "phrases.json"), "utf8").catch(() => "[]");
  const truth: Segment[] = JSON.parse(phrases);
  await writeFile(picture, draw({ samples, rate, segments, probabilities, frame: model.frame, truth }));
}
