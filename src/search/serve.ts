/** The worker's side: evaluates candidates by a function of a module. */

import { quote, shorten } from "../base/quote.ts";
import type { EvaluationAnswer, EvaluationRequest } from "./pool.ts";

/** The first message, which names the function. */
export interface EvaluationSource {
  /** The module's URL. */
  readonly module: string;
  /** The name of its export. */
  readonly name: string;
}

type Evaluation = (candidate: unknown, context: { readonly evaluation: number }) => unknown;

/** Answers requests one after another. @returns a function to call with every message */
export function serve(post: (answer: EvaluationAnswer) => void, load: (module: string) => Promise<Record<string, unknown>>) {
  let evaluation: Promise<Evaluation> | null = null;
  return async (message: unknown): Promise<void> => {
    if (evaluation === null) {
      evaluation = functionOf(message as EvaluationSource, load);
      // The next request asks for it.
      evaluation.catch(() => undefined);
      return;
    }
    const { job, candidate, evaluation: number } = message as EvaluationRequest;
    const evaluate = await evaluation.catch((error: unknown) => {
      post({ job, error: textOf(error), broken: true });
      return null;
    });
    if (evaluate === null) return;
    try {
      post({ job, cost: await evaluate(candidate, { evaluation: number }) });
    } catch (error) {
      post({ job, error: textOf(error), broken: false });
    }
  };
}

async function functionOf(
  { module, name }: EvaluationSource,
  load: (module: string) => Promise<Record<string, unknown>>,
): Promise<Evaluation> {
  const found = (await load(module))[name];
  if (typeof found === "function") return found as Evaluation;
  throw new TypeError(`expected an export "${shorten(name)}" that is a function, got ${quote(found)}`);
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : quote(error);
}
