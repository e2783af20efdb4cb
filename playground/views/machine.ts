import { element } from "../dom.ts";
import { drawing, paintCurve, paintInk } from "../draw.ts";
import type { MachineShown } from "../panels/machine.ts";
import type { View } from "../view.ts";

export const machine: View<MachineShown> = {
  title: "A Turing machine that learns to copy",
  about:
    "A neural Turing machine sees words of up to six items and has to say them again. It learns to write them down row by row, to go back, and to read. The word below has ten items, more than any it learned.",
  build(place) {
    const curve = drawing("Loss, bits a bit", 320, 120);
    const input = drawing("Goes in", 320, 60);
    const target = drawing("Should come out", 160, 48);
    const output = drawing("Comes out", 160, 48);
    const writing = drawing("Where the write head stands: rows of the memory by steps", 320, 200);
    const reading = drawing("Where the read head stands", 320, 200);
    const figures = [curve, input, target, output, writing, reading].map(({ figure }) => figure);
    place.append(element("div", { class: "pictures" }, ...figures));
    return {
      draw(shown) {
        const last = shown.loss.points.at(-1);
        curve.draw(last === undefined ? "nothing yet" : last.toFixed(3), (...at) => paintCurve(...at, shown.loss.points, 3));
        input.draw("the word, then the mark", (...at) => paintInk(...at, shown.input));
        target.draw("the word", (...at) => paintInk(...at, shown.target));
        output.draw(`${shown.wrong.toFixed(1)} of 40 bits are wrong in the mean`, (...at) => paintInk(...at, shown.output));
        writing.draw("a row for each word of the memory", (...at) => paintInk(...at, shown.writing));
        reading.draw("a row for each word of the memory", (...at) => paintInk(...at, shown.reading));
        return last === undefined ? "" : `step ${shown.step}, loss ${last.toFixed(3)}, ${shown.wrong.toFixed(1)} of 40 bits wrong`;
      },
    };
  },
};
