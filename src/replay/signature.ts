/**
 * What a step does, said part by part: numbers, names, primitives, and bytes that JavaScript wrote. Two steps of which the same is said
 * are the same. A second step is compared while it is being said, so that nothing is kept of it.
 */

/** Numbers and names compare by themselves, bytes by their contents. */
export type Signature = readonly unknown[];

/** Where the parts go. */
export interface Listener {
  say(part: unknown): void;
  /** @param bytes a view of memory, which may change afterwards */
  sayBytes(bytes: Uint8Array): void;
}

/** Thrown as soon as a step turns out to be another one, or to be one of which nothing can be said; made once, since that happens often. */
export const DIFFERS: Error = new Error("differs");

/** What is said, or null where that differs. */
function unlessDiffers<R>(fn: () => R): R | null {
  try {
    return fn();
  } catch (e) {
    if (e === DIFFERS) return null;
    throw e;
  }
}

/** All that is said; null where nothing can be said. */
export function signatureOf(tell: (to: Listener) => void): Signature | null {
  const parts: unknown[] = [];
  const listener: Listener = { say: (part) => parts.push(part), sayBytes: (bytes) => parts.push(bytes.slice()) };
  return unlessDiffers(() => {
    tell(listener);
    return parts;
  });
}

/** Whether the same is said. */
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

  /** Zero and minus zero differ, and NaN is NaN. */
  say(part: unknown): void {
    if (!Object.is(this.#expected[this.#at++], part)) throw DIFFERS;
  }

  sayBytes(bytes: Uint8Array): void {
    const expected = this.#expected[this.#at++];
    if (!(expected instanceof Uint8Array) || expected.length !== bytes.length) throw DIFFERS;
    for (let i = 0; i < bytes.length; i++) if (expected[i] !== bytes[i]) throw DIFFERS;
  }
}
