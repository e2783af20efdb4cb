/**
 * Regions: the stretches of memory that a captured step reads and writes. Each has a base that moves by a stride per step.
 *
 * This file owns their kinds and numbers, and binds them to memory.
 */

import { BYTES } from "../base/dtype.ts";
import { StateError } from "../base/errors.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The number of regions of a kind: one, or one for each of these. */
type Multiplicity = "one" | keyof RegionCounts;

export interface RegionCounts {
  /** Sequences of which the step reads a slice. */
  readonly inputs: number;
  /** Tensors carried from step to step. */
  readonly carried: number;
  /** Parameters and buffers, by tensor. */
  readonly fixed: number;
  /** Blocks of memory that hold these; fewer if some share one. */
  readonly fixedBlocks: number;
}

export type RegionKind =
  /** The step's slice of a sequence. */
  | "input"
  /** A carried tensor, before and after the step. */
  | "state"
  | "next"
  /** Memory of parameters and buffers. */
  | "fixed"
  | "output"
  /** Values that the backward step reads again. */
  | "frame"
  /** Values that live within one step. */
  | "scratch"
  /** Constants that JavaScript wrote during the step. */
  | "constants"
  /** Values made from fixed tensors once for all steps: packed weights, sums of biases. */
  | "packed"
  /** The same for the backward step, which also reads those of the forward step. */
  | "packedBack"
  /** Values that the backward step leaves for products that are made for many steps at once. */
  | "history"
  /** The cotangents of the output and of the previous step's output. */
  | "outputGradient"
  | "outputGradientBefore"
  | "inputGradient"
  /** The cotangent of the next state, which becomes that of this state. */
  | "stateGradient"
  /** The accumulated gradient of a fixed tensor. */
  | "fixedGradient";

/** The number of regions of each kind. */
const KINDS: Readonly<Record<RegionKind, Multiplicity>> = {
  input: "inputs",
  state: "carried",
  next: "carried",
  fixed: "fixedBlocks",
  output: "one",
  frame: "one",
  scratch: "one",
  constants: "one",
  packed: "one",
  packedBack: "one",
  history: "one",
  outputGradient: "one",
  outputGradientBefore: "one",
  inputGradient: "inputs",
  stateGradient: "carried",
  fixedGradient: "fixed",
};

const kinds = Object.keys(KINDS) as RegionKind[];

/** Regions that a step writes and never reads. */
export const RESULTS: ReadonlySet<RegionKind> = new Set(["output", "next", "inputGradient"] as const);
/** Regions that nothing writes while steps run backwards. */
export const LASTING: ReadonlySet<RegionKind> = new Set(["input", "state", "next", "fixed", "outputGradient"] as const);

/** Numbers the regions of a step. */
export class Regions {
  readonly count: number;
  readonly #counts: RegionCounts;
  readonly #kinds: RegionKind[] = [];
  readonly #first = new Map<RegionKind, number>();

  constructor(counts: RegionCounts) {
    this.#counts = counts;
    for (const kind of kinds) {
      this.#first.set(kind, this.#kinds.length);
      for (let i = 0; i < this.#many(kind); i++) this.#kinds.push(kind);
    }
    this.count = this.#kinds.length;
  }

  #many(kind: RegionKind): number {
    const many = KINDS[kind];
    return many === "one" ? 1 : this.#counts[many];
  }

  /** The number of a region. */
  of(kind: RegionKind, index = 0): number {
    if (!(index >= 0 && index < this.#many(kind)))
      throw new StateError(`replay: expected ${this.#many(kind)} regions of kind ${kind}, got number ${index}`);
    return (this.#first.get(kind) as number) + index;
  }

  kindOf(region: number): RegionKind {
    return this.#kinds[region] as RegionKind;
  }

  /** A region's name in messages. */
  nameOf(region: number): string {
    const kind = this.kindOf(region);
    return `${kind} ${region - (this.#first.get(kind) as number)}`;
  }
}

let latest: { readonly key: string; readonly regions: Regions } | null = null;

/** The numbering for such a step; caches the last one. */
export function regionsOf(counts: RegionCounts): Regions {
  const key = Object.values(counts).join();
  if (latest?.key !== key) latest = { key, regions: new Regions(counts) };
  return latest.regions;
}

/** A region's address at the first step, its movement per step, and its size at each step, in bytes. */
export interface Place {
  readonly base: number;
  readonly stride: number;
  readonly bytes: number;
}

/** The places of regions; a region without a place is empty. */
export class Places {
  readonly regions: Regions;
  readonly bases: Float64Array<ArrayBuffer>;
  readonly strides: Float64Array<ArrayBuffer>;
  readonly #bytes: Float64Array<ArrayBuffer>;

  constructor(regions: Regions) {
    this.regions = regions;
    this.bases = new Float64Array(regions.count);
    this.strides = new Float64Array(regions.count);
    this.#bytes = new Float64Array(regions.count);
  }

  set(kind: RegionKind, index: number, { base, stride, bytes }: Place): void {
    const region = this.regions.of(kind, index);
    this.bases[region] = base;
    this.strides[region] = stride;
    this.#bytes[region] = bytes;
  }

  /** Places a tensor that does not move. */
  setTensor(kind: RegionKind, index: number, { ptr, size, dtype }: Tensor): void {
    this.set(kind, index, { base: ptr, stride: 0, bytes: size * BYTES[dtype] });
  }

  /** The address of a region at a step, counted from the first. */
  at(region: number, step: number): number {
    return (this.bases[region] as number) + step * (this.strides[region] as number);
  }

  /** Checks that no place is smaller than the captured region. @throws StateError */
  check(extents: Float64Array): void {
    for (let region = 0; region < extents.length; region++) {
      const [expected, got] = [extents[region] as number, this.#bytes[region] as number];
      if (!(got >= expected)) {
        throw new StateError(`replay: expected ${expected} bytes for ${this.regions.nameOf(region)} of the captured step, got ${got}`);
      }
    }
  }
}
