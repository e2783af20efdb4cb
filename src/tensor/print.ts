import { show } from "./shape.ts";
import type { NestedArray, Tensor } from "./tensor.ts";

const EDGE = 3;

/** A short text: dtype, shape, and the first and last values of each axis. */
export function printTensor(t: Tensor): string {
  const head = `${t.dtype}${show(t.shape)}`;
  if (t.storage.released) return `${head} (released)`;
  return `${head} ${render(t.toArray())}`;
}

function render(value: NestedArray): string {
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : value.toPrecision(5);
  const parts = value.length > 2 * EDGE ? [...value.slice(0, EDGE).map(render), "…", ...value.slice(-EDGE).map(render)] : value.map(render);
  return `[${parts.join(", ")}]`;
}
