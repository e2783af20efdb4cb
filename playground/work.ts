/** What a page and the workers behind its panels say to each other. */

/** What a panel computes, in a worker of its own. */
export interface Work<Shown> {
  /** Works for some tens of milliseconds. @returns whether there is more to do */
  advance(): boolean | Promise<boolean>;
  /** What the page draws. */
  shown(): Shown;
  /** A control of the panel was used. @returns whether work begins with it. @throws Error that tells the visitor what is wrong */
  input(name: string, value: unknown): boolean;
  /** Everything that is needed to go on later. */
  save(): Uint8Array<ArrayBuffer>;
}

/** Makes a panel's work: new, or from what it saved. @throws Error for bytes that it cannot have saved */
export type Open<Shown = unknown> = (saved?: Uint8Array) => Work<Shown>;

/** Where saved bytes go. */
export type Keeping = "browser" | "file";

/** What the page asks. */
export type Ask =
  | { readonly type: "open"; readonly saved?: Uint8Array | undefined }
  | { readonly type: "run" }
  | { readonly type: "stop" }
  | { readonly type: "save"; readonly to: Keeping }
  | { readonly type: "input"; readonly name: string; readonly value: unknown };

/** What a worker answers. */
export type Answer =
  | { readonly type: "shown"; readonly running: boolean; readonly shown: unknown }
  | { readonly type: "saved"; readonly to: Keeping; readonly bytes: Uint8Array }
  | { readonly type: "failed"; readonly message: string };

/** How long a piece of work takes, in milliseconds: the page draws after each, and its questions are answered between two. */
export const SLICE = 40;

/** Lets messages in. */
const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

/** Does what the page asks, for one panel. */
export class Runner {
  readonly #open: Open;
  readonly #say: (answer: Answer) => void;
  #work: Work<unknown> | null = null;
  #running = false;
  /** The loop that works, until it has ended. */
  #loop: Promise<void> | null = null;

  constructor(open: Open, say: (answer: Answer) => void) {
    this.#open = open;
    this.#say = say;
  }

  tell(ask: Ask): void {
    try {
      this.#obey(ask);
    } catch (error) {
      this.#fail(error);
    }
  }

  #obey(ask: Ask): void {
    if (ask.type === "open") {
      this.#running = false;
      this.#work = this.#open(ask.saved);
      this.#show();
      return;
    }
    const work = this.#work;
    if (work === null) return;
    if (ask.type === "run") this.#run();
    else if (ask.type === "stop") this.#stop();
    else if (ask.type === "save") this.#say({ type: "saved", to: ask.to, bytes: work.save() });
    else if (work.input(ask.name, ask.value)) this.#run();
    else this.#show();
  }

  #run(): void {
    this.#running = true;
    this.#loop ??= this.#works().finally(() => {
      this.#loop = null;
      // It was asked to go on while it ended.
      if (this.#running) this.#run();
    });
  }

  #stop(): void {
    this.#running = false;
    this.#show();
  }

  async #works(): Promise<void> {
    while (this.#running) {
      const work = this.#work as Work<unknown>;
      try {
        const more = await work.advance();
        // What was opened meanwhile begins by itself.
        if (work !== this.#work) return;
        this.#running &&= more;
        this.#show();
      } catch (error) {
        this.#running = false;
        this.#fail(error);
      }
      await pause();
    }
  }

  #show(): void {
    this.#say({ type: "shown", running: this.#running, shown: this.#work?.shown() });
  }

  #fail(error: unknown): void {
    this.#say({ type: "failed", message: error instanceof Error ? error.message : String(error) });
  }
}
