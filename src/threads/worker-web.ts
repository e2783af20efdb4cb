/** The program of a thread in a page. */

import { type Enlistment, serve } from "./serve.ts";

interface WorkerScope {
  postMessage(message: unknown): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;
scope.onmessage = ({ data }) => void serve(data as Enlistment, (report) => scope.postMessage(report));
