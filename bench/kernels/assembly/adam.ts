// The rungs below the shipped Adam: n parameters p with gradients g and moments m, v; step t. Only the benchmark compiles this.

const B1: f32 = 0.9;
const B2: f32 = 0.999;
const LR: f32 = 0.001;
const EPS: f32 = 1e-8;

/** 1: as written in the paper, powers and corrections for every element. */
export function plain(n: i32, t: i32, p: usize, g: usize, m: usize, v: usize): void {
  for (let i: usize = 0; i < <usize>n * 4; i += 4) {
    const d = load<f32>(g + i);
    const mean = B1 * load<f32>(m + i) + (1 - B1) * d;
    const variance = B2 * load<f32>(v + i) + (1 - B2) * d * d;
    store<f32>(m + i, mean);
    store<f32>(v + i, variance);
    const corrected = mean / (1 - Mathf.pow(B1, <f32>t));
    store<f32>(p + i, load<f32>(p + i) - (LR * corrected) / (Mathf.sqrt(variance / (1 - Mathf.pow(B2, <f32>t))) + EPS));
  }
}

/** 2: the corrections once a step. */
export function hoisted(n: i32, t: i32, p: usize, g: usize, m: usize, v: usize): void {
  const rate = LR / (1 - Mathf.pow(B1, <f32>t));
  const unit: f32 = 1 / Mathf.sqrt(1 - Mathf.pow(B2, <f32>t));
  for (let i: usize = 0; i < <usize>n * 4; i += 4) {
    const d = load<f32>(g + i);
    const mean = B1 * load<f32>(m + i) + (1 - B1) * d;
    const variance = B2 * load<f32>(v + i) + (1 - B2) * d * d;
    store<f32>(m + i, mean);
    store<f32>(v + i, variance);
    store<f32>(p + i, load<f32>(p + i) - (rate * mean) / (unit * Mathf.sqrt(variance) + EPS));
  }
}

/** 3: four elements at a time, but an operation a pass, as a composition of element-wise kernels would run. */
export function passes(n: i32, t: i32, p: usize, g: usize, m: usize, v: usize, scratch: usize): void {
  const rate = f32x4.splat(LR / (1 - Mathf.pow(B1, <f32>t)));
  const unit = f32x4.splat(1 / Mathf.sqrt(1 - Mathf.pow(B2, <f32>t)));
  const size = <usize>n * 4;
  mix(size, B1, g, m);
  for (let i: usize = 0; i < size; i += 16) v128.store(scratch + i, f32x4.mul(v128.load(g + i), v128.load(g + i)));
  mix(size, B2, scratch, v);
  for (let i: usize = 0; i < size; i += 16) v128.store(scratch + i, f32x4.sqrt(v128.load(v + i)));
  for (let i: usize = 0; i < size; i += 16) v128.store(scratch + i, f32x4.add(f32x4.mul(unit, v128.load(scratch + i)), f32x4.splat(EPS)));
  for (let i: usize = 0; i < size; i += 16) v128.store(scratch + i, f32x4.div(f32x4.mul(rate, v128.load(m + i)), v128.load(scratch + i)));
  for (let i: usize = 0; i < size; i += 16) v128.store(p + i, f32x4.sub(v128.load(p + i), v128.load(scratch + i)));
}

function mix(size: usize, old: f32, fresh: usize, y: usize): void {
  for (let i: usize = 0; i < size; i += 16) v128.store(y + i, f32x4.mul(f32x4.splat(old), v128.load(y + i)));
  for (let i: usize = 0; i < size; i += 16) {
    v128.store(y + i, f32x4.add(v128.load(y + i), f32x4.mul(f32x4.splat(1 - old), v128.load(fresh + i))));
  }
}
