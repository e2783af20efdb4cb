import { button, choice, element } from "../dom.ts";
import { drawing, paintInk } from "../draw.ts";
import { type MemoryShown, SIDE } from "../panels/memory.ts";
import type { View } from "../view.ts";

/** Part of the points that Damage turns. */
const DAMAGE = 0.25;

const rowsOf = (picture: readonly number[]): number[][] =>
  Array.from({ length: SIDE }, (_, row) => picture.slice(row * SIDE, (row + 1) * SIDE).map((v) => (v + 1) / 2));

/** Points that are drawn with a mouse, a finger, or the keys: arrows move, space turns. */
function points(turned: (picture: readonly number[]) => void): { grid: HTMLElement; show(picture: readonly number[]): void } {
  let picture: number[] = [];
  /** What a stroke draws: the opposite of where it began. */
  let ink: number | null = null;
  const set = (i: number, value: number): void => {
    if (picture[i] === value) return;
    picture[i] = value;
    cells[i]?.setAttribute("aria-pressed", String(value === 1));
    turned(picture);
  };
  const move = (i: number, by: number): void => {
    const to = i + by;
    if (to < 0 || to >= cells.length) return;
    cells[i]?.setAttribute("tabindex", "-1");
    cells[to]?.setAttribute("tabindex", "0");
    cells[to]?.focus();
  };
  const steps: Readonly<Record<string, number>> = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -SIDE, ArrowDown: SIDE };
  const cells = Array.from({ length: SIDE * SIDE }, (_, i) => {
    const label = `row ${Math.floor(i / SIDE) + 1}, column ${(i % SIDE) + 1}`;
    return button("", () => undefined, {
      "aria-label": label,
      "aria-pressed": "false",
      tabindex: i === 0 ? "0" : "-1",
      "data-point": i,
      keydown: (event) => {
        const { key } = event as KeyboardEvent;
        const by = steps[key];
        if (by === undefined && key !== " " && key !== "Enter") return;
        event.preventDefault();
        if (by === undefined) set(i, -(picture[i] as number));
        else move(i, by);
      },
    });
  });
  const grid = element("div", {
    class: "points",
    role: "group",
    "aria-label": "Picture to draw",
    pointerdown: (event) => {
      const at = Number((event.target as HTMLElement).dataset.point ?? -1);
      if (at < 0) return;
      event.preventDefault();
      ink = -(picture[at] as number);
      set(at, ink);
    },
    pointermove: (event) => {
      const { clientX, clientY, buttons } = event as PointerEvent;
      if (buttons === 0) ink = null;
      const over = document.elementFromPoint(clientX, clientY);
      if (ink !== null && over instanceof HTMLElement && over.dataset.point !== undefined && grid.contains(over))
        set(Number(over.dataset.point), ink);
    },
  });
  grid.style.gridTemplateColumns = `repeat(${SIDE}, auto)`;
  grid.append(...cells);
  return {
    grid,
    show(shown) {
      picture = [...shown];
      for (const [i, cell] of cells.entries()) cell.setAttribute("aria-pressed", String(shown[i] === 1));
    },
  };
}

export const memory: View<MemoryShown> = {
  title: "A memory that restores pictures",
  about:
    "A Hopfield network knows the pictures on the right. Draw a part of one, or damage it, and press Start: the network changes one point after the other until nothing wants to change.",
  build(place, use) {
    let shown: readonly number[] = [];
    let known: readonly (readonly number[])[] = [];
    const { grid, show } = points((picture) => use("picture", [...picture]));
    const gallery = element("div", { class: "pictures", "aria-label": "Pictures that are known" });
    const rule = choice("Rule of storage", ["hebb", "storkey", "pseudo-inverse"], (name) => use("rule", name));
    const damage = (): void =>
      use(
        "picture",
        shown.map((v) => (Math.random() < DAMAGE ? -v : v)),
      );
    place.append(
      element(
        "div",
        { class: "controls" },
        button("Damage", damage),
        button("Clear", () =>
          use(
            "picture",
            shown.map(() => -1),
          ),
        ),
        button("Remember this", () => use("store")),
        button("Forget all", () => use("forget")),
        rule,
      ),
      element("div", { class: "pictures" }, grid, gallery),
    );
    return {
      draw({ picture, stored, rule: name, energy, sweeps, found }) {
        shown = picture;
        show(picture);
        rule.value = name;
        if (JSON.stringify(stored) !== JSON.stringify(known)) {
          known = stored;
          gallery.replaceChildren(
            ...stored.map((one, i) => {
              const figure = drawing(`Picture ${i + 1}`, 80, 80);
              figure.draw("known", (...at) => paintInk(...at, rowsOf(one)));
              const take = button(`Take ${i + 1}`, () => use("picture", [...one]));
              return element("div", {}, figure.figure, take);
            }),
          );
        }
        const what = found >= 0 ? `picture ${found + 1}` : "none of the known pictures";
        return `energy ${energy.toFixed(2)}, ${sweeps > 0 ? `sweep ${sweeps}: ` : ""}${what}`;
      },
      start: () => ["recall", null],
    };
  },
};
