/** For Node, Deno and Bun only: models in files, and evaluation in threads. */

export { load, type OpenFile, openFile, type Savable, save, writeAtomic } from "./io/files.ts";
export { evaluationThreads, type WorkerOptions } from "./search/threads.ts";
