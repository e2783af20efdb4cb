// How much work a call is, in multiplications with addition: what `@shared` says of a kernel. Arguments are numbers of 8-byte slots.

/** From this much on, a call is shared between threads. */
export const LEAST_WORK: f64 = 16384;

/** Threads of one call meet at every step: from this much on, a step is worth it. */
const LEAST_OF_STEP: f64 = 8192;

/** Work that takes `steps`; none if they are too short to be shared. */
export function workOfSteps(work: f64, steps: f64): f64 {
  return work >= steps * LEAST_OF_STEP ? work : 0;
}

/** About the rows of a table of steps: as if all were as long as the longer of the first and the last. */
export function rowsIn(table: usize, steps: f64): f64 {
  if (steps == 0) return 0;
  const last = table + (<usize>(steps - 1) << 3);
  return steps * <f64>max(load<i32>(table, 4), load<i32>(last, 4));
}

/** The product of `count` slots. */
export function volume(count: f64, slots: usize): f64 {
  let product: f64 = 1;
  for (let i = 0; i < <i32>count; i++) product *= load<f64>(slots + (<usize>i << 3));
  return product;
}

/** The sum of every sixth of the slots: the sizes of `count` parameters. */
export function sizes(count: f64, slots: usize): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < <i32>count; i++) sum += load<f64>(slots + <usize>i * 48);
  return sum;
}
