/** The group `ops`: single operations and chains of them, as the expression that a case is given as. */

import { Tensor } from "../../src/tensor/tensor.ts";
import { evaluate, type Value } from "./expression.ts";
import { language } from "./functions.ts";
import type { Case, Group, Named, Outcome } from "./runner.ts";

export const ops: Group = (spec: Case, inputs: Named): Outcome => {
  const value = evaluate(spec.expr as string, language(new Map<string, Value>(Object.entries(inputs))));
  const results = value instanceof Tensor ? [value] : (value as readonly Tensor[]);
  return { outputs: [Object.fromEntries(results.map((y, i) => [String(i), y]))] };
};
