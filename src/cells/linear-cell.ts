/** What the cells share whose state follows h' = a∘h + b with a and b known from the inputs alone. */

import { Cell, checkSequence, type ScanOptions, type State } from "../nn/recurrence.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { linearScan } from "../ops/reduce.ts";
import { cat, flip, select, slice, stack, unsqueeze } from "../ops/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Base of the linear cells: a subclass also says how a whole sequence runs at once; ragged batches go step by step. */
export abstract class LinearCell<S extends State = State> extends Cell<S> {
  /** All of `xs [T,B,I]` from `state`. */
  protected abstract whole(xs: Tensor, state: S): [ys: Tensor, last: S];

  override scan(xs: Tensor, state?: S, options: ScanOptions = {}): [ys: Tensor, last: S] {
    checkSequence("scan", xs, this.inputSize, options.lengths);
    if (options.lengths?.some((n) => n < xs.dim(0))) return super.scan(xs, state, options);
    const start = state ?? this.initialState(xs.dim(1));
    if (!options.reverse) return this.whole(xs, start);
    const [ys, last] = this.whole(flip(xs, 0), start);
    return [flip(ys, 0), last];
  }
}

/** h[t] = a[t]∘h[t-1] + b[t] for a and b [T,…] from h0 […]: all states [T,…]. */
export function linearStates(a: Tensor, b: Tensor, h0: Tensor): Tensor {
  const first = unsqueeze(h0, 0);
  return slice(linearScan(cat([first, a]), cat([first, b]), { axis: 0 }), 0, 1);
}

/** The last of `states [T,…]`. */
export function lastOf(states: Tensor): Tensor {
  return select(states, 0, states.dim(0) - 1);
}

/** Mixes old and new: f∘old + (1 − f)∘new. */
export function mix(f: Tensor, old: Tensor, fresh: Tensor): Tensor {
  return add(mul(f, old), mul(complement(f), fresh));
}

/** 1 − f. */
export function complement(f: Tensor): Tensor {
  return add(mul(f, -1), 1);
}

/** Each step of xs [T,B,I] as it is seen through a window on it and the k − 1 steps before: [T,B,I] each, oldest first. */
export function windows(xs: Tensor, past: readonly Tensor[]): Tensor[] {
  if (past.length === 0) return [xs];
  const all = cat([stack(past), xs]);
  return Array.from({ length: past.length + 1 }, (_, j) => slice(all, 0, j, j + xs.dim(0)));
}

/** The last k − 1 steps of `past` continued by `xs [T,B,I]`. */
export function pastAfter(xs: Tensor, past: readonly Tensor[]): Tensor[] {
  const T = xs.dim(0);
  return past.map((_, j) => {
    const t = T - past.length + j;
    return t >= 0 ? select(xs, 0, t) : (past[T + j] as Tensor);
  });
}
