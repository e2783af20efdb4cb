/** Tracks where in a model an operation runs: in which module, at which step of which sequence. */

import { type Observer, observing } from "../autodiff/observer.ts";
import type { Module } from "../nn/module.ts";
import { isRecurrence, type Recurrence, type ScanOptions, scanSteps } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** A place in a running model. */
export interface Place {
  /** The module's name in the state dict; "" for the model itself; null outside it. */
  readonly module: string | null;
  /** The step of the sequence, from 0; null outside sequences. */
  readonly step: number | null;
}

/** A call of a module's method that has not returned yet. */
interface Call {
  readonly module: Module;
  readonly path: string;
  readonly method: string;
  /** Number of steps of a scan so far, and in total. */
  taken: number;
  readonly steps: number;
  readonly reverse: boolean;
  /** Real steps of each sequence of the batch, if the scan knows them. */
  readonly lengths: readonly number[] | null;
}

const METHODS = ["forward", "step", "scan"] as const;
type Method = (...args: unknown[]) => unknown;

/**
 * Follows the calls of a model's modules. Meanwhile a recurrence that contains no other is scanned step by step, by its definition,
 * so the step is known.
 */
export class Watch {
  readonly #calls: Call[] = [];

  get place(): Place {
    const scan = this.#scan;
    return { module: this.#calls.at(-1)?.path ?? null, step: scan === undefined ? null : stepOf(scan) };
  }

  /** Which sequences of the batch have not ended at this step; null if all have the same length, and outside sequences. */
  get running(): readonly boolean[] | null {
    const scan = this.#scan;
    if (scan === undefined || scan.lengths === null) return null;
    const step = stepOf(scan);
    return scan.lengths.map((length) => step < length);
  }

  /** The innermost scan that has begun its steps. */
  get #scan(): Call | undefined {
    return this.#calls.findLast(({ method, taken }) => method === "scan" && taken > 0);
  }

  /** Runs `fn` while the observer sees every operation and this watch tracks the place. */
  run<R>(model: Module | undefined, observer: Observer, fn: () => R): R {
    const undo = model === undefined ? [] : Array.from(model.namedModules(), ([path, module]) => this.#follow(path, module)).flat();
    try {
      return observing(observer, fn);
    } finally {
      for (const restore of undo) restore();
      this.#calls.length = 0;
    }
  }

  #follow(path: string, module: Module): (() => void)[] {
    return METHODS.flatMap((method) => {
      const own: unknown = (module as unknown as Record<string, unknown>)[method];
      if (typeof own !== "function") return [];
      return [replace(module, method, this.#followed(path, module, method, own as Method))];
    });
  }

  #followed(path: string, module: Module, method: string, own: Method): Method {
    const leaf = isRecurrence(module) && !contains(module);
    return (...args) => {
      const above = this.#calls.findLast((call) => call.module === module);
      if (method === "step" && above?.method === "scan") above.taken++;
      const [xs, , options] = args as [Tensor, State?, ScanOptions?];
      const steps = method === "scan" ? xs.dim(0) : 0;
      this.#calls.push({ module, path, method, taken: 0, steps, reverse: options?.reverse ?? false, lengths: options?.lengths ?? null });
      try {
        const first = method === "scan" && leaf && steps > 1 && above === undefined && canStep(module);
        return first ? scanSteps(module as Recurrence, ...(args as [Tensor, State?, ScanOptions?])) : own.apply(module, args);
      } finally {
        this.#calls.pop();
      }
    };
  }
}

/** The present step of a scan. */
function stepOf({ taken, steps, reverse }: Call): number {
  return reverse ? steps - taken : taken - 1;
}

/** Whether a recurrence contains others. */
function contains(module: Module): boolean {
  for (const part of module.modules()) if (part !== module && isRecurrence(part)) return true;
  return false;
}

/** Bidirectional layers have no steps. */
function canStep(module: Module): boolean {
  return (module as { readonly bidirectional?: boolean }).bidirectional !== true;
}

/** Replaces a module's method; returns a function that restores it. */
function replace(module: Module, name: string, method: Method): () => void {
  const before = Object.getOwnPropertyDescriptor(module, name);
  Object.defineProperty(module, name, { value: method, configurable: true, enumerable: false, writable: true });
  return () => {
    if (before === undefined) delete (module as unknown as Record<string, unknown>)[name];
    else Object.defineProperty(module, name, before);
  };
}
