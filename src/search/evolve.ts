/** The loop around a search: asks, has candidates evaluated, side by side if need be, and tells. */

import { checkFunction, checkMethods, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { nextTask } from "../base/next-task.ts";
import { quote } from "../base/quote.ts";
import type { AskTell, SearchResult, StopReason } from "./search.ts";

/** What an evaluation is told besides its candidate. */
export interface EvaluationContext {
  /** The number of this evaluation in the run, from 0; the same whatever finishes first. */
  readonly evaluation: number;
  /** Aborted when the result is not wanted any more. */
  readonly signal: AbortSignal;
}

/** The cost of a candidate, NaN where it has none. */
export type Evaluate<C> = (candidate: C, context: EvaluationContext) => number | Promise<number>;

/** What evaluates elsewhere: threads, or other machines. */
export interface Evaluator<C> {
  evaluate(candidate: C, context: EvaluationContext): Promise<number>;
  /** How many it evaluates at once. */
  readonly concurrency: number;
}

export interface EvolveOptions<C> {
  /** Ends the run after what is under way: it resolves with the reason "aborted", and evaluations that were begun are not told. */
  readonly signal?: AbortSignal;
  /** No generation is begun that would pass so many evaluations (of the search in all): reason "evaluations". */
  readonly maxEvaluations?: number;
  /** How many are evaluated at once (default 1, or as many as an evaluator says). */
  readonly concurrency?: number;
  /** Called after each generation; what it throws ends the run. */
  readonly onGeneration?: (result: SearchResult<C>) => unknown;
}

export interface EvolveResult<C> extends SearchResult<C> {
  readonly stop: StopReason;
}

/**
 * Runs a search until it stops. Costs are told in the order of candidates, whatever finishes first: results do not depend on `concurrency`, nor
 * on how long an evaluation takes, as long as its cost depends on the candidate alone.
 *
 * An evaluation that fails ends the run, and so does what `onGeneration` throws; the search is left with the candidates that it had asked for, so
 * that calling `evolve` again evaluates these again.
 * @param evaluate a function, or an evaluator such as `evaluationThreads` of `tapeloop/node`
 * @throws DTypeError when a cost is no number; ArgumentError for options out of their range; whatever the evaluation throws
 * @example
 * const { best, bestCost, stop } = await evolve(new CMAES({ start: flatten(model), sigma: 0.5 }), (v) => cost(unflatten(model, v)), {
 *   maxEvaluations: 10_000,
 * });
 */
export async function evolve<C>(
  search: AskTell<C>,
  evaluate: Evaluate<C> | Evaluator<C>,
  options: EvolveOptions<C> = {},
): Promise<EvolveResult<C>> {
  const { signal, maxEvaluations, onGeneration } = optionsOf("evolve", options, [
    "signal",
    "maxEvaluations",
    "concurrency",
    "onGeneration",
  ]);
  checkMethods("evolve", "a search", search, ["ask", "tell", "stop"]);
  if (signal !== undefined) checkMethods("evolve", "a signal", signal, ["addEventListener", "removeEventListener"]);
  if (onGeneration !== undefined) checkFunction("evolve", "onGeneration", onGeneration);
  const [run, usual] = typeof evaluate === "function" ? [evaluate, 1] : evaluatorOf(evaluate);
  const concurrency = options.concurrency ?? usual;
  checkWhole("evolve", "concurrency", concurrency, { least: 1 });
  if (maxEvaluations !== undefined) checkWhole("evolve", "maxEvaluations", maxEvaluations);
  for (;;) {
    const before = search.result;
    const stop = signal?.aborted ? { reason: "aborted", value: before.evaluations } : search.stop();
    if (stop !== null) return { ...before, stop };
    const candidates = search.ask();
    if (maxEvaluations !== undefined && before.evaluations + candidates.length > maxEvaluations) {
      return { ...before, stop: { reason: "evaluations", value: before.evaluations } };
    }
    const costs = await evaluateAll(candidates, { run, concurrency, signal, first: before.evaluations });
    if (costs === null) continue;
    search.tell(candidates, costs);
    if (search.result.generations > before.generations) await onGeneration?.(search.result);
    await nextTask();
  }
}

function evaluatorOf<C>(evaluator: Evaluator<C>): [Evaluate<C>, number] {
  if (typeof evaluator?.evaluate !== "function") {
    throw new ArgumentError(`evolve: expected evaluate to be a function or an evaluator, got ${quote(evaluator)}`);
  }
  return [(candidate, context) => evaluator.evaluate(candidate, context), evaluator.concurrency];
}

interface Batch<C> {
  readonly run: Evaluate<C>;
  readonly concurrency: number;
  readonly signal: AbortSignal | undefined;
  /** The number of the first evaluation. */
  readonly first: number;
}

/** The costs of all; null when the run was aborted. The first that fails aborts the others, which are waited for. */
async function evaluateAll<C>(candidates: readonly C[], { run, concurrency, signal, first }: Batch<C>): Promise<number[] | null> {
  const own = new AbortController();
  const abort = () => own.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const costs: number[] = new Array(candidates.length).fill(0);
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < candidates.length && !own.signal.aborted) {
      const i = next++;
      try {
        costs[i] = checkCost(await run(candidates[i] as C, { evaluation: first + i, signal: own.signal }));
      } catch (error) {
        failures.push(error);
        own.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, candidates.length) }, lane));
  signal?.removeEventListener("abort", abort);
  if (signal?.aborted) return null;
  if (failures.length > 0) throw failures[0];
  return costs;
}

function checkCost(cost: unknown): number {
  if (typeof cost !== "number") throw new DTypeError(`evolve: expected the evaluation to give a number, got ${quote(cost)}`);
  return cost;
}
