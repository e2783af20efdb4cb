/** The contract of global search: ask for candidates, tell their costs, continue until there is a reason to stop. */

import { checkArrayLike, checkList, checkMethods, checkNumber, checkObject, checkWhole } from "../base/checks.ts";
import { ArgumentError, DTypeError, ShapeError, StateError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { defaultGenerator, type Generator } from "../tensor/random.ts";
import { Draws } from "./draws.ts";
import { type FieldReader, type Fields, fieldsFromBytes, fieldsToBytes } from "./fields.ts";

/** Why a search stops: the name of the rule, and the value that it checked. */
export interface StopReason {
  readonly reason: string;
  readonly value: number;
}

export interface SearchResult<C> {
  /** The cheapest candidate so far; null before any cost was told. */
  readonly best: C | null;
  /** Its cost, of several objectives their mean; Infinity before. */
  readonly bestCost: number;
  /** Number of costs told, including NaN. */
  readonly evaluations: number;
  /** Number of generations whose costs are all known. */
  readonly generations: number;
}

/** What a candidate costs: a number, or several for a search with several objectives. */
export type Cost = number | readonly number[];

/** A search, as `evolve` uses it. Costs are minimised. */
export interface AskTell<C> {
  /** Candidates whose costs are wanted; the same ones until they are told. */
  ask(): C[];
  /** Tells the costs of the candidates asked for, in order. */
  tell(candidates: readonly C[], costs: ArrayLike<Cost>): void;
  stop(): StopReason | null;
  readonly result: SearchResult<C>;
}

export interface SearchOptions {
  /** The generator from which the run's own is split (default the default generator). */
  readonly generator?: Generator;
  /** Stops once the best cost is at most this: reason "target". */
  readonly target?: number;
  /** Stops after the generation that reaches this number of evaluations, and may exceed it: reason "evaluations". */
  readonly maxEvaluations?: number;
  /** Stops after this many generations: reason "generations". */
  readonly maxGenerations?: number;
}

/** The names of `SearchOptions`. @internal */
export const SEARCH = ["generator", "target", "maxEvaluations", "maxGenerations"] as const;

/** How often a candidate whose cost is NaN is drawn again before it counts as the worst. */
const REDRAWS = 10;

/**
 * Base class of all methods. A generation is proposed, asked for, told, and digested once all costs are known. A candidate whose cost is NaN
 * is drawn again, at most 10 times, and asked for by the next `ask`; after that its cost counts as infinite.
 *
 * `toBytes` holds the complete run, including generator and pending candidates: `restore`, on a search made with the same options, continues
 * with the same bits.
 */
export abstract class Search<C> implements AskTell<C> {
  /** The method's name in messages and saved states. */
  readonly kind: string;
  /** Number of costs of a candidate. */
  readonly objectives: number;
  protected readonly draws: Draws;
  readonly #options: SearchOptions;
  readonly #identity: string;
  #slots: C[] = [];
  #costs: Float64Array = new Float64Array(0);
  /** How often each slot was drawn again. */
  #redraws: Float64Array = new Float64Array(0);
  /** Slots that are asked for. */
  #pending: number[] = [];
  #best: C | null = null;
  #bestCost = Number.POSITIVE_INFINITY;
  #evaluations = 0;
  #generations = 0;

  /** @param identity the method's options as plain data; a saved state fits only a search with the same options */
  protected constructor(kind: string, options: SearchOptions, identity: Readonly<Record<string, unknown>>, objectives = 1) {
    checkObject(kind, "options", options);
    this.kind = kind;
    this.objectives = objectives;
    if (options.target !== undefined) checkNumber(kind, "target", options.target);
    for (const name of ["maxEvaluations", "maxGenerations"] as const) {
      const value = options[name];
      if (value !== undefined) checkWhole(kind, name, value, { least: 1 });
    }
    if (options.generator !== undefined) checkMethods(kind, "a generator", options.generator, ["split", "normal"]);
    this.#options = options;
    this.#identity = JSON.stringify(identity);
    this.draws = new Draws((options.generator ?? defaultGenerator()).split());
  }

  /** The candidates of the next generation. Like `redraw`, it may throw, which restores random numbers. */
  protected abstract propose(): C[];
  /** Draws another candidate for a slot, and for those that depend on it. */
  protected abstract redraw(slot: number): readonly (readonly [slot: number, candidate: C])[];
  /** Learns from a generation. Calls functions of the user before it changes anything. @param costs numbers, or +∞; those of a candidate together */
  protected abstract digest(candidates: readonly C[], costs: Float64Array): void;
  /** The method's own reasons to stop. */
  protected abstract reason(): StopReason | null;
  /** Converts a candidate to numbers and back, for copying, comparing and saving. */
  protected abstract pack(candidate: C): Float64Array;
  protected abstract unpack(packed: Float64Array): C;
  /** Whether numbers form a packed candidate. */
  protected abstract isPacked(packed: Float64Array): boolean;
  /** The method's own state. */
  protected abstract fields(): Fields;
  /** Reads the method's own state and returns a function that takes it over. @throws FormatError */
  protected abstract adopt(fields: FieldReader): () => void;

  /** Refuses costs that the method cannot use. @throws ArgumentError */
  protected checkCost(_cost: number): void {}

  ask(): C[] {
    if (this.#pending.length === 0) {
      this.#slots = this.#whole(() => this.propose());
      this.#costs = new Float64Array(this.#slots.length * this.objectives).fill(Number.NaN);
      this.#redraws = new Float64Array(this.#slots.length);
      this.#pending = this.#slots.map((_, i) => i);
    }
    return this.#pending.map((slot) => this.#copy(this.#slots[slot] as C));
  }

  /**
   * @throws StateError if nothing was asked for; ShapeError for another number of candidates or costs; ArgumentError for candidates other than
   *   those asked for, and for costs of −∞; DTypeError for costs that are no numbers; any error of a function among the options.
   *   All leave everything unchanged
   */
  tell(candidates: readonly C[], costs: ArrayLike<Cost>): void {
    this.#check(candidates, costs);
    this.#whole(() => this.#take(costs));
  }

  /** Runs `fn`; if it throws, restores what it changed. */
  #whole<R>(run: () => R): R {
    const undraw = this.draws.mark();
    const [slots, known, redraws, pending] = [this.#slots.slice(), this.#costs.slice(), this.#redraws.slice(), this.#pending];
    const [best, bestCost, evaluations] = [this.#best, this.#bestCost, this.#evaluations];
    try {
      return run();
    } catch (error) {
      undraw();
      this.#slots = slots;
      this.#costs = known;
      this.#redraws = redraws;
      this.#pending = pending;
      this.#best = best;
      this.#bestCost = bestCost;
      this.#evaluations = evaluations;
      throw error;
    }
  }

  #take(costs: ArrayLike<Cost>): void {
    const told = this.#pending;
    const lost: number[] = [];
    told.forEach((slot, i) => {
      const own = listOf(costs[i] as Cost);
      this.#costs.set(own, slot * this.objectives);
      if (own.some(Number.isNaN)) lost.push(slot);
      else this.#note(this.#slots[slot] as C, own.reduce((a, b) => a + b) / own.length);
    });
    this.#evaluations += told.length;
    this.#pending = this.#redrawn(lost);
    if (this.#pending.length > 0) return;
    this.digest(this.#slots, this.#costs);
    this.#generations++;
    this.#slots = [];
    this.#costs = new Float64Array(0);
    this.#redraws = new Float64Array(0);
  }

  stop(): StopReason | null {
    const { target, maxEvaluations, maxGenerations } = this.#options;
    if (target !== undefined && this.#bestCost <= target) return { reason: "target", value: this.#bestCost };
    if (maxEvaluations !== undefined && this.#evaluations >= maxEvaluations) return { reason: "evaluations", value: this.#evaluations };
    const own = this.reason();
    if (own !== null) return own;
    if (maxGenerations !== undefined && this.#generations >= maxGenerations) return { reason: "generations", value: this.#generations };
    return null;
  }

  get result(): SearchResult<C> {
    const best = this.#best === null ? null : this.#copy(this.#best);
    return { best, bestCost: this.#bestCost, evaluations: this.#evaluations, generations: this.#generations };
  }

  /** The state of the run as bytes. */
  toBytes(): Uint8Array<ArrayBuffer> {
    const own = Object.fromEntries(Object.entries(this.fields()).map(([name, field]) => [`own.${name}`, field]));
    return fieldsToBytes(this.#saved, {
      ...own,
      draws: this.draws.save(),
      slots: this.#slots.map((c) => this.pack(c)),
      costs: Float64Array.from(this.#slots, (_, slot) => (this.#isMissing(slot) ? -1 : 0)),
      known: this.#costs.map((cost) => (Number.isNaN(cost) ? 0 : cost)),
      redraws: this.#redraws,
      pending: Float64Array.from(this.#pending),
      best: this.#best === null ? [] : [this.pack(this.#best)],
      bestCost: this.#bestCost,
      evaluations: this.#evaluations,
      generations: this.#generations,
    });
  }

  /**
   * Continues from saved bytes. Checks everything before it changes anything.
   * @throws FormatError for bytes that `toBytes` of such a search cannot have written
   */
  restore(bytes: Uint8Array): void {
    const reader = fieldsFromBytes(this.#saved, bytes);
    const draws = this.draws.read(reader, "draws");
    const candidates = (name: string, count?: number) =>
      reader.list(name, count === undefined ? {} : { count }).map((packed) => {
        if (!this.isPacked(packed)) reader.refuse(name, "candidates", packed.length);
        return this.unpack(packed);
      });
    const slots = candidates("slots");
    const missing = reader.vector("costs", undefined, { least: -1, most: 0, whole: true });
    const known = reader.vector("known", missing.length * this.objectives, { infinite: true });
    const redraws = reader.vector("redraws", missing.length, { least: 0, most: REDRAWS, whole: true });
    const pending = reader.vector("pending", undefined, { least: 0, most: slots.length - 1, whole: true });
    const increasing = pending.every((slot, i) => i === 0 || slot > (pending[i - 1] as number));
    if (!increasing) reader.refuse("pending", "slots in order", pending);
    if (missing.length !== slots.length || pending.length > 0 !== slots.length > 0) reader.refuse("slots", "a cost of each", slots.length);
    if (!missing.every((m, slot) => (m === -1) === pending.includes(slot))) reader.refuse("pending", "the slots without cost", pending);
    const bests = candidates("best");
    const bestCost = reader.number("bestCost", { infinite: true });
    const evaluations = reader.number("evaluations", { least: 0, whole: true });
    const generations = reader.number("generations", { least: 0, whole: true });
    if (bests.length > 1) reader.refuse("best", "one candidate", bests.length);
    const own = this.adopt(reader.within("own"));
    reader.end();
    draws();
    own();
    this.#slots = slots;
    this.#costs = known.map((cost, i) => (missing[Math.floor(i / this.objectives)] === -1 ? Number.NaN : cost));
    this.#redraws = redraws;
    this.#pending = [...pending];
    this.#best = bests[0] ?? null;
    this.#bestCost = bestCost;
    this.#evaluations = evaluations;
    this.#generations = generations;
  }

  get #saved() {
    return { kind: this.kind, options: this.#identity };
  }

  #copy(candidate: C): C {
    return this.unpack(this.pack(candidate).slice());
  }

  #note(candidate: C, cost: number): void {
    if (this.#best !== null && !(cost < this.#bestCost)) return;
    this.#best = this.#copy(candidate);
    this.#bestCost = cost;
  }

  /** Draws slots with cost NaN again; those drawn too often cost infinitely much. @returns the slots to ask for */
  #redrawn(lost: readonly number[]): number[] {
    const again = new Set<number>();
    for (const slot of lost) {
      // A slot that depends on an earlier one was drawn again with it.
      if (again.has(slot)) continue;
      if ((this.#redraws[slot] as number) >= REDRAWS) this.#fill(slot, Number.POSITIVE_INFINITY);
      else
        for (const [other, candidate] of this.redraw(slot)) {
          this.#slots[other] = candidate;
          this.#fill(other, Number.NaN);
          this.#redraws[other] = (this.#redraws[slot] as number) + (other === slot ? 1 : 0);
          again.add(other);
        }
    }
    return [...again].sort((a, b) => a - b);
  }

  /** Gives a slot one cost for all objectives. */
  #fill(slot: number, cost: number): void {
    this.#costs.fill(cost, slot * this.objectives, (slot + 1) * this.objectives);
  }

  #isMissing(slot: number): boolean {
    return this.#costs.subarray(slot * this.objectives, (slot + 1) * this.objectives).some(Number.isNaN);
  }

  #check(candidates: readonly C[], costs: ArrayLike<Cost>): void {
    if (this.#pending.length === 0) throw new StateError("tell: expected the costs of what was asked for, got some before anything was");
    checkList("tell", "candidates", candidates);
    checkArrayLike("tell", "costs", costs);
    const n = this.#pending.length;
    if (candidates.length !== n) throw new ShapeError(`tell: expected ${n} candidates as asked for, got ${candidates.length}`);
    if (costs.length !== n) throw new ShapeError(`tell: expected ${n} costs, got ${costs.length}`);
    this.#pending.forEach((slot, i) => {
      if (!equal(this.pack(this.#slots[slot] as C), this.pack(candidates[i] as C))) {
        throw new ArgumentError(`tell: expected the candidates in the order in which they were asked for, got another at ${i}`);
      }
      this.#checkCosts(costs[i], i);
    });
  }

  /** One number, or one for each objective. */
  #checkCosts(given: unknown, at: number): void {
    const { objectives } = this;
    if (objectives > 1 && !(Array.isArray(given) && given.length === objectives)) {
      throw new ShapeError(`tell: expected ${objectives} numbers as the costs of each candidate, got ${quote(given)} at ${at}`);
    }
    const own: readonly unknown[] = objectives === 1 ? [given] : (given as readonly unknown[]);
    for (const cost of own) {
      if (typeof cost !== "number") throw new DTypeError(`tell: expected numbers as costs, got ${quote(cost)} at ${at}`);
      if (cost === Number.NEGATIVE_INFINITY) throw new ArgumentError(`tell: expected costs above -Infinity, got it at ${at}`);
      if (!Number.isNaN(cost)) this.checkCost(cost);
    }
  }
}

const listOf = (cost: Cost): readonly number[] => (typeof cost === "number" ? [cost] : cost);

function equal(a: Float64Array, b: Float64Array): boolean {
  return a.length === b.length && a.every((value, i) => Object.is(value, b[i]));
}

export interface VectorSearchOptions extends SearchOptions {
  /** Starting point of the search, one number per parameter: `flatten(model)`. */
  readonly start: ArrayLike<number>;
}

/** The names of `VectorSearchOptions`. @internal */
export const VECTOR_SEARCH = ["start", ...SEARCH] as const;

/** Base class of methods whose candidates are parameter vectors. */
export abstract class VectorSearch extends Search<Float64Array> {
  /** Length of a candidate. */
  readonly size: number;
  protected readonly start: Float64Array;

  protected constructor(kind: string, options: VectorSearchOptions, identity: Readonly<Record<string, unknown>>) {
    checkObject(kind, "options", options);
    const { start } = options;
    if (typeof start !== "object" || !(start?.length > 0)) {
      throw new ArgumentError(`${kind}: expected start to hold at least one number, got ${quote(start)}`);
    }
    for (let i = 0; i < start.length; i++) checkNumber(kind, `start[${i}]`, start[i] as number);
    super(kind, options, { size: start.length, ...identity });
    this.size = start.length;
    this.start = Float64Array.from(start);
  }

  protected override pack(candidate: Float64Array): Float64Array {
    checkArrayLike(this.kind, "a candidate", candidate);
    return candidate;
  }

  protected override unpack(packed: Float64Array): Float64Array {
    return packed;
  }

  protected override isPacked(packed: Float64Array): boolean {
    return packed.length === this.size;
  }

  /** A uniform point of the box start ± spread. */
  protected anywhere(spread: number): Float64Array {
    const at = this.draws.signed(this.size);
    return at.map((u, i) => (this.start[i] as number) + spread * u);
  }
}
