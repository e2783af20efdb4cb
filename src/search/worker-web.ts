/** The program of a web worker of `evaluationWorkers`. */

import { serve } from "./serve.ts";

interface WorkerScope {
  postMessage(message: unknown): void;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
}

const scope = globalThis as unknown as WorkerScope;
const answer = serve(
  (message) => scope.postMessage(message),
  (module) => import(module),
);
scope.onmessage = ({ data }) => void answer(data);
