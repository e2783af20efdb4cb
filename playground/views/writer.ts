import { element } from "../dom.ts";
import { drawing, paintCurve, paintHeat } from "../draw.ts";
import { GATES, type GateName, type WriterShown } from "../panels/writer.ts";
import type { View } from "../view.ts";

/** A row for each of 24 units, a column for each of the last characters. */
const CAPTIONS: Readonly<Record<GateName, string>> = {
  h: "Hidden states of 24 units",
  f: "Their forget gates: orange keeps, blue forgets",
  i: "Their input gates",
  o: "Their output gates",
};

export const writer: View<WriterShown> = {
  title: "A network that learns to write",
  about:
    "Paste a text. An LSTM of 96 units reads it again and again, learns which character follows, and writes. After a minute it knows words; after some, phrases.",
  build(place) {
    const text = element("textarea", { "aria-label": "Text to learn from", spellcheck: "false" });
    const sample = element("pre", { "aria-label": "What the network writes" });
    const curve = drawing("Loss, bits per character", 320, 140);
    const gates = GATES.map((name) => ({ name, picture: drawing(CAPTIONS[name], 300, 144) }));
    const figures = [curve, ...gates.map(({ picture }) => picture)].map(({ figure }) => figure);
    place.append(text, sample, element("div", { class: "pictures" }, ...figures));
    /** What the network learns from. */
    let learned = "";
    void fetch("text.txt")
      .then((response) => (response.ok ? response.text() : ""))
      .then((found) => {
        if (text.value === "") text.value = found;
      });
    return {
      draw({ text: its, step, bits, sample: written, gates: rows, characters }) {
        // A network that was kept or loaded brings its text along.
        if (its !== learned && its !== "") text.value = its;
        learned = its;
        sample.textContent = written;
        const last = bits.points.at(-1);
        curve.draw(last === undefined ? "nothing yet" : `${last.toFixed(2)} after ${step} steps`, (...at) =>
          paintCurve(...at, bits.points),
        );
        for (const { name, picture } of gates) {
          const range = name === "h" ? ([-1, 1] as const) : ([0, 1] as const);
          picture.draw(`while it wrote “${characters.trim()}”`, (...at) => paintHeat(...at, rows[name], range));
        }
        return last === undefined ? "" : `step ${step}, ${last.toFixed(2)} bits per character`;
      },
      start() {
        if (learned === text.value || text.value === "") return null;
        return ["text", text.value];
      },
    };
  },
};
