/** Several threads at every kernel call, over one shared memory. */

import { checkNumber, checkWhole, optionsOf } from "../base/checks.ts";
import { StateError } from "../base/errors.ts";
import { decodeBase64 } from "../wasm/base64.ts";
import { defaultKernels } from "../wasm/binary.ts";
import { call, realHost, view } from "../wasm/host.ts";
import { gemm } from "../wasm/kernels.gen.ts";
import { instantiate } from "../wasm/loader.ts";
import { threadsBase64 } from "../wasm/threads.gen.ts";
import { moveTo, Pool } from "./pool.ts";
import { missing } from "./workers.ts";

export interface ThreadsOptions {
  /**
   * Milliseconds without any progress of the other threads after which a call gives up (default 10,000). A call of which one thread may
   * take so much longer for its part than another needs more.
   */
  readonly timeout?: number;
}

/** How many threads compute. */
export interface Threads {
  readonly threads: number;
  /** Why there is only one although more were asked for; null otherwise. */
  readonly reason: string | null;
}

let pool: Pool | null = null;
let module: Promise<WebAssembly.Module> | null = null;
/** Changes wait for one another. */
let turn: Promise<unknown> = Promise.resolve();

/** The pool in use. @internal */
export function poolInUse(): Pool | null {
  return pool;
}

/**
 * From now on kernel calls with enough work are shared by so many threads, this one among them: matrix products, elementwise operations,
 * the fused recurrent layers, optimisers. Threads compute different outputs, never parts of one sum, so results are the same to the bit
 * with any number of threads.
 *
 * It may be called at any time. Tensors stay what they are: their bytes move into shared memory, at the same addresses. Arrays that
 * streams returned before it show nothing afterwards, and those that they return later are over shared memory. `useThreads(1)` gives all
 * of it back. Each further thread takes 0.6 MB of `memory()`. Idle threads sleep, and do not keep the program running.
 *
 * Where the host has no shared memory (Cloudflare Workers, pages that are not cross-origin isolated) all stays at one thread, and the
 * result says why. More threads than the machine has cores are slower than one.
 * @param threads from 1 to 64
 * @throws WorkerError if a worker does not start; everything is then as before. A worker that dies later ends the call at work, and all
 *   calls after it, with a WorkerError; `useThreads` starts anew, with tensors as they are, those being computed excepted
 * @throws ArgumentError for another number
 * @throws MemoryLimitError where the host has no room for the other memory
 * @throws StateError with other kernels than the deterministic ones
 *
 * @example
 * import { useThreads } from "tapeloop/threads";
 * const { threads, reason } = await useThreads(2);
 */
export function useThreads(threads: number, options: ThreadsOptions = {}): Promise<Threads> {
  const result = turn.then(() => change(threads, options));
  turn = result.catch(() => undefined);
  return result;
}

async function change(threads: number, options: ThreadsOptions): Promise<Threads> {
  const { timeout = 10_000 } = optionsOf("useThreads", options, ["timeout"]);
  checkWhole("useThreads", "threads", threads, { least: 1, most: 64 });
  checkNumber("useThreads", "timeout", timeout, { above: 0 });
  const reason = threads === 1 ? null : missing();
  if (reason !== null) return { threads: 1, reason };
  if (pool !== null && pool.broken === null && pool.count === threads) return { threads, reason: null };
  const next = threads === 1 ? null : await startPool(threads, timeout);
  if (pool === null && next === null) return { threads: 1, reason: null };
  const kernels = next === null ? await instantiate(defaultKernels()) : null;
  try {
    if (next !== null) next.take();
    else if (kernels !== null) moveTo(kernels.memory, (id, args) => kernels.run(id, args));
  } catch (cause) {
    await next?.close();
    throw cause;
  }
  const before = pool;
  pool = next;
  await before?.close();
  return { threads, reason: null };
}

async function startPool(threads: number, timeout: number): Promise<Pool> {
  if (pool === null) checkDeterministic();
  module ??= WebAssembly.compile(decodeBase64(threadsBase64));
  return Pool.start(threads, await module, timeout);
}

/** @throws StateError for kernels that round a product and its sum at once: the threads' kernels do not, and results would change */
function checkDeterministic(): void {
  const { heap } = realHost();
  const block = heap.allocate(16);
  const [a, bias, y] = [block.ptr, block.ptr + 4, block.ptr + 8];
  view("float32", a, 2).set([1 + 2 ** -12, -(1 + 2 ** -11)]);
  call(gemm, "float32", 1, 1, 1, a, 1, 1, a, 1, 1, y, 1, bias, 0, 1, 0, 0, 0);
  const [rest] = view("float32", y, 1);
  heap.release(block);
  if (rest !== 0) throw new StateError("useThreads: expected the deterministic kernels, got relaxed ones: threads have no such build");
}
