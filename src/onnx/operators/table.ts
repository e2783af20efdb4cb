/** Every operator by name and domain. */

import type { Node } from "../model.ts";
import { control } from "./control.ts";
import { elementwise } from "./elementwise.ts";
import { indexing } from "./indexing.ts";
import { normalization } from "./normalization.ts";
import type { Operator, Operators } from "./operator.ts";
import { products } from "./products.ts";
import { microsoft, quantized } from "./quantized.ts";
import { recurrentLayers } from "./recurrent.ts";
import { reductions } from "./reductions.ts";
import { structure } from "./structure.ts";
import { windows } from "./windows.ts";

const ONNX: Operators = {
  ...elementwise,
  ...structure,
  ...indexing,
  ...reductions,
  ...normalization,
  ...products,
  ...windows,
  ...recurrentLayers,
  ...control,
  ...quantized,
};

/** By domain. */
export const DOMAINS: Readonly<Record<string, Operators>> = { "": ONNX, "com.microsoft": microsoft };

/** The operator of a node; undefined for one that is not supported. */
export function operatorOf({ op, domain }: Node): Operator | undefined {
  const operators = Object.hasOwn(DOMAINS, domain) ? DOMAINS[domain] : undefined;
  return operators && Object.hasOwn(operators, op) ? operators[op] : undefined;
}
