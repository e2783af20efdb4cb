/** The loop around a search: asks, evaluates candidates (in parallel if wanted), and tells. */

import { checkFunction, checkMethods, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { nextTask } from "../base/next-task.ts";
import { quote } from "../base/quote.ts";
import type { AskTell, Cost, SearchResult, StopReason } from "./search.ts";

/** What an evaluation receives besides its candidate. */
export interface EvaluationContext {
  /** The number of this evaluation in the run, from 0; independent of the order in which evaluations finish. */
  readonly evaluation: number;
  /** Aborts when the result is no longer wanted. */
  readonly signal: AbortSignal;
}

/** The cost of a candidate, or several for a search with several objectives; NaN if it has none. */
export type Evaluate<C> = (candidate: C, context: EvaluationContext) => Cost | Promise<Cost>;

/** Evaluates elsewhere: in threads, or on other machines. */
export interface Evaluator<C> {
  evaluate(candidate: C, context: EvaluationContext): Promise<Cost>;
  /** Number of candidates that it evaluates at once. */
  readonly concurrency: number;
}

export interface EvolveOptions<C> {
  /** Ends the run when aborted, after evaluations in progress. It resolves with the reason "aborted" and discards their costs. */
  readonly signal?: AbortSignal;
  /**
   * Stops after the generation that reaches this number of evaluations (of the search in total), and may exceed it: reason "evaluations". It means what
   * the search's own `maxEvaluations` means; given both, the smaller one ends the run.
   */
  readonly maxEvaluations?: number;
  /** Number of candidates to evaluate at once (default 1, or the evaluator's own). */
  readonly concurrency?: number;
  /** Called after each generation; an error that it throws ends the run. */
  readonly onGeneration?: (result: SearchResult<C>) => unknown;
}

export interface EvolveResult<C> extends SearchResult<C> {
  readonly stop: StopReason;
}

/**
 * Runs a search until it stops. Costs are told in the order of candidates, so results depend neither on `concurrency` nor
 * on how long an evaluation takes, as long as a cost depends only on its candidate.
 *
 * A failing evaluation ends the run, as does an error of `onGeneration`. The search keeps the candidates that it has asked for, so
 * calling `evolve` again evaluates these again.
 * @param evaluate a function, or an evaluator such as `evaluationThreads` of `tapeloop/node`
 * @throws DTypeError if a cost is no number, nor a list of them; ArgumentError for options out of their range; any error of the evaluation
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
    if (maxEvaluations !== undefined && before.evaluations >= maxEvaluations) {
      return { ...before, stop: { reason: "evaluations", value: before.evaluations } };
    }
    const candidates = search.ask();
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

/** The costs of all candidates; null if the run was aborted. The first failure aborts the others and waits for them. */
async function evaluateAll<C>(candidates: readonly C[], { run, concurrency, signal, first }: Batch<C>): Promise<Cost[] | null> {
  const own = new AbortController();
  const abort = () => own.abort(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  const costs: Cost[] = new Array(candidates.length).fill(0);
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

function checkCost(cost: unknown): Cost {
  if (Array.isArray(cost) && cost.every((part) => typeof part === "number")) return cost;
  if (typeof cost !== "number") throw new DTypeError(`evolve: expected the evaluation to give a number, got ${quote(cost)}`);
  return cost;
}
