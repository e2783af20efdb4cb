/** For pages only: evaluation in web workers. */

export { evaluationWorkers, type WebWorkerOptions } from "./search/web-workers.ts";
