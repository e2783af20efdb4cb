// The rungs below the shipped cross-entropy with its gradient: rows × n logits, a class a row, mean loss.
// Only the benchmark compiles this.

import { vexp } from "../../../assembly/math/exp";

/** 1: plain loops over each row: maximum, sum, loss, gradient with the exponentials computed again. */
export function plain(rows: i32, n: i32, x: usize, targets: usize, loss: usize, dx: usize): void {
  const scale: f32 = 1 / <f32>rows;
  const row = <usize>n * 4;
  for (let r: usize = 0; r < <usize>rows; r++) {
    let top: f32 = -Infinity;
    for (let i: usize = 0; i < row; i += 4) top = max(top, load<f32>(x + i));
    let sum: f32 = 0;
    for (let i: usize = 0; i < row; i += 4) sum += Mathf.exp(load<f32>(x + i) - top);
    const own = (<usize>load<i32>(targets + 4 * r)) << 2;
    store<f32>(loss + 4 * r, Mathf.log(sum) - (load<f32>(x + own) - top));
    for (let i: usize = 0; i < row; i += 4) store<f32>(dx + i, (scale * Mathf.exp(load<f32>(x + i) - top)) / sum);
    store<f32>(dx + own, load<f32>(dx + own) - scale);
    x += row;
    dx += row;
  }
}

/** 2: the exponentials kept in dx and scaled there. */
export function kept(rows: i32, n: i32, x: usize, targets: usize, loss: usize, dx: usize): void {
  const row = <usize>n * 4;
  for (let r: usize = 0; r < <usize>rows; r++) {
    let top: f32 = -Infinity;
    for (let i: usize = 0; i < row; i += 4) top = max(top, load<f32>(x + i));
    let sum: f32 = 0;
    for (let i: usize = 0; i < row; i += 4) {
      const e = Mathf.exp(load<f32>(x + i) - top);
      store<f32>(dx + i, e);
      sum += e;
    }
    finish(rows, r, row, x, targets, loss, dx, top, sum);
    x += row;
    dx += row;
  }
}

/** 3: the same with four exponentials at a time. */
export function vectors(rows: i32, n: i32, x: usize, targets: usize, loss: usize, dx: usize): void {
  const row = <usize>n * 4;
  const whole = row & ~15;
  for (let r: usize = 0; r < <usize>rows; r++) {
    let top: f32 = -Infinity;
    for (let i: usize = 0; i < row; i += 4) top = max(top, load<f32>(x + i));
    let sums = f32x4.splat(0);
    for (let i: usize = 0; i < whole; i += 16) {
      const e = vexp<f32>(f32x4.sub(v128.load(x + i), f32x4.splat(top)));
      v128.store(dx + i, e);
      sums = f32x4.add(sums, e);
    }
    let sum = f32x4.extract_lane(sums, 0) + f32x4.extract_lane(sums, 1) + f32x4.extract_lane(sums, 2) + f32x4.extract_lane(sums, 3);
    for (let i = whole; i < row; i += 4) {
      const e = f32x4.extract_lane(vexp<f32>(f32x4.splat(load<f32>(x + i) - top)), 0);
      store<f32>(dx + i, e);
      sum += e;
    }
    finish(rows, r, row, x, targets, loss, dx, top, sum);
    x += row;
    dx += row;
  }
}

// @ts-ignore: decorator
@inline
function finish(rows: i32, r: usize, row: usize, x: usize, targets: usize, loss: usize, dx: usize, top: f32, sum: f32): void {
  const own = (<usize>load<i32>(targets + 4 * r)) << 2;
  store<f32>(loss + 4 * r, Mathf.log(sum) - (load<f32>(x + own) - top));
  const scale: f32 = 1 / (<f32>rows * sum);
  for (let i: usize = 0; i < row; i += 4) store<f32>(dx + i, scale * load<f32>(dx + i));
  store<f32>(dx + own, load<f32>(dx + own) - 1 / <f32>rows);
}
