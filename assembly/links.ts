// The links of a memory: links[i,j] says how far row i was written just after row j.

import { loadLanes, storeLanes } from "./edges";
import { at, lanes, sumLanes } from "./lanes";

/** next[i,j] = (1 − w[i] − w[j])·links[i,j] + w[i]·p[j], and 0 for i = j. w and p are [batch, n], links and next [batch, n, n]. @kernel */
export function linkStep<T>(batch: i32, n: i32, links: usize, w: usize, p: usize, next: usize): void {
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < n; i++) {
      const written = load<T>(at<T>(w, i));
      const kept = v128.splat<T>(<T>1 - written);
      const wi = v128.splat<T>(written);
      for (let j = 0; j < n; j += lanes<T>()) {
        const stays = v128.sub<T>(kept, loadLanes<T>(w, j, n, <T>0));
        const old = v128.mul<T>(stays, loadLanes<T>(links, j, n, <T>0));
        storeLanes<T>(next, j, n, v128.add<T>(old, v128.mul<T>(wi, loadLanes<T>(p, j, n, <T>0))));
      }
      store<T>(at<T>(next, i), <T>0);
      links = at<T>(links, n);
      next = at<T>(next, n);
    }
    w = at<T>(w, n);
    p = at<T>(p, n);
  }
}

/** The gradients dlinks, dw and dp of `linkStep` for a cotangent g of next. @kernel */
export function linkStepGrad<T>(
  batch: i32, n: i32, links: usize, w: usize, p: usize, g: usize, dlinks: usize, dw: usize, dp: usize,
): void {
  memory.fill(dw, 0, at<T>(0, batch * n));
  memory.fill(dp, 0, at<T>(0, batch * n));
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < n; i++) {
      const row = gradientOfRow<T>(n, i, links, w, p, g, dlinks, dw, dp);
      store<T>(at<T>(dw, i), load<T>(at<T>(dw, i)) + row);
      links = at<T>(links, n);
      g = at<T>(g, n);
      dlinks = at<T>(dlinks, n);
    }
    w = at<T>(w, n);
    p = at<T>(p, n);
    dw = at<T>(dw, n);
    dp = at<T>(dp, n);
  }
}

/** Adds what row i of the links contributes to dw and dp, but for its share of dw[i], which it returns. */
function gradientOfRow<T>(n: i32, i: i32, links: usize, w: usize, p: usize, g: usize, dlinks: usize, dw: usize, dp: usize): T {
  const written = load<T>(at<T>(w, i));
  const kept = v128.splat<T>(<T>1 - written);
  const wi = v128.splat<T>(written);
  let sum = v128.splat<T>(<T>0);
  for (let j = 0; j < n; j += lanes<T>()) {
    let slope = loadLanes<T>(g, j, n, <T>0);
    if (<u32>(i - j) < <u32>lanes<T>()) slope = withoutLane<T>(slope, i - j);
    const old = loadLanes<T>(links, j, n, <T>0);
    storeLanes<T>(dlinks, j, n, v128.mul<T>(slope, v128.sub<T>(kept, loadLanes<T>(w, j, n, <T>0))));
    storeLanes<T>(dw, j, n, v128.sub<T>(loadLanes<T>(dw, j, n, <T>0), v128.mul<T>(slope, old)));
    storeLanes<T>(dp, j, n, v128.add<T>(loadLanes<T>(dp, j, n, <T>0), v128.mul<T>(slope, wi)));
    sum = v128.add<T>(sum, v128.mul<T>(slope, v128.sub<T>(loadLanes<T>(p, j, n, <T>0), old)));
  }
  return sumLanes<T>(sum);
}

/** v with 0 in one lane. */
// @ts-ignore: decorator
@inline
function withoutLane<T>(v: v128, lane: i32): v128 {
  const places = sizeof<T>() == 4 ? f32x4(0, 1, 2, 3) : f64x2(0, 1);
  return v128.and(v, v128.ne<T>(places, v128.splat<T>(<T>lane)));
}

/**
 * The k rows that each row is linked to after a write, `next` [batch, n, k]: of those before it, rows[b,i,·] with links[b,i,·] after the write, and all
 * j ≠ i by what the write links, w[i]·p[j], the k strongest. One that stays keeps its place; the others come in order of j, each in the place of the
 * weakest. Numbers that are no row count as row 0; a link of a row to itself counts as none. @kernel
 */
export function linkedRows<T>(batch: i32, n: i32, k: i32, rows: usize, links: usize, w: usize, p: usize, next: usize): void {
  for (let b = 0; b < batch; b++) {
    for (let i = 0; i < n; i++) {
      for (let s = 0; s < k; s++) store<T>(at<T>(next, s), <T>rowAt<T>(rows, s, n));
      if (load<T>(at<T>(w, i)) > <T>0) linkRow<T>(n, i, k, rows, links, w, p, next);
      rows = at<T>(rows, k);
      links = at<T>(links, k);
      next = at<T>(next, k);
    }
    w = at<T>(w, n);
    p = at<T>(p, n);
  }
}

/** Lets into the list of row i, which starts as the present one, whatever is stronger than the weakest there. */
function linkRow<T>(n: i32, i: i32, k: i32, rows: usize, links: usize, w: usize, p: usize, next: usize): void {
  const written = load<T>(at<T>(w, i));
  for (let j = 0; j < n; j++) {
    const strength = <T>(written * load<T>(at<T>(p, j)));
    if (j == i || !(strength > <T>0)) continue;
    let weakest = 0;
    let least = <T>Infinity;
    for (let s = 0; s < k; s++) {
      const row = rowAt<T>(next, s, n);
      if (row == j) {
        weakest = -1;
        break;
      }
      const stays = row == rowAt<T>(rows, s, n);
      const own = row == i ? <T>0 : strengthOf<T>(stays ? load<T>(at<T>(links, s)) : <T>0, written, load<T>(at<T>(w, row)), load<T>(at<T>(p, row)));
      if (own < least) {
        weakest = s;
        least = own;
      }
    }
    if (weakest >= 0 && strength > least) store<T>(at<T>(next, weakest), <T>j);
  }
}

/** A link after a write. */
// @ts-ignore: decorator
@inline
function strengthOf<T>(link: T, wi: T, wj: T, pj: T): T {
  return <T>((<T>1 - wi - wj) * link + wi * pj);
}

/** A number of a row from 0 to n − 1, whatever stands there. */
// @ts-ignore: decorator
@inline
function rowAt<T>(rows: usize, s: i32, n: i32): i32 {
  const row = load<T>(at<T>(rows, s));
  return row >= <T>0 && row < <T>n ? <i32>row : 0;
}
