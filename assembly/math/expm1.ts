// e^x - 1 = 2·((s - ½) + s·p) with s = 2^(n-1) and the parts of exp.ts: s - ½ is exact wherever it matters, p keeps
// its relative accuracy near 0, and half the result does not overflow before the result does.
//
// Any x; the result is at least -1 and a zero keeps its sign.
// Measured by scripts/ulp.mjs, larger of the two builds: float32 1.59 ULP (all arguments), float64 1.76 ULP (40,000 arguments).

import { madd } from "../lanes";
import { expm1Reduced, power2, reduceLog2, shiftedLog2 } from "./exp";
import { all } from "./vector";

/** e^x - 1 in every lane, at least -1. */
export function vexpm1<T>(x: v128): v128 {
  const low = all<T>(sizeof<T>() == 4 ? -20.0 : -40.0);
  const high = all<T>(sizeof<T>() == 4 ? 89.0 : 710.0);
  const z = v128.pmin<T>(v128.pmax<T>(x, low), high);
  const t = shiftedLog2<T>(z);
  const s = power2<T>(t, -1);
  const half = madd<T>(s, expm1Reduced<T>(reduceLog2<T>(z, t)), v128.sub<T>(s, all<T>(0.5)));
  // Halves of tiny numbers may be lost.
  const tiny = v128.lt<T>(v128.abs<T>(x), all<T>(sizeof<T>() == 4 ? 9.313225746154785e-10 : 8.673617379884035e-19));
  return v128.bitselect(x, v128.add<T>(half, half), tiny);
}
