/** Where in a model an operation runs: in which module, at which step of which sequence. */

import { type Observer, observing } from "../autodiff/observer.ts";
import type { Module } from "../nn/module.ts";
import { isRecurrence, type Recurrence, type ScanOptions, scanSteps } from "../recurrence/recurrence.ts";
import type { State } from "../recurrence/state.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** A place in a running model. */
export interface Place {
  /** The module's name in the state dict; "" for the model itself, null outside it. */
  readonly module: string | null;
  /** The step of the sequence, from 0; null outside sequences. */
  readonly step: number | null;
}

/** One call of a module's method that has not returned. */
interface Call {
  readonly module: Module;
  readonly path: string;
  readonly method: string;
  /** Steps taken so far of a scan, and how many there are. */
  taken: number;
  readonly steps: number;
  readonly reverse: boolean;
}

const METHODS = ["forward", "step", "scan"] as const;
type Method = (...args: unknown[]) => unknown;

/**
 * Follows the calls of a model's modules. A recurrence that contains no other is scanned step by step meanwhile, as its definition says,
 * so that the step is known.
 */
export class Watch {
  readonly #calls: Call[] = [];

  get place(): Place {
    const module = this.#calls.at(-1)?.path ?? null;
    const scan = this.#calls.findLast(({ method, taken }) => method === "scan" && taken > 0);
    return { module, step: scan === undefined ? null : scan.reverse ? scan.steps - scan.taken : scan.taken - 1 };
  }

  /** Runs `fn` with the observer told of every operation, and this watch knowing where it is. */
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
      this.#calls.push({ module, path, method, taken: 0, steps, reverse: options?.reverse ?? false });
      try {
        const first = method === "scan" && leaf && steps > 1 && above === undefined && canStep(module);
        return first ? scanSteps(module as Recurrence, ...(args as [Tensor, State?, ScanOptions?])) : own.apply(module, args);
      } finally {
        this.#calls.pop();
      }
    };
  }
}

/** Whether a recurrence is made of others. */
function contains(module: Module): boolean {
  for (const part of module.modules()) if (part !== module && isRecurrence(part)) return true;
  return false;
}

/** Layers of two directions have no steps. */
function canStep(module: Module): boolean {
  return (module as { readonly bidirectional?: boolean }).bidirectional !== true;
}

/** Puts a method in the place of a module's own; the result puts that back. */
function replace(module: Module, name: string, method: Method): () => void {
  const before = Object.getOwnPropertyDescriptor(module, name);
  Object.defineProperty(module, name, { value: method, configurable: true, enumerable: false, writable: true });
  return () => {
    if (before === undefined) delete (module as unknown as Record<string, unknown>)[name];
    else Object.defineProperty(module, name, before);
  };
}
