/** The program of a thread of `evaluationThreads`. */

import { parentPort } from "node:worker_threads";
import { serve } from "./serve.ts";

parentPort?.on(
  "message",
  serve(
    (answer) => parentPort?.postMessage(answer),
    (module) => import(module),
  ),
);
