/**
 * Describes what a step does as a list of parts: numbers, names, primitives, and bytes that JavaScript wrote. Steps with equal descriptions
 * are the same. A second step is compared while it is being described, so its description is not stored.
 */

/** Numbers and names compare by value, bytes by content. */
export type Signature = readonly unknown[];

/** Receives the parts. */
export interface Listener {
  say(part: unknown): void;
  /** @param bytes a view of memory, which may change afterwards */
  sayBytes(bytes: Uint8Array): void;
}

/** Thrown as soon as a step turns out to differ, or cannot be described. Allocated once, since that happens often. */
export const DIFFERS: Error = new Error("differs");

/** The result of `fn`, or null if it threw `DIFFERS`. */
function unlessDiffers<R>(fn: () => R): R | null {
  try {
    return fn();
  } catch (e) {
    if (e === DIFFERS) return null;
    throw e;
  }
}

/** All parts; null if the step cannot be described. */
export function signatureOf(tell: (to: Listener) => void): Signature | null {
  const parts: unknown[] = [];
  const listener: Listener = { say: (part) => parts.push(part), sayBytes: (bytes) => parts.push(bytes.slice()) };
  return unlessDiffers(() => {
    tell(listener);
    return parts;
  });
}

/** Whether the parts equal the stored ones. */
export function isSame(expected: Signature, tell: (to: Listener) => void): boolean {
  const comparison = new Comparison(expected);
  const complete = unlessDiffers(() => {
    tell(comparison);
    return comparison.complete;
  });
  return complete === true;
}

class Comparison implements Listener {
  readonly #expected: Signature;
  #at = 0;

  constructor(expected: Signature) {
    this.#expected = expected;
  }

  get complete(): boolean {
    return this.#at === this.#expected.length;
  }

  /** Compares like Object.is: 0 and -0 differ, NaN equals NaN. */
  say(part: unknown): void {
    if (!Object.is(this.#expected[this.#at++], part)) throw DIFFERS;
  }

  sayBytes(bytes: Uint8Array): void {
    const expected = this.#expected[this.#at++];
    if (!(expected instanceof Uint8Array) || expected.length !== bytes.length) throw DIFFERS;
    for (let i = 0; i < bytes.length; i++) if (expected[i] !== bytes[i]) throw DIFFERS;
  }
}
