import { element } from "../dom.ts";
import { drawing, paintCurve, paintHeat } from "../draw.ts";
import type { WriterShown } from "../panels/writer.ts";
import type { View } from "../view.ts";

export const writer: View<WriterShown> = {
  title: "A network that learns to write",
  about:
    "Paste a text. An LSTM of 96 units reads it again and again, learns which character follows, and writes. After a minute it knows words; after some, phrases.",
  build(place) {
    const text = element("textarea", { "aria-label": "Text to learn from", spellcheck: "false" });
    const sample = element("pre", { "aria-label": "What the network writes" });
    const curve = drawing("Loss, bits per character", 320, 140);
    const states = drawing("Hidden states of 24 units while it writes", 480, 192);
    place.append(text, element("div", { class: "pictures" }, sample, curve.figure, states.figure));
    /** What the network learns from. */
    let learned = "";
    void fetch("text.txt")
      .then((response) => (response.ok ? response.text() : ""))
      .then((found) => {
        if (text.value === "") text.value = found;
      });
    return {
      draw({ text: its, step, bits, sample: written, states: rows, characters }) {
        // A network that was kept or loaded brings its text along.
        if (its !== learned && its !== "") text.value = its;
        learned = its;
        sample.textContent = written;
        const last = bits.points.at(-1);
        curve.draw(last === undefined ? "nothing yet" : `${last.toFixed(2)} after ${step} steps`, (...at) =>
          paintCurve(...at, bits.points),
        );
        states.draw(`while it wrote “${characters.trim()}”`, (...at) => paintHeat(...at, rows, [-1, 1]));
        return last === undefined ? "" : `step ${step}, ${last.toFixed(2)} bits per character`;
      },
      start() {
        if (learned === text.value || text.value === "") return null;
        return ["text", text.value];
      },
    };
  },
};
