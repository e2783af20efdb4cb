import { button, choice, element } from "../dom.ts";
import { colour, drawing, paintPaths } from "../draw.ts";
import type { AttractorShown } from "../panels/attractor.ts";
import type { View } from "../view.ts";

/** The first and the last number of a sample; of a series with one, its values and those before. */
function plane(points: readonly (readonly number[])[]): { xs: number[]; ys: number[] } {
  if ((points[0]?.length ?? 1) > 1) return { xs: points.map((p) => p[0] as number), ys: points.map((p) => p.at(-1) as number) };
  const later = points.slice(17);
  return { xs: later.map((_, t) => points[t]?.[0] as number), ys: later.map((p) => p[0] as number) };
}

export const attractor: View<AttractorShown> = {
  title: "A network that dreams chaos",
  about:
    "An echo state network of 300 units hears 2,000 samples of a chaotic system, fits its readout once, and goes on by itself. Chaos parts any two courses in the end; the shape stays.",
  build(place, use) {
    const curve = drawing("The system (orange) and the network on its own (blue)", 560, 160);
    const shape = drawing("The attractor", 280, 240);
    const system = choice("System", ["Lorenz", "Mackey-Glass"], (name) => use("system", name));
    place.append(
      element(
        "div",
        { class: "controls" },
        system,
        button("Another course", () => use("again")),
      ),
      element("div", { class: "pictures" }, curve.figure, shape.figure),
    );
    return {
      draw({ system: name, steps, predicted, actual, together }) {
        system.value = name;
        const word = together === null ? "together so far" : `parted after ${together.toFixed(1)} Lyapunov times`;
        const line = (points: AttractorShown["actual"], stroke: string) => ({
          xs: points.map((_, t) => t),
          ys: points.map((p) => p[0] as number),
          colour: stroke,
        });
        curve.draw(word, (...at) => paintPaths(...at, [line(actual, colour("other")), line(predicted, colour("accent"))]));
        shape.draw(`drawn by the network in ${steps} steps`, (...at) =>
          paintPaths(...at, [
            { ...plane(actual), colour: colour("other") },
            { ...plane(predicted), colour: colour("accent") },
          ]),
        );
        return steps === 0 ? "" : `${steps} steps, ${word}`;
      },
    };
  },
};
