import { choice, element } from "../dom.ts";
import { colour, drawing, paintPaths } from "../draw.ts";
import type { PoleShown } from "../panels/pole.ts";
import type { View } from "../view.ts";

/** Metres that are in sight to each side, and pixels a metre. */
const [HALF, METRE] = [2.6, 100];
/** Of the poles, in metres; the short one is drawn longer than its 0.1 m. */
const LENGTHS = [1, 0.3];
/** Milliseconds of a picture of the film. */
const FRAME = 60;

function paintCart(context: CanvasRenderingContext2D, width: number, height: number, [x = 0, ...angles]: readonly number[]): void {
  const floor = height - 30;
  const cart = width / 2 + x * METRE;
  context.strokeStyle = colour("line");
  context.lineWidth = 2;
  context.strokeRect(width / 2 - 2.4 * METRE, floor + 12, 4.8 * METRE, 1);
  context.fillStyle = colour("accent");
  context.fillRect(cart - 25, floor - 8, 50, 18);
  context.strokeStyle = colour("other");
  for (const [i, theta] of angles.entries()) {
    const length = METRE * (LENGTHS[i] as number);
    context.lineWidth = 6;
    context.beginPath();
    context.moveTo(cart, floor - 8);
    context.lineTo(cart + length * Math.sin(theta), floor - 8 - length * Math.cos(theta));
    context.stroke();
  }
}

const POLES = ["one pole", "two poles"];

export const pole: View<PoleShown> = {
  title: "A balance that evolves",
  about:
    "A cart is pushed left and right so that its poles stay up. The network that pushes, two or three recurrent units, sees where they are, not how fast they move. CMA-ES evolves its weights; the film shows the best so far.",
  build(place, use) {
    const film = drawing("The best network's trial", 2 * HALF * METRE, 170);
    const course = drawing("Seconds up, by generation", 320, 140);
    const poles = choice("Poles", POLES, (name) => use("poles", POLES.indexOf(name) + 1));
    place.append(element("div", { class: "controls" }, poles));
    place.append(element("div", { class: "pictures" }, film.figure, course.figure));
    let frames: PoleShown["film"] = [];
    let began = performance.now();
    let said = "";
    setInterval(() => {
      if (frames.length === 0) return;
      const at = Math.floor((performance.now() - began) / FRAME) % frames.length;
      film.draw(said, (...place) => paintCart(...place, frames[at] as readonly number[]));
    }, FRAME);
    return {
      draw({ poles: count, generation, evaluations, seconds, solved, course: all, film: latest }) {
        if (latest.length !== frames.length) began = performance.now();
        frames = latest;
        poles.value = POLES[count - 1] as string;
        said = seconds === 0 ? "none yet" : `${seconds.toFixed(1)} seconds up`;
        const line = { xs: all.map((_, i) => i), ys: all, colour: colour("accent") };
        course.draw(said, (...at) => paintPaths(...at, all.length > 1 ? [line] : [], { y: [0, 20], format: (v) => `${v.toFixed(0)} s` }));
        if (generation === 0) return "";
        return `generation ${generation}, ${evaluations} trials, best ${seconds.toFixed(1)} s${solved ? ": it balances" : ""}`;
      },
    };
  },
};
