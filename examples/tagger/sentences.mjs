// Writes sentences.txt: sentences of a small grammar whose words have one part of speech or another, by what stands before or after them.

import { writeFileSync } from "node:fs";
import { Generator } from "tapeloop";

const random = new Generator(1);
const pick = (list) => list[random.integers([], 0, list.length).item()];
const chance = (p) => random.uniform([]).item() < p;

const WORDS = {
  DET: ["the", "a", "this", "her", "that"],
  ADJ: ["old", "light", "green", "young", "kind", "cold", "square"],
  NOUN: ["man", "light", "green", "boats", "fish", "watch", "paint", "saw", "cold", "kind", "square", "young", "dog", "house", "plant"],
  VERB: ["saw", "watch", "paint", "fish", "man", "square", "house", "plant", "dog", "sees", "finds"],
  PRON: ["her", "him", "that", "this", "they"],
  ADV: ["now", "often", "here", "fast"],
};
const word = (tag) => `${pick(WORDS[tag])}/${tag}`;
const nounPhrase = () => [word("DET"), ...(chance(0.5) ? [word("ADJ")] : []), ...(chance(0.2) ? [word("ADJ")] : []), word("NOUN")];
const subjectOrObject = () => (chance(0.3) ? [word("PRON")] : nounPhrase());
const sentence = () => [
  ...subjectOrObject(),
  word("VERB"),
  ...(chance(0.8) ? subjectOrObject() : []),
  ...(chance(0.4) ? [word("ADV")] : []),
];

const lines = Array.from({ length: 2000 }, () => sentence().join(" "));
writeFileSync(new URL("sentences.txt", import.meta.url), `${lines.join("\n")}\n`);
