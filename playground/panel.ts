/** A panel of the page: its worker, its buttons, what it keeps. */

import { button, element } from "./dom.ts";
import { forget, keep, kept } from "./store.ts";
import type { Built, View } from "./view.ts";
import type { Answer, Ask, Keeping } from "./work.ts";

/** Milliseconds after which a running panel is kept again. */
const KEPT_EVERY = 4000;

export class Panel {
  readonly section: HTMLElement;
  readonly #name: string;
  readonly #worker: Worker;
  readonly #built: Built<never>;
  readonly #start: HTMLButtonElement;
  readonly #status = element("output", { "aria-live": "polite" });
  readonly #failed = element("p", { class: "failed", role: "alert" });
  #running = false;
  #keptAt = performance.now();

  constructor(name: string, view: View<never>) {
    this.#name = name;
    this.#worker = new Worker("worker.js", { type: "module", name });
    this.#worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#hear(data);
    this.#worker.onerror = ({ message }) => this.#fail(message || "The worker could not start.");
    this.#start = button("Start", () => this.#toggle(), { class: "start" });
    const place = element("div", {});
    const load = element("input", { type: "file", "aria-label": `Load ${view.title}`, change: () => this.#load(load) });
    this.section = element(
      "section",
      { id: name, "aria-labelledby": `${name}-title` },
      element("h2", { id: `${name}-title` }, view.title),
      element("p", {}, view.about),
      element(
        "div",
        { class: "bar" },
        this.#start,
        button("Reset", () => this.#reset()),
        button("Save", () => this.#save("file")),
        element("label", { class: "file" }, "Load", load),
        this.#status,
      ),
      this.#failed,
      place,
    );
    this.#built = view.build(place, (use, value) => this.#ask({ type: "input", name: use, value }));
  }

  /** Opens what was kept. */
  async open(): Promise<void> {
    this.#ask({ type: "open", saved: await kept(this.#name) });
  }

  /** Keeps a running panel now, since the page may go. */
  leave(): void {
    if (this.#running) this.#save("browser");
  }

  #ask(ask: Ask): void {
    this.#failed.textContent = "";
    this.#worker.postMessage(ask);
  }

  #toggle(): void {
    if (this.#running) {
      this.#ask({ type: "stop" });
      this.#save("browser");
      return;
    }
    const use = this.#built.start?.() ?? null;
    this.#ask(use === null ? { type: "run" } : { type: "input", name: use[0], value: use[1] });
  }

  async #reset(): Promise<void> {
    await forget(this.#name);
    this.#ask({ type: "open" });
  }

  #save(to: Keeping): void {
    this.#worker.postMessage({ type: "save", to } satisfies Ask);
  }

  async #load(input: HTMLInputElement): Promise<void> {
    const file = input.files?.[0];
    if (file === undefined) return;
    this.#ask({ type: "open", saved: new Uint8Array(await file.arrayBuffer()) });
    input.value = "";
    this.#save("browser");
  }

  #hear(answer: Answer): void {
    if (answer.type === "failed") this.#fail(answer.message);
    else if (answer.type === "saved") void this.#take(answer);
    else this.#show(answer);
  }

  #show(answer: Extract<Answer, { type: "shown" }>): void {
    this.#running = answer.running;
    this.#start.textContent = answer.running ? "Stop" : "Start";
    this.#status.textContent = this.#built.draw(answer.shown as never);
    if (answer.running && performance.now() - this.#keptAt > KEPT_EVERY) this.#save("browser");
  }

  #fail(message: string): void {
    this.#running = false;
    this.#start.textContent = "Start";
    this.#failed.textContent = message;
  }

  async #take({ bytes, to }: Extract<Answer, { type: "saved" }>): Promise<void> {
    this.#keptAt = performance.now();
    await keep(this.#name, bytes);
    if (to === "browser") return;
    const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>]));
    element("a", { href: url, download: `tapeloop-${this.#name}.safetensors` }).click();
    URL.revokeObjectURL(url);
  }
}
