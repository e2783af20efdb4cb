/** The program of a thread, whatever its host calls a worker. */

/** What a thread is started with. */
export interface Enlistment {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Where its static memory lies, counted from the first thread's. */
  readonly region: number;
  readonly index: number;
  readonly count: number;
  /** Looks at a word before the thread goes to sleep. */
  readonly patience: number;
}

/** What a thread says: that it is there, that it leaves, or why it cannot go on. */
export type Report = "ready" | "left" | { readonly failed: string };

/** The kernels as a thread sees them. */
export interface ThreadExports {
  readonly memory: WebAssembly.Memory;
  run(id: number, args: number): void;
  heapBase(): number;
  readonly interfaceId: { readonly value: number };
  /** Returns the address of the words that threads share. */
  enlist(index: number, count: number, patience: number, waking: number): number;
  serve(): void;
}

/** The shared words that JavaScript writes, in bytes from the first: see assembly/threads.ts. */
export const WORD = { calls: 0, kernel: 4, done: 64, meetings: 192, failed: 320 } as const;
/** In the place of a kernel: threads leave. */
export const LEAVE = -1;

/** Takes part in kernel calls until it is told to leave. */
export async function serve({ module, memory, region, index, count, patience }: Enlistment, say: (report: Report) => void): Promise<void> {
  const all = new Int32Array(memory.buffer);
  let words = 0;
  try {
    const pause = (address: number, value: number): void => void Atomics.wait(all, address >>> 2, value);
    const { exports } = await WebAssembly.instantiate(module, { env: { memory, region, pause } });
    const kernels = exports as unknown as ThreadExports;
    words = kernels.enlist(index, count, patience, 0);
    say("ready");
    kernels.serve();
    say("left");
  } catch (error) {
    if (words !== 0) Atomics.store(all, (words + WORD.failed) / 4, 1);
    say({ failed: error instanceof Error ? error.message : String(error) });
  }
}
