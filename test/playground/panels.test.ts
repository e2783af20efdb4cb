/** The panels behind the page, each asked as its page asks it, until it shows the right answer. */

import { describe, expect, it } from "vitest";
import type { AttractorShown } from "../../playground/panels/attractor.ts";
import { PANELS, type PanelName } from "../../playground/panels/index.ts";
import type { MachineShown } from "../../playground/panels/machine.ts";
import { type MemoryShown, SIDE } from "../../playground/panels/memory.ts";
import type { PoleShown } from "../../playground/panels/pole.ts";
import type { WriterShown } from "../../playground/panels/writer.ts";
import { type Answer, type Ask, type Open, Runner } from "../../playground/work.ts";

/** A panel's runner, and what it said last. */
class Asked<Shown> {
  readonly #runner: Runner;
  #answers: Answer[] = [];
  #wake: () => void = () => undefined;

  constructor(panel: PanelName, saved?: Uint8Array) {
    this.#runner = new Runner(PANELS[panel] as Open, (answer) => {
      this.#answers.push(answer);
      this.#wake();
    });
    this.#runner.tell({ type: "open", saved });
  }

  tell(ask: Ask): this {
    this.#answers = [];
    this.#runner.tell(ask);
    return this;
  }

  /** What is shown as soon as it is so. */
  async until(so: (shown: Shown, running: boolean) => boolean): Promise<Shown> {
    for (;;) {
      for (const answer of this.#answers.splice(0)) {
        if (answer.type === "failed") throw new Error(answer.message);
        if (answer.type === "shown" && so(answer.shown as Shown, answer.running)) return answer.shown as Shown;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  save(): Uint8Array {
    this.tell({ type: "save", to: "file" });
    const answer = this.#answers.find((one) => one.type === "saved");
    if (answer?.type !== "saved") throw new Error("expected saved bytes");
    return answer.bytes;
  }

  failure(): string | undefined {
    return this.#answers.flatMap((answer) => (answer.type === "failed" ? [answer.message] : []))[0];
  }
}

const text = "the cat sat on the mat and the dog sat on the log. ".repeat(12);

describe("the writer", () => {
  it("learns a text, writes it, stops, and goes on from what it saved", async () => {
    const panel = new Asked<WriterShown>("writer");
    panel.tell({ type: "input", name: "text", value: text });
    const learned = await panel.until(({ bits }) => (bits.points.at(-1) ?? 9) < 0.6);
    const written = await panel.until(({ sample }) => /the (cat|dog) sat on the (mat|log)/.test(sample));
    for (const [name, rows] of Object.entries(written.gates)) {
      expect(rows).toHaveLength(24);
      expect(rows.flat().every((v) => v > (name === "h" ? -1 : 0) && v < 1)).toBe(true);
    }
    expect(written.sample).toContain(written.characters);
    const stopped = await panel.tell({ type: "stop" }).until((_, running) => !running);
    expect(stopped.step).toBeGreaterThanOrEqual(learned.step);
    const again = await new Asked<WriterShown>("writer", panel.save()).until(() => true);
    expect(again.text).toBe(text);
    expect(again.step).toBe(stopped.step);
    expect(again.bits).toEqual(stopped.bits);
  });

  it("asks for a text, and for one that is long enough", async () => {
    const panel = new Asked<WriterShown>("writer");
    panel.tell({ type: "run" });
    await expect(panel.until(() => false)).rejects.toThrow("Paste a text first.");
    expect(panel.tell({ type: "input", name: "text", value: "short" }).failure()).toBe("Paste at least 257 characters; there are 5.");
  });
});

describe("the attractor", () => {
  it.each(["Lorenz", "Mackey-Glass"] as const)("%s: stays with the system for a while, and on its attractor for good", async (system) => {
    const panel = new Asked<AttractorShown>("attractor");
    panel.tell({ type: "input", name: "system", value: system });
    const { predicted, actual, together, steps } = await panel.until((_, running) => !running);
    expect(steps).toBeGreaterThanOrEqual(1500);
    expect(together ?? Number.POSITIVE_INFINITY).toBeGreaterThan(2);
    const spread = (points: AttractorShown["actual"]) => {
      const xs = points.map((p) => p[0] as number);
      return Math.max(...xs) - Math.min(...xs);
    };
    expect(spread(predicted) / spread(actual)).toBeGreaterThan(0.7);
    expect(spread(predicted) / spread(actual)).toBeLessThan(1.4);
    const again = await new Asked<AttractorShown>("attractor", panel.save()).until(() => true);
    expect(again.predicted).toEqual(predicted);
  });
});

describe("the memory", () => {
  it("restores a damaged picture, learns another, and forgets all", async () => {
    const panel = new Asked<MemoryShown>("memory");
    const { stored } = await panel.until(() => true);
    const damaged = (stored[1] as readonly number[]).map((v, i) => (i % 5 === 0 ? -v : v));
    panel.tell({ type: "input", name: "picture", value: damaged }).tell({ type: "input", name: "recall", value: null });
    const found = await panel.until((_, running) => !running);
    expect(found.found).toBe(1);
    const cross = Array.from({ length: SIDE * SIDE }, (_, i) => (i % SIDE === 4 || Math.floor(i / SIDE) === 4 ? 1 : -1));
    panel.tell({ type: "input", name: "picture", value: cross }).tell({ type: "input", name: "store", value: null });
    expect((await panel.until(() => true)).stored).toHaveLength(5);
    const again = await new Asked<MemoryShown>("memory", panel.save()).until(() => true);
    expect(again.found).toBe(4);
    panel.tell({ type: "input", name: "forget", value: null });
    expect((await panel.until(() => true)).stored).toHaveLength(0);
    expect(panel.tell({ type: "input", name: "picture", value: [1, 2] }).failure()).toContain("takes no picture");
  });
});

describe("the machine", () => {
  it("lowers its loss, and shows its word and its heads", async () => {
    const panel = new Asked<MachineShown>("machine");
    const before = await panel.until(() => true);
    panel.tell({ type: "run" });
    // The picture follows every half second.
    const moved = ({ loss, output }: MachineShown) => (loss.points.at(-1) ?? 9) < 0.9 && output.join() !== before.output.join();
    const { input, target, writing } = await panel.until(moved);
    expect(input.slice(0, 4).map((row) => row.slice(0, 10))).toEqual(target);
    for (const t of writing[0]?.keys() ?? []) expect(writing.reduce((sum, row) => sum + (row[t] as number), 0)).toBeCloseTo(1, 4);
    const stopped = await panel.tell({ type: "stop" }).until((_, running) => !running);
    const again = await new Asked<MachineShown>("machine", panel.save()).until(() => true);
    expect(again.step).toBe(stopped.step);
  });
});

describe("the pole", () => {
  it.each([1, 2])("%i: is balanced for a minute by what evolved, and so again from what was saved", async (poles) => {
    const panel = new Asked<PoleShown>("pole");
    panel.tell({ type: "input", name: "poles", value: poles }).tell({ type: "run" });
    const { seconds, film } = await panel.until(({ solved }, running) => solved && !running);
    expect(seconds).toBe(60);
    expect(
      film.every(([x = 9, ...angles]) => Math.abs(x) <= 2.4 && angles.length === poles && angles.every((a) => Math.abs(a) <= 0.63)),
    ).toBe(true);
    const again = await new Asked<PoleShown>("pole", panel.save()).until(() => true);
    expect(again.film).toEqual(film);
    expect(again.solved).toBe(true);
  });
});

describe("every panel", () => {
  it.each(Object.keys(PANELS) as PanelName[])("%s refuses another panel's file and goes on", (name) => {
    const other = new Asked(name === "memory" ? "pole" : "memory").save();
    const panel = new Asked(name);
    expect(panel.tell({ type: "open", saved: other }).failure()).toBeTypeOf("string");
    expect(panel.save()).toBeInstanceOf(Uint8Array);
  });
});
