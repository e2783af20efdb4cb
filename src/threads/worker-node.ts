/** The program of a thread in Node, Deno and Bun. */

import { parentPort } from "node:worker_threads";
import { type Enlistment, serve } from "./serve.ts";

parentPort?.once("message", (enlistment: Enlistment) => void serve(enlistment, (report) => parentPort?.postMessage(report)));
