/** What all optimisers share: parameter groups, state, and the walk over both. */

import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError, StateError } from "../base/errors.ts";
import { full } from "../tensor/create.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf, dense } from "../tensor/strided.ts";
import { keep, scope, Tensor } from "../tensor/tensor.ts";
import { cannotReplay } from "../wasm/recorder.ts";

/** Options every optimiser has. */
export interface CommonOptions {
  /** Learning rate. */
  readonly lr?: number;
  /** Climbs instead of descending. */
  readonly maximize?: boolean;
}

/** Options of optimisers that keep parameters small. */
export interface DecayOptions extends CommonOptions {
  /** L2 penalty: weightDecay·p is added to the gradient. */
  readonly weightDecay?: number;
}

/** Parameters with options of their own; what is not given comes from the optimiser's. */
export type GroupOptions<O> = Partial<O> & { readonly params: Iterable<Tensor> };

/** What an optimiser is made from: parameters, or groups of them. */
export type Parameters<O> = Iterable<Tensor> | Iterable<GroupOptions<O>>;

/** A group in use: every option has its value, and schedules may change it. */
export type Group<O> = { -readonly [K in keyof O]-?: Exclude<O[K], undefined> } & { readonly params: readonly Tensor[] };

/** What an optimiser remembers about one parameter. */
export interface Slots {
  /** Moments and the like, of the parameter's shape. */
  readonly tensors: Record<string, Tensor>;
  /** `step`, and other running numbers. */
  readonly numbers: Record<string, number>;
}

/** One parameter's part of a step. */
export interface Update<O> {
  readonly p: Tensor;
  /** Contiguous. */
  readonly g: Tensor;
  readonly slots: Slots;
  readonly group: Group<O>;
}

/** First values of slots: each tensor is filled with its number. */
export interface InitialSlots {
  readonly tensors: Readonly<Record<string, number>>;
  /** Running numbers besides `step`. */
  readonly numbers?: Readonly<Record<string, number>>;
}

/** Everything an optimiser needs to go on: numbers, and tensors named `parameter index.slot`. */
export interface OptimizerState {
  readonly kind: string;
  /** Options of each group, without its parameters. */
  readonly groups: readonly Readonly<Record<string, unknown>>[];
  readonly numbers: Readonly<Record<string, number>>;
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** Parameter groups and their saved state; the base of first-order optimisers and of L-BFGS. */
export abstract class ParameterGroups<O extends object> {
  /** The optimiser's name in messages and saved states. */
  readonly kind: string;
  readonly groups: readonly Group<O>[];
  readonly params: readonly Tensor[];
  protected readonly slots: Map<Tensor, Slots> = new Map();

  protected constructor(kind: string, params: Parameters<O>, options: Omit<Group<O>, "params">) {
    this.kind = kind;
    const given = [...params];
    if (given.length === 0) throw new ArgumentError(`${this.kind}: expected at least one parameter, got none`);
    const plain = given.filter((p) => p instanceof Tensor);
    if (plain.length > 0 && plain.length < given.length) {
      throw new ArgumentError(`${this.kind}: expected parameters or groups of them, got both`);
    }
    const lists = plain.length > 0 ? [{ params: plain }] : (given as GroupOptions<O>[]);
    this.groups = lists.map((group) => ({ ...options, ...group, params: [...group.params] }) as unknown as Group<O>);
    this.params = this.groups.flatMap((group) => group.params);
    for (const p of this.params) checkParameter(this.kind, p);
    if (new Set(this.params).size < this.params.length) {
      throw new ArgumentError(`${this.kind}: expected every parameter once, got one that occurs twice`);
    }
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const p of this.params) {
      p.grad?.dispose();
      p.grad = null;
    }
  }

  /** The state as it is now; its tensors are the optimiser's own, not copies. */
  stateDict(): OptimizerState {
    const numbers: Record<string, number> = {};
    const tensors: Record<string, Tensor> = {};
    this.params.forEach((p, i) => {
      const slots = this.slots.get(p);
      for (const [name, value] of Object.entries(slots?.numbers ?? {})) numbers[`${i}.${name}`] = value;
      for (const [name, value] of Object.entries(slots?.tensors ?? {})) tensors[`${i}.${name}`] = value;
    });
    return { kind: this.kind, groups: this.groups.map(({ params: _, ...options }) => options), numbers, tensors };
  }

  /**
   * Goes on from a saved state, whose values are copied. Everything is checked before anything is changed.
   * @throws FormatError for another optimiser's state, or one of other parameters
   */
  loadStateDict(state: OptimizerState): void {
    if (state.kind !== this.kind) throw new FormatError(`loadStateDict: expected the state of ${this.kind}, got that of ${state.kind}`);
    if (state.groups.length !== this.groups.length) {
      throw new FormatError(`loadStateDict: expected ${this.groups.length} groups, got ${state.groups.length}`);
    }
    const slots = this.params.map((): Slots => ({ tensors: {}, numbers: {} }));
    for (const [key, value] of Object.entries(state.numbers)) this.#place(slots, key, (of, name) => (of.numbers[name] = value));
    for (const [key, value] of Object.entries(state.tensors)) {
      this.#place(slots, key, (of, name, p) => {
        this.checkSlot(key, value, p);
        of.tensors[name] = value;
      });
    }
    this.groups.forEach((group, i) => {
      checkOptions(group, state.groups[i] as object);
    });
    this.checkSlots(slots, state);
    this.slots.clear();
    this.params.forEach((p, i) => {
      const { numbers, tensors } = slots[i] as Slots;
      if (Object.keys(numbers).length === 0) return;
      this.slots.set(p, { numbers, tensors: Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, keep(copyOf(t))])) });
    });
    this.groups.forEach((group, i) => {
      Object.assign(group, state.groups[i]);
    });
  }

  /** Whether the loaded slots, one for each parameter, are together what a step needs. @throws FormatError if not */
  protected checkSlots(_slots: readonly Slots[], _state: OptimizerState): void {}

  /** @throws FormatError for a state tensor that is not like its parameter */
  protected checkSlot(key: string, value: Tensor, p: Tensor): void {
    if (sameShape(value.shape, p.shape) && value.dtype === p.dtype) return;
    throw new FormatError(`loadStateDict: expected ${key} to be ${p.dtype} ${show(p.shape)}, got ${value.dtype} ${show(value.shape)}`);
  }

  #place(slots: readonly Slots[], key: string, set: (slots: Slots, name: string, p: Tensor) => void): void {
    const [index = "", name = ""] = key.split(".");
    const at = Number(index);
    const [of, p] = [slots[at], this.params[at]];
    if (of === undefined || p === undefined || name === "") {
      throw new FormatError(`loadStateDict: expected names "index.slot" of ${this.params.length} parameters, got "${key}"`);
    }
    set(of, name, p);
  }
}

/** An optimiser whose step needs the gradients only. */
export abstract class Optimizer<O extends CommonOptions = CommonOptions> extends ParameterGroups<O> {
  protected constructor(kind: string, params: Parameters<O>, options: Omit<Group<O>, "params">) {
    super(kind, params, options);
    for (const { lr, weightDecay = 0 } of this.groups as readonly (Group<CommonOptions> & DecayOptions)[]) {
      requireAtLeast(this.kind, "lr", lr, 0);
      requireAtLeast(this.kind, "weightDecay", weightDecay, 0);
    }
  }

  /** The first group's learning rate; setting it sets every group's. */
  get lr(): number {
    return (this.groups[0] as Group<CommonOptions>).lr;
  }

  set lr(value: number) {
    requireAtLeast(this.kind, "lr", value, 0);
    for (const group of this.groups as readonly Group<CommonOptions>[]) group.lr = value;
  }

  /**
   * Changes every parameter that has a gradient, in place.
   * @param gradients one for each parameter in the order they were given, or null; by default each parameter's `grad`
   * @throws ShapeError for gradients that are not like their parameters; nothing is changed then
   */
  step(gradients?: readonly (Tensor | null)[]): void {
    if (gradients !== undefined && gradients.length !== this.params.length) {
      throw new ArgumentError(`${this.kind}.step: expected ${this.params.length} gradients, got ${gradients.length}`);
    }
    cannotReplay("changes parameters");
    const found = this.params.map((p, i) => (gradients === undefined ? p.grad : (gradients[i] as Tensor | null)));
    this.params.forEach((p, i) => {
      checkGradient(this.kind, p, found[i] as Tensor | null);
    });
    scope(() => {
      const updates: Update<O>[] = [];
      let i = 0;
      for (const group of this.groups) {
        for (const p of group.params) {
          const g = found[i++];
          if (g) updates.push({ p, g: dense(g), slots: this.#advance(p, group), group });
        }
      }
      this.updateAll(updates);
    });
  }

  /** What is remembered for a parameter, at its next step. */
  #advance(p: Tensor, group: Group<O>): Slots {
    let slots = this.slots.get(p);
    if (slots === undefined) {
      const { tensors, numbers } = this.initial(group);
      slots = { numbers: { step: 0, ...numbers }, tensors: {} };
      for (const [name, value] of Object.entries(tensors)) slots.tensors[name] = keep(full(p.shape, value, p.dtype));
      this.slots.set(p, slots);
    }
    slots.numbers.step = (slots.numbers.step as number) + 1;
    return slots;
  }

  protected override checkSlots(slots: readonly Slots[], state: OptimizerState): void {
    let i = 0;
    this.groups.forEach((group, g) => {
      const { tensors, numbers } = this.initial({ ...group, ...state.groups[g] });
      const expected = namesOf({ tensors, numbers: { step: 0, ...numbers } });
      for (const _ of group.params) {
        const got = namesOf(slots[i] as Slots);
        if (got !== "" && got !== expected) throw new FormatError(`loadStateDict: expected ${expected} for parameter ${i}, got ${got}`);
        i++;
      }
    });
  }

  /** Names and first values of what is remembered for a parameter. */
  protected abstract initial(group: Group<O>): InitialSlots;

  /** One step of one parameter; `slots.numbers.step` is already this step's number, from 1. */
  protected abstract update(p: Tensor, g: Tensor, slots: Slots, group: Group<O>): void;

  /** One step of every parameter that has a gradient; one after the other, unless a kernel takes several. */
  protected updateAll(updates: readonly Update<O>[]): void {
    for (const { p, g, slots, group } of updates) this.update(p, g, slots, group);
  }
}

function namesOf({ tensors, numbers }: { readonly tensors: object; readonly numbers: object }): string {
  return [...Object.keys(tensors), ...Object.keys(numbers)].sort().join(", ");
}

/** Saved options must be of the kinds in use: what a file says is not to be trusted. */
function checkOptions(own: object, saved: object): void {
  const kinds = (options: object): string =>
    Object.entries(options)
      .filter(([name]) => name !== "params")
      .map(
        ([name, value]) =>
          `${name}: ${Array.isArray(value) ? `numbers[${value.filter((x) => typeof x === "number").length}]` : typeof value}`,
      )
      .sort()
      .join(", ");
  if ("params" in saved || kinds(saved) !== kinds(own)) {
    throw new FormatError(`loadStateDict: expected options ${kinds(own)}, got ${kinds(saved)}`);
  }
}

/** The sign of the gradient: −1 climbs. */
export function signOf(group: { readonly maximize: boolean }): number {
  return group.maximize ? -1 : 1;
}

/** The address of a remembered tensor; 0 if there is none of this name. */
export function addressOf(slots: Slots, name: string): number {
  return slots.tensors[name]?.ptr ?? 0;
}

/** base^n for whole n ≥ 0 by repeated squaring: Math.pow may differ between hosts. */
export function power(base: number, n: number): number {
  let result = 1;
  for (let square = base, left = n; left > 0; left = Math.floor(left / 2), square *= square) {
    if (left % 2 === 1) result *= square;
  }
  return result;
}

export function requireAtLeast(op: string, name: string, value: number, least: number): void {
  if (!(value >= least && value < Number.POSITIVE_INFINITY)) {
    throw new ArgumentError(`${op}: expected a finite ${name} of at least ${least}, got ${value}`);
  }
}

/** Rejects what is outside [0, 1). */
export function requireFraction(op: string, name: string, value: number): void {
  if (!(value >= 0 && value < 1)) throw new ArgumentError(`${op}: expected ${name} in [0, 1), got ${value}`);
}

function checkParameter(op: string, p: Tensor): void {
  if (!(p instanceof Tensor)) throw new ArgumentError(`${op}: expected tensors as parameters, got ${typeof p}`);
  if (!isFloat(p.dtype)) throw new DTypeError(`${op}: expected float parameters, got ${p.dtype}`);
  if (p.node !== null || !p.requiresGrad)
    throw new StateError(`${op}: expected leaves with requiresGrad, got a tensor ${show(p.shape)} that is not`);
  if (!p.isContiguous) throw new ShapeError(`${op}: expected contiguous parameters, got strides ${show(p.strides)} of ${show(p.shape)}`);
}

function checkGradient(op: string, p: Tensor, g: Tensor | null): void {
  if (g === null) return;
  if (!sameShape(g.shape, p.shape)) throw new ShapeError(`${op}.step: expected a gradient of shape ${show(p.shape)}, got ${show(g.shape)}`);
  if (g.dtype !== p.dtype) throw new DTypeError(`${op}.step: expected a ${p.dtype} gradient, got ${g.dtype}`);
}
