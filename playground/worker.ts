/** A panel's worker: its name is the worker's, and its messages are asks and answers. */

import { PANELS } from "./panels/index.ts";
import { type Ask, Runner } from "./work.ts";

/** What this file uses of a worker's global object. */
interface WorkerScope {
  readonly name: string;
  onmessage: ((event: { readonly data: Ask }) => void) | null;
  postMessage(message: unknown): void;
}

const self = globalThis as unknown as WorkerScope;
const open = PANELS[self.name as keyof typeof PANELS];
const runner = new Runner(open, (answer) => self.postMessage(answer));
self.onmessage = ({ data }) => runner.tell(data);
