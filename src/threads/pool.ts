/** A pool of threads over one shared memory, and how it fails. */

import { MemoryLimitError, StateError, WorkerError } from "../base/errors.ts";
import { realHost } from "../wasm/host.ts";
import { LEAVE, type Report, type ThreadExports, WORD } from "./serve.ts";
import { cores, type Port, startWorker } from "./workers.ts";

/** Milliseconds that a worker may take to start, or to leave. */
const START_LIMIT = 30_000;
const LEAVE_LIMIT = 5_000;
/** Milliseconds of a nap between looks at whether the others are still there. */
const NAP = 10;

/** Looks at a word before a thread goes to sleep: some 50 µs; hardly any where threads share a core. */
const LOOKS = 30_000;
const FEW_LOOKS = 300;

/** @internal */
export const tuning: {
  /** Multiplications with addition for which sleeping threads are woken: about the time that waking takes. */
  waking: number;
} = { waking: 1e6 };

type Block = ReturnType<ReturnType<typeof realHost>["heap"]["allocate"]>;

/** A worker, and what has been heard of it. */
interface Helper {
  readonly port: Port;
  readonly ready: Promise<void>;
  readonly left: Promise<void>;
}

/** Settles as `promise` does, or rejects after some milliseconds. */
async function within<R>(limit: number, what: string, promise: Promise<R>): Promise<R> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new WorkerError(`useThreads: expected ${what} within ${limit} ms, got no answer`)), limit);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether this thread may sleep: the main thread of a page may not. */
function maySleep(): boolean {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 1, 0);
    return true;
  } catch {
    return false;
  }
}

/**
 * The threads beside this one. Its memory holds the same bytes at the same addresses as the host's memory once `take` has run. Blocks of
 * the heap hold what threads share and what each needs for itself.
 */
export class Pool {
  readonly count: number;
  /** Why it can be used no more; null while it can. */
  broken: WorkerError | null = null;
  readonly #module: WebAssembly.Module;
  readonly #memory: WebAssembly.Memory;
  readonly #kernels: ThreadExports;
  readonly #timeout: number;
  readonly #patience: number;
  /** Static memory of each helper. */
  readonly #blocks: readonly Block[];
  /** The words that threads share. */
  readonly #words: Int32Array;
  readonly #helpers: Helper[] = [];
  /** What the others had done when this thread last looked, when that was, and for how long it has not changed. */
  #progress = -1;
  #last = 0;
  #waited = 0;
  readonly #sleeps = maySleep();
  #closing = false;

  private constructor(count: number, module: WebAssembly.Module, timeout: number, cores: number) {
    const { heap, argsPtr } = realHost();
    this.count = count;
    this.#module = module;
    this.#timeout = timeout;
    this.#patience = count > cores ? FEW_LOOKS : LOOKS;
    this.#memory = sharedMemory(heap.end, heap.limit);
    const env = { memory: this.#memory, region: 0, pause: (address: number, value: number) => this.#pause(address, value) };
    this.#kernels = new WebAssembly.Instance(module, { env }).exports as unknown as ThreadExports;
    if (this.#kernels.heapBase() > argsPtr) throw new StateError("useThreads: expected the kernels of this version of the library");
    this.#words = new Int32Array(this.#memory.buffer, this.#kernels.enlist(0, count, this.#patience, tuning.waking), WORD.failed / 4 + 1);
    // Static memory ends where the arguments of calls begin, in every build of one version.
    this.#blocks = Array.from({ length: count - 1 }, () => heap.allocate(argsPtr));
  }

  /**
   * Starts the threads; nothing else changes.
   * @throws WorkerError if one does not start
   */
  static async start(count: number, module: WebAssembly.Module, timeout: number): Promise<Pool> {
    const pool = new Pool(count, module, timeout, await cores());
    try {
      for (let i = 1; i < count; i++) pool.#helpers.push(await pool.#startHelper(i));
      await within(START_LIMIT, `${count - 1} workers to start`, Promise.all(pool.#helpers.map((h) => h.ready)));
      if (pool.broken !== null) throw pool.broken;
    } catch (cause) {
      await pool.#end();
      throw cause instanceof WorkerError
        ? cause
        : new WorkerError(`useThreads: expected workers to start, got ${String(cause)}`, { cause });
    }
    for (const { port } of pool.#helpers) port.hold(false);
    return pool;
  }

  async #startHelper(index: number): Promise<Helper> {
    const events = new EventsOf();
    const port = await startWorker({
      report: (report) => this.#hear(report, events),
      end: (reason) => {
        events.left.resolve();
        this.#lose(reason);
        events.ready.reject(this.broken);
      },
    });
    const { ptr } = this.#blocks[index - 1] as Block;
    port.post({ module: this.#module, memory: this.#memory, region: ptr, index, count: this.count, patience: this.#patience });
    return { port, ready: events.ready.promise, left: events.left.promise };
  }

  #hear(report: Report, events: EventsOf): void {
    if (report === "ready") events.ready.resolve();
    else if (report === "left") events.left.resolve();
    else {
      this.#lose(`a worker failed: ${report.failed}`);
      events.ready.reject(this.broken);
    }
  }

  /** The host goes on with the shared memory: the bytes move to the same addresses. */
  take(): void {
    moveTo(this.#memory, (id, args) => {
      try {
        this.#kernels.run(id, args);
      } catch (cause) {
        throw this.#fail(cause);
      }
    });
  }

  /** What a call threw: the pool is of no use any more, since others may still be at that call. */
  #fail(cause: unknown): WorkerError {
    this.#lose(cause instanceof WorkerError ? cause.message : `a kernel failed: ${String(cause)}`, cause);
    return this.broken as WorkerError;
  }

  #lose(reason: string, cause?: unknown): void {
    if (this.#closing || this.broken !== null) return;
    const text = `threads: expected ${this.count} threads at work, got ${reason}; what was being computed is lost. Call await useThreads(…) to go on`;
    const error = new WorkerError(text, { cause });
    this.broken = error;
    const host = realHost();
    if (host.memory !== this.#memory) return;
    host.run = () => {
      throw error;
    };
  }

  /** What this thread does while it waits for the others: it sleeps for a moment, and gives up where nothing moves for too long. */
  #pause(address: number, value: number): void {
    if (this.#word("failed") !== 0) throw new WorkerError("a worker that failed");
    const now = performance.now();
    const progress = ((this.#word("calls") & 0xffffff) * 128 + this.#word("done")) * 2 ** 20 + (this.#word("meetings") & 0xfffff);
    // A machine that was asleep meanwhile counts as a few naps.
    this.#waited = progress === this.#progress ? this.#waited + Math.min(now - this.#last, 10 * NAP) : 0;
    if (this.#waited > this.#timeout) throw new WorkerError(`no answer of a worker within ${this.#timeout} ms`);
    this.#progress = progress;
    this.#last = now;
    if (this.#sleeps) Atomics.wait(new Int32Array(this.#memory.buffer), address / 4, value, NAP);
  }

  #word(name: keyof typeof WORD): number {
    return Atomics.load(this.#words, WORD[name] / 4);
  }

  /** Ends the threads, and waits until they are gone. The host must have another memory before it computes again, if the pool broke. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.broken !== null) return this.#end();
    this.#words[WORD.kernel / 4] = LEAVE;
    Atomics.add(this.#words, WORD.calls / 4, 1);
    Atomics.notify(this.#words, WORD.calls / 4);
    for (const { port } of this.#helpers) port.hold(true);
    await within(LEAVE_LIMIT, "workers to leave", Promise.all(this.#helpers.map((h) => h.left))).catch(() => undefined);
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#closing = true;
    await Promise.all(this.#helpers.map((h) => h.port.terminate()));
    const { heap } = realHost();
    for (const block of this.#blocks) heap.release(block);
  }

  /** Number of calls that have been shared. @internal */
  get calls(): number {
    return this.#word("calls");
  }

  /** Ends a worker without telling anybody, as a crash would. @internal */
  kill(index: number): unknown {
    return (this.#helpers[index - 1] as Helper).port.terminate();
  }
}

/** Promises that a worker's reports settle. */
class EventsOf {
  readonly ready = deferred();
  readonly left = deferred();
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

function deferred(): Deferred {
  let resolve!: () => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<void>((yes, no) => {
    [resolve, reject] = [yes, no];
  });
  // Nobody may be waiting when it fails.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

const PAGE = 65536;

/** Shared memory of so many bytes that can grow to `limit`, or as far as the host allows. */
function sharedMemory(bytes: number, limit: number): WebAssembly.Memory {
  const initial = bytes / PAGE;
  let maximum = Math.max(initial, Math.min(65536, Math.floor(limit / PAGE)));
  for (;;) {
    try {
      return new WebAssembly.Memory({ initial, maximum, shared: true });
    } catch (cause) {
      if (maximum <= 2 * initial)
        throw new MemoryLimitError(`useThreads: expected ${bytes} bytes of shared memory, got a host that refuses`, { cause });
      maximum = Math.max(initial, maximum >>> 1);
    }
  }
}

/** The host goes on with another memory and its kernels: bytes move to the same addresses, and older views show nothing. */
export function moveTo(memory: WebAssembly.Memory, run: (id: number, args: number) => void): void {
  const host = realHost();
  const old = host.memory;
  const missing = (host.heap.end - memory.buffer.byteLength) / PAGE;
  try {
    if (missing > 0) memory.grow(missing);
  } catch (cause) {
    throw new MemoryLimitError(`useThreads: expected room for ${host.heap.end} bytes, got a host that refuses`, { cause });
  }
  const from = host.argsPtr;
  new Uint8Array(memory.buffer, from, host.heap.end - from).set(new Uint8Array(old.buffer, from, host.heap.end - from));
  host.memory = memory;
  host.run = run;
  host.refresh();
  // Growing by nothing detaches the old buffer, unless it is shared.
  old.grow(0);
}
