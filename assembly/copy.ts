import { at } from "./lanes";

/** Sets n elements of y to value. @kernel */
export function fill<T>(n: i32, value: f64, y: usize): void {
  const v = v128.splat<T>(<T>value);
  const L = <i32>(16 / sizeof<T>());
  let i = 0;
  for (; i <= n - L; i += L) v128.store(at<T>(y, i), v);
  for (; i < n; i++) store<T>(at<T>(y, i), <T>value);
}
