/** Walks over a result and its parts, at any depth and through cycles. */

/**
 * The name of a method that lists the tensors (and objects with tensors) that an object hides in
 * private fields or closures. `scope` keeps them when the object is returned.
 * @example
 * class Memory {
 *   #cell = zeros([8]);
 *   *[heldTensors]() {
 *     yield this.#cell;
 *   }
 * }
 * const memory = scope(() => new Memory());
 */
export const heldTensors: unique symbol = Symbol.for("tapeloop.heldTensors") as never;

/** An object that lists the tensors it hides. */
export interface HoldsTensors {
  [heldTensors](): Iterable<unknown>;
}

/** Visits a value and, if `visit` returns true, its parts; each object once. Does not call getters. */
export function forEachPart(value: unknown, visit: (part: object) => boolean): void {
  if (!isObject(value) || !visit(value)) return;
  const seen = new Set<object>([value]);
  const meet = (part: unknown): void => {
    if (isObject(part) && !seen.has(part) && visit(part)) seen.add(part);
  };
  // The set grows while it is walked.
  for (const whole of seen) meetParts(whole, meet);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function meetParts(whole: object, meet: (part: unknown) => void): void {
  if (ArrayBuffer.isView(whole)) return;
  if (Array.isArray(whole)) {
    whole.forEach(meet);
    return;
  }
  if (whole instanceof Set) whole.forEach(meet);
  if (whole instanceof Map) {
    whole.forEach((value, key) => {
      meet(key);
      meet(value);
    });
  }
  for (const key of Reflect.ownKeys(whole)) meet(Reflect.getOwnPropertyDescriptor(whole, key)?.value);
  const held = (whole as Partial<HoldsTensors>)[heldTensors];
  if (typeof held === "function") for (const part of held.call(whole)) meet(part);
}
