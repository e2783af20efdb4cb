/** Watches an object's fields, apart from tensors' contents: detects whether a step changes them, and restores them. */

import { Tensor } from "../tensor/tensor.ts";

type Fields = Record<string, unknown>;

/** Number of values to watch; an object with more holds data, not settings of a step. */
const WATCHED = 4096;

/** The fields of an object and of all objects below it. Cannot see private fields and closures. */
export class FieldsBefore {
  readonly #objects: {
    readonly owner: Fields;
    readonly names: readonly string[];
    readonly values: readonly unknown[];
    readonly length: unknown;
  }[] = [];

  constructor(root: object) {
    const seen = new Set<unknown>();
    const waiting: unknown[] = [root];
    for (const value of waiting) {
      if (waiting.length > WATCHED) return;
      if (!isContainer(value) || seen.has(value)) continue;
      seen.add(value);
      if (Array.isArray(value) && value.length > WATCHED) continue;
      const names = Object.keys(value);
      const values = names.map((name) => value[name]);
      this.#objects.push({ owner: value, names, values, length: Array.isArray(value) ? value.length : null });
      for (const v of values) waiting.push(v);
    }
  }

  /** Whether a field was set, added or deleted since. */
  get changed(): boolean {
    return this.#objects.some(({ owner, names, values }) => {
      return Object.keys(owner).length !== names.length || names.some((name, i) => !Object.is(owner[name], values[i]));
    });
  }

  /** Runs `fn` and restores the fields. Returns null if it changed any. */
  kept<R>(fn: () => R): R | null {
    try {
      const result = fn();
      return this.changed ? null : result;
    } finally {
      this.restore();
    }
  }

  /** Sets every field to what it was, and takes out those that are new. */
  restore(): void {
    for (const { owner, names, values, length } of this.#objects) {
      if (length !== null) owner.length = length;
      else for (const name of Object.keys(owner)) if (!names.includes(name)) delete owner[name];
      names.forEach((name, i) => {
        if (!Object.is(owner[name], values[i])) owner[name] = values[i];
      });
    }
  }
}

function isContainer(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !(value instanceof Tensor) && !ArrayBuffer.isView(value);
}
