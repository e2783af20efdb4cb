/** For pages only: evaluation in web workers, and what the console shows. */

export { showInConsole } from "./nn/console.ts";
export { evaluationWorkers, type WebWorkerOptions } from "./search/web-workers.ts";
