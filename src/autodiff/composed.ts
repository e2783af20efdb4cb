/** Rules of fused operations for second derivatives and forward mode, through an unfused form. */

import { isFloat } from "../base/dtype.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { track } from "./alias.ts";
import { box, unbox, withLevel } from "./forward.ts";
import type { Inputs, Primitive } from "./primitive.ts";
import { gradients } from "./sweep.ts";
import { enableGrad, isGradEnabled } from "./tape.ts";

/**
 * Derives both rules of an operation from a function that computes the same outputs in differentiable operations.
 * They cost as much as the unfused form, so a fused primitive keeps its own `vjp` and uses these for the rest.
 */
export function composedRules<P>(composed: (inputs: Inputs, params: P) => readonly Tensor[]): Pick<Primitive<P>, "vjp" | "jvp"> {
  return {
    vjp(cotangents, { inputs, params, needs }) {
      const tracked = inputs.map((x, i) => (needs[i] && isFloat(x.dtype) ? track(x) : x));
      const outputs = enableGrad(() => composed(tracked, params));
      const known = outputs.flatMap((y, i) => (cotangents[i] ? [[y, cotangents[i]] as const] : []));
      const found = gradients(
        known.map(([y]) => y),
        tracked,
        known.map(([, g]) => g),
        { createGraph: isGradEnabled() },
      );
      return found.map((g, i) => (needs[i] ? g : null));
    },
    jvp(tangents, { inputs, params }) {
      return withLevel((level) => {
        const boxed = inputs.map((x, i) => {
          const t = tangents[i];
          return t ? box(level, x, t) : x;
        });
        return composed(boxed, params).map((y) => unbox(level, y).tangent);
      });
    },
  };
}
