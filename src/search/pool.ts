/** A pool of workers that evaluate candidates, independent of the host: it receives a function that starts a worker. */

import { checkFlag, checkFunction, checkNumber, checkWhole, optionsOf, withDefaults } from "../base/checks.ts";
import { DTypeError, StateError, WorkerError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import type { EvaluationContext, Evaluator } from "./evolve.ts";
import type { Cost } from "./search.ts";

/** The address of a module: its URL, as an object or as text. */
export type ModuleAddress = string | { readonly href: string };

/** An address as text. @throws DTypeError */
export function addressText(op: string, module: ModuleAddress): string {
  const text: unknown = typeof module === "string" ? module : module?.href;
  if (typeof text === "string") return text;
  throw new DTypeError(`${op}: expected the URL of a module, got ${quote(module)}`);
}

export interface PoolOptions {
  /** Number of workers; each starts when there is work for it (default 4). */
  readonly workers?: number;
  /** Number of retries of an evaluation whose worker died or did not answer in time (default 1). */
  readonly retries?: number;
  /** Whether to retry also an evaluation that threw (default false, since it would throw again). */
  readonly retryErrors?: boolean;
  /** Milliseconds after which a worker that has not answered is ended; default never. */
  readonly timeout?: number;
}

/** The names of `PoolOptions`. @internal */
export const POOL = ["workers", "retries", "retryErrors", "timeout"] as const;

/** A worker of the host. */
export interface WorkerPort {
  post(message: unknown): void;
  /** Call it once. The worker's death calls `end` with the reason. */
  listen(message: (message: unknown) => void, end: (reason: string) => void): void;
  terminate(): unknown;
  /** Sets whether the worker keeps the program running; it should only while it works. */
  hold?(busy: boolean): void;
}

/** The message to a worker: an evaluation. */
export interface EvaluationRequest {
  readonly job: number;
  readonly candidate: unknown;
  readonly evaluation: number;
}

/** A worker's answer: a cost, or the thrown error as text. `broken` means that the module cannot be used, so retries are useless. */
export type EvaluationAnswer =
  | { readonly job: number; readonly cost: unknown }
  | { readonly job: number; readonly error: string; readonly broken: boolean };

interface Job {
  readonly id: number;
  readonly request: EvaluationRequest;
  readonly signal: AbortSignal;
  readonly resolve: (cost: Cost) => void;
  readonly reject: (error: unknown) => void;
  readonly onAbort: () => void;
  failures: number;
}

/** A worker and its present work. */
interface Lane {
  readonly port: WorkerPort;
  job: Job | null;
  timer: ReturnType<typeof setTimeout> | undefined;
  ended: boolean;
}

/**
 * An evaluator over workers, each with one candidate at a time. If a worker dies or is too slow, its candidate is retried in a new worker, at most
 * `retries` times. After that, or if the evaluation throws, its promise rejects with a WorkerError. No promise stays pending.
 * @throws ArgumentError for options out of their range
 */
export class EvaluationPool<C> implements Evaluator<C> {
  readonly concurrency: number;
  readonly #name: string;
  readonly #spawn: () => WorkerPort;
  readonly #options: { readonly retries: number; readonly retryErrors: boolean; readonly timeout: number | undefined };
  readonly #lanes: Set<Lane> = new Set();
  #waiting: Job[] = [];
  #next = 0;
  #closed = false;

  /** @param name in messages @param spawn starts a worker */
  constructor(name: string, spawn: () => WorkerPort, options: PoolOptions = {}) {
    const { workers, retries, retryErrors, timeout } = withDefaults(
      { workers: 4, retries: 1, retryErrors: false },
      optionsOf(name, options, POOL),
    );
    checkFunction(name, "spawn", spawn);
    checkWhole(name, "workers", workers, { least: 1 });
    checkWhole(name, "retries", retries);
    checkFlag(name, "retryErrors", retryErrors);
    if (timeout !== undefined) checkNumber(name, "timeout", timeout, { above: 0 });
    this.concurrency = workers;
    this.#name = name;
    this.#spawn = spawn;
    this.#options = { retries, retryErrors, timeout };
  }

  /** @throws WorkerError; StateError once closed; the signal's reason when aborted, which ends the worker */
  evaluate(candidate: C, { evaluation, signal }: EvaluationContext): Promise<Cost> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new StateError(`${this.#name}: expected an open pool, got one that was closed`);
      signal.throwIfAborted();
      const id = this.#next++;
      const onAbort = () => this.#drop(job, signal.reason);
      const job: Job = { id, request: { job: id, candidate, evaluation }, signal, resolve, reject, onAbort, failures: 0 };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(job);
      this.#assign();
    });
  }

  /** Ends all workers; evaluations in progress reject with a StateError. */
  async close(): Promise<void> {
    this.#closed = true;
    const lanes = [...this.#lanes];
    const jobs = [...this.#waiting, ...lanes.flatMap((lane) => lane.job ?? [])];
    this.#waiting = [];
    for (const job of jobs) this.#settle(job, () => job.reject(new StateError(`${this.#name}: expected an answer, got closed before`)));
    await Promise.all(lanes.map((lane) => this.#retire(lane)));
  }

  /** The same, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Gives work to idle workers. */
  #assign(): void {
    while (this.#waiting.length > 0) {
      const idle = [...this.#lanes].find((lane) => lane.job === null) ?? (this.#lanes.size < this.concurrency ? this.#start() : null);
      if (idle === null) return;
      const job = this.#waiting.shift() as Job;
      if (idle instanceof Error) this.#fail(job, `no worker could be started: ${idle.message}`, false);
      else this.#give(idle, job);
    }
  }

  #start(): Lane | Error {
    try {
      const lane: Lane = { port: this.#spawn(), job: null, timer: undefined, ended: false };
      lane.port.listen(
        (message) => this.#take(lane, message as EvaluationAnswer),
        (reason) => this.#bury(lane, reason),
      );
      this.#lanes.add(lane);
      return lane;
    } catch (error) {
      return error as Error;
    }
  }

  #give(lane: Lane, job: Job): void {
    lane.job = job;
    lane.port.hold?.(true);
    const { timeout } = this.#options;
    if (timeout !== undefined) lane.timer = setTimeout(() => this.#bury(lane, `it did not answer within ${timeout} ms`), timeout);
    try {
      lane.port.post(job.request);
    } catch (error) {
      // A candidate that cannot be sent to any worker.
      this.#free(lane);
      this.#fail(job, `its candidate cannot be sent: ${(error as Error).message}`, false);
    }
  }

  #free(lane: Lane): void {
    clearTimeout(lane.timer);
    lane.job = null;
    lane.port.hold?.(false);
  }

  #take(lane: Lane, answer: EvaluationAnswer): void {
    const { job } = lane;
    // Ignores an answer that arrives after the work was taken away.
    if (job === null || answer.job !== job.id) return;
    this.#free(lane);
    if ("error" in answer) this.#fail(job, `it threw ${shorten(answer.error)}`, this.#options.retryErrors && !answer.broken);
    else this.#settle(job, () => job.resolve(answer.cost as Cost));
    this.#assign();
  }

  /** Removes a worker that has died or must die. */
  #bury(lane: Lane, reason: string): void {
    if (lane.ended) return;
    const { job } = lane;
    void this.#retire(lane);
    if (job !== null) this.#fail(job, reason, true);
    if (!this.#closed) this.#assign();
  }

  async #retire(lane: Lane): Promise<void> {
    lane.ended = true;
    clearTimeout(lane.timer);
    lane.job = null;
    this.#lanes.delete(lane);
    await lane.port.terminate();
  }

  /** Retries an evaluation if that may help, ahead of all waiting ones. */
  #fail(job: Job, reason: string, again: boolean): void {
    if (again && job.failures < this.#options.retries) {
      job.failures++;
      this.#waiting.unshift(job);
      return;
    }
    const times = job.failures === 0 ? "" : ` after ${job.failures + 1} attempts`;
    const message = `${this.#name}: expected a cost for evaluation ${job.request.evaluation}, got none${times}: ${reason}`;
    this.#settle(job, () => job.reject(new WorkerError(message)));
  }

  /** Drops an evaluation whose result nobody wants. */
  #drop(job: Job, reason: unknown): void {
    this.#waiting = this.#waiting.filter((other) => other !== job);
    const lane = [...this.#lanes].find((other) => other.job === job);
    this.#settle(job, () => job.reject(reason));
    if (lane !== undefined) void this.#retire(lane);
    this.#assign();
  }

  #settle(job: Job, how: () => void): void {
    job.signal.removeEventListener("abort", job.onAbort);
    how();
  }
}
