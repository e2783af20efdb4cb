/** Shared by all optimisers: parameter groups, state, and the walk over both. */

import { checkFlag, checkIterable, checkNames, checkNumber, checkObject, isRecord, withDefaults } from "../base/checks.ts";
import { isFloat } from "../base/dtype.ts";
import { ArgumentError, DTypeError, FormatError, ShapeError, StateError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";
import { checkInPlace } from "../nn/exchanged.ts";
import { full } from "../tensor/create.ts";
import { sameShape, show } from "../tensor/shape.ts";
import { copyOf, dense } from "../tensor/strided.ts";
import { keep, refuseForeign, scope, Tensor } from "../tensor/tensor.ts";
import { cannotReplay } from "../wasm/recorder.ts";

/** Options of every optimiser. */
export interface CommonOptions {
  /** Learning rate. */
  readonly lr?: number;
  /** Whether to climb instead of descending. */
  readonly maximize?: boolean;
}

/** Options of optimisers that keep parameters small. */
export interface DecayOptions extends CommonOptions {
  /** L2 penalty: weightDecay·p is added to the gradient. */
  readonly weightDecay?: number;
}

/** Parameters with their own options; other options are the optimiser's. */
export type GroupOptions<O> = Partial<O> & { readonly params: Iterable<Tensor> };

/** An optimiser's parameters, plain or in groups. */
export type Parameters<O> = Iterable<Tensor> | Iterable<GroupOptions<O>>;

/** A group in use, with a value for every option; schedules may change them. */
export type Group<O> = { -readonly [K in keyof O]-?: Exclude<O[K], undefined> } & { readonly params: readonly Tensor[] };

/** An optimiser's memory for one parameter. */
export interface Slots {
  /** Moments and the like, of the parameter's shape. */
  readonly tensors: Record<string, Tensor>;
  /** `step` and other running numbers. */
  readonly numbers: Record<string, number>;
}

/** One parameter in a step. */
export interface Update<O> {
  readonly p: Tensor;
  /** Contiguous. */
  readonly g: Tensor;
  readonly slots: Slots;
  readonly group: Group<O>;
}

/** Initial values of slots, and the allowed values of a saved state. */
export interface InitialSlots {
  /** Initial value of each tensor's elements. */
  readonly tensors: Readonly<Record<string, number>>;
  /** Initial running numbers besides `step`. */
  readonly numbers?: Readonly<Record<string, number>>;
  /** Least and greatest value of tensors and numbers; by default any finite value. */
  readonly ranges?: Readonly<Record<string, readonly [least: number, most: number]>>;
}

/** Bounds for sums and means of squares. They only divide, so overflow to infinity does no harm. */
export const SQUARE: readonly [number, number] = [0, Number.POSITIVE_INFINITY];

/** Everything an optimiser needs to continue: numbers, and tensors named `parameter index.slot`. */
export interface OptimizerState {
  readonly kind: string;
  /** Options of each group, without its parameters. */
  readonly groups: readonly Readonly<Record<string, unknown>>[];
  readonly numbers: Readonly<Record<string, number>>;
  readonly tensors: Readonly<Record<string, Tensor>>;
}

/** Parameter groups and their saved state: the base class of first-order optimisers and of L-BFGS. */
export abstract class ParameterGroups<O extends object> {
  /** The optimiser's name in messages and saved states. */
  readonly kind: string;
  readonly groups: readonly Group<O>[];
  readonly params: readonly Tensor[];
  protected readonly slots: Map<Tensor, Slots> = new Map();

  protected constructor(kind: string, params: Parameters<O>, defaults: Omit<Group<O>, "params">, options: Partial<O> = {}) {
    this.kind = kind;
    checkIterable(kind, "parameters", params);
    checkObject(kind, "options", options);
    const given = [...params];
    if (given.length === 0) throw new ArgumentError(`${this.kind}: expected at least one parameter, got none`);
    for (const p of given) refuseForeign(this.kind, p);
    const plain = given.filter((p) => p instanceof Tensor);
    if (plain.length > 0 && plain.length < given.length) {
      throw new ArgumentError(`${this.kind}: expected parameters or groups of them, got both`);
    }
    for (const group of plain.length > 0 ? [] : given) {
      checkObject(kind, "a group", group);
      checkIterable(kind, "params of a group", (group as GroupOptions<O>).params);
    }
    const lists = plain.length > 0 ? [{ params: plain }] : (given as GroupOptions<O>[]);
    const names = Object.keys(defaults);
    checkNames(kind, options, names);
    for (const group of lists as GroupOptions<O>[]) checkNames(`${kind}: a group`, group, ["params", ...names]);
    const common = withDefaults(defaults, options);
    this.groups = lists.map((group) => ({ ...withDefaults(common, group), params: [...group.params] }) as unknown as Group<O>);
    this.params = this.groups.flatMap((group) => group.params);
    for (const p of this.params) checkParameter(this.kind, p);
    if (new Set(this.params).size < this.params.length) {
      throw new ArgumentError(`${this.kind}: expected every parameter once, got one that occurs twice`);
    }
    for (const group of this.groups) this.checkGroup(group);
  }

  /** Checks a group's options, for the constructor, saved states and schedules alike. @throws ArgumentError */
  protected abstract checkGroup(group: Group<O>): void;

  /** Clears the gradients of all parameters. */
  zeroGrad(): void {
    for (const p of this.params) {
      p.grad?.dispose();
      p.grad = null;
    }
  }

  /** The present state; its tensors are the optimiser's own, not copies. */
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
   * Continues from a saved state and copies its values. Checks everything before it changes anything.
   * @throws FormatError for the state of another optimiser or of other parameters, or for values that no state of this one has
   */
  loadStateDict(state: OptimizerState): void {
    const { kind, groups, numbers, tensors } = (isRecord(state) ? state : {}) as Partial<OptimizerState>;
    if (kind !== this.kind)
      throw new FormatError(
        `loadStateDict: expected the state of ${this.kind}, got that of ${typeof kind === "string" ? shorten(kind) : quote(kind)}`,
      );
    if (!Array.isArray(groups) || groups.length !== this.groups.length) {
      throw new FormatError(
        `loadStateDict: expected ${this.groups.length} groups, got ${quote(Array.isArray(groups) ? groups.length : groups)}`,
      );
    }
    const options = this.groups.map((group, i) => this.#readOptions(group, groups[i]));
    const slots = this.#readSlots(numbers, tensors);
    this.checkSlots(slots, options);
    const copies = scope(() => slots.map((of) => (isEmpty(of) ? null : copyOfSlots(of))));
    this.slots.clear();
    this.params.forEach((p, i) => {
      const copy = copies[i];
      if (copy) this.slots.set(p, keepSlots(copy));
    });
    this.groups.forEach((group, i) => {
      Object.assign(group, options[i]);
    });
  }

  /** Checks that the loaded slots, one per parameter, together suffice for a step. @throws FormatError */
  protected abstract checkSlots(slots: readonly Slots[], groups: readonly Group<O>[]): void;

  /** @throws FormatError for a state tensor unlike its parameter */
  protected checkSlot(key: string, value: Tensor, p: Tensor): void {
    if (sameShape(value.shape, p.shape) && value.dtype === p.dtype) return;
    throw new FormatError(
      `loadStateDict: expected ${quote(key)} to be ${p.dtype} ${show(p.shape)}, got ${value.dtype} ${quote(value.shape)}`,
    );
  }

  /** A group with the options of a saved one, which are checked. */
  #readOptions(own: Group<O>, saved: unknown): Group<O> {
    const names = (options: object) =>
      quote(
        Object.keys(options)
          .filter((name) => options === saved || name !== "params")
          .sort(),
      );
    if (!isRecord(saved) || names(saved) !== names(own)) {
      throw new FormatError(`loadStateDict: expected options ${names(own)}, got ${isRecord(saved) ? names(saved) : quote(saved)}`);
    }
    const copied = Object.entries(saved).map(([name, value]) => [name, Array.isArray(value) ? [...value] : value]);
    const group = { ...own, ...Object.fromEntries(copied) } as Group<O>;
    try {
      this.checkGroup(group);
    } catch (cause) {
      throw new FormatError(`loadStateDict: expected options of ${this.kind} (${(cause as Error).message})`, { cause });
    }
    return group;
  }

  /** Saved slots by parameter. */
  #readSlots(numbers: unknown, tensors: unknown): Slots[] {
    if (!isRecord(numbers) || !isRecord(tensors)) {
      throw new FormatError(`loadStateDict: expected numbers and tensors by name, got ${quote(numbers)} and ${quote(tensors)}`);
    }
    const slots = this.params.map((): Slots => ({ tensors: {}, numbers: {} }));
    for (const [key, value] of Object.entries(numbers)) {
      if (typeof value !== "number") throw new FormatError(`loadStateDict: expected ${quote(key)} to be a number, got ${quote(value)}`);
      const { of, name } = this.#place(slots, key);
      of.numbers[name] = value;
    }
    for (const [key, value] of Object.entries(tensors)) {
      if (!(value instanceof Tensor)) throw new FormatError(`loadStateDict: expected ${quote(key)} to be a tensor, got ${quote(value)}`);
      const { of, name, p } = this.#place(slots, key);
      this.checkSlot(key, value, p);
      of.tensors[name] = value;
    }
    return slots;
  }

  /** The parameter and slot that a name "index.slot" refers to. */
  #place(slots: readonly Slots[], key: string): { readonly of: Slots; readonly name: string; readonly p: Tensor } {
    const [, index = "", name = ""] = /^(0|[1-9]\d{0,8})\.(\w+)$/.exec(key) ?? [];
    const at = index === "" ? -1 : Number(index);
    const [of, p] = [slots[at], this.params[at]];
    if (of === undefined || p === undefined || name === "__proto__") {
      throw new FormatError(`loadStateDict: expected names "index.slot" of ${this.params.length} parameters, got ${quote(key)}`);
    }
    return { of, name, p };
  }
}

/** An optimiser whose step needs only gradients. */
export abstract class Optimizer<O extends CommonOptions = CommonOptions> extends ParameterGroups<O> {
  /** The first group's learning rate; setting it sets every group's. */
  get lr(): number {
    return (this.groups[0] as Group<CommonOptions>).lr;
  }

  set lr(value: number) {
    for (const group of this.groups) this.checkGroup({ ...group, lr: value });
    for (const group of this.groups as readonly Group<CommonOptions>[]) group.lr = value;
  }

  protected override checkGroup(group: Group<O>): void {
    const { lr, weightDecay, maximize } = group as unknown as Group<CommonOptions & DecayOptions>;
    checkNumber(this.kind, "lr", lr, { least: 0 });
    // Not every optimiser has this option.
    if ("weightDecay" in group) checkNumber(this.kind, "weightDecay", weightDecay, { least: 0 });
    checkFlag(this.kind, "maximize", maximize);
  }

  /**
   * Updates every parameter that has a gradient, in place.
   * @param gradients one per parameter in their given order, or null; default each parameter's `grad`
   * @param _loss the loss with these gradients, for optimisers that use it
   * @throws ShapeError for gradients unlike their parameters, ArgumentError for a group's option that was set to a value
   *   that constructors refuse, such as a rate of NaN, StateError while averages are in the parameters' place; all leave everything unchanged
   */
  step(gradients?: readonly (Tensor | null)[], _loss?: number): void {
    if (gradients !== undefined && gradients.length !== this.params.length) {
      throw new ArgumentError(`${this.kind}.step: expected ${this.params.length} gradients, got ${gradients.length}`);
    }
    checkInPlace(`${this.kind}.step`, this.params);
    cannotReplay("changes parameters");
    for (const group of this.groups) this.checkGroup(group);
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
          if (g) updates.push({ p, g: dense(g), slots: this.slots.get(p) ?? this.#blank(p, group), group });
        }
      }
      this.#apply(updates);
    });
  }

  /** Makes the updates, or restores the running numbers if that fails. */
  #apply(updates: readonly Update<O>[]): void {
    const before = updates.map(({ slots }) => ({ ...slots.numbers }));
    try {
      for (const { slots } of updates) slots.numbers.step = (slots.numbers.step as number) + 1;
      this.updateAll(updates);
    } catch (error) {
      updates.forEach(({ slots }, i) => {
        Object.assign(slots.numbers, before[i]);
      });
      throw error;
    }
    for (const { p, slots } of updates) {
      p.storage.noteWrite();
      if (!this.slots.has(p)) this.slots.set(p, keepSlots(slots));
    }
  }

  /** The initial slots of a parameter. */
  #blank(p: Tensor, group: Group<O>): Slots {
    const { tensors, numbers } = this.initial(group);
    const slots: Slots = { numbers: { step: 0, ...numbers }, tensors: {} };
    for (const [name, value] of Object.entries(tensors)) slots.tensors[name] = full(p.shape, value, p.dtype);
    return slots;
  }

  protected override checkSlots(slots: readonly Slots[], groups: readonly Group<O>[]): void {
    let i = 0;
    for (const group of groups) {
      const { tensors, numbers, ranges = {} } = this.initial(group);
      const expected = namesOf({ tensors, numbers: { step: 0, ...numbers } });
      for (const _ of group.params) {
        const of = slots[i] as Slots;
        const got = namesOf(of);
        if (got !== "" && got !== expected)
          throw new FormatError(`loadStateDict: expected ${expected} for parameter ${i}, got ${shorten(got)}`);
        if (got !== "") checkSlotValues(i, of, ranges);
        i++;
      }
    }
  }

  /** Names and initial values of a parameter's slots. */
  protected abstract initial(group: Group<O>): InitialSlots;

  /** Runs one step of one parameter; `slots.numbers.step` is already this step's number, from 1. */
  protected abstract update(p: Tensor, g: Tensor, slots: Slots, group: Group<O>): void;

  /** Runs one step of every parameter that has a gradient; one by one, unless a kernel takes several. */
  protected updateAll(updates: readonly Update<O>[]): void {
    for (const { p, g, slots, group } of updates) this.update(p, g, slots, group);
  }
}

function namesOf({ tensors, numbers }: { readonly tensors: object; readonly numbers: object }): string {
  return [...Object.keys(tensors), ...Object.keys(numbers)].sort().join(", ");
}

function isEmpty(slots: Slots): boolean {
  return namesOf(slots) === "";
}

function copyOfSlots({ numbers, tensors }: Slots): Slots {
  return { numbers: { ...numbers }, tensors: Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, copyOf(t)])) };
}

/** Slots that outlive their scope. */
function keepSlots(slots: Slots): Slots {
  for (const t of Object.values(slots.tensors)) keep(t);
  return slots;
}

/** Checks that the values of a parameter's slots allow a step. @throws FormatError */
function checkSlotValues(i: number, { numbers, tensors }: Slots, ranges: NonNullable<InitialSlots["ranges"]>): void {
  const { step = 0, ...others } = numbers;
  if (!(Number.isSafeInteger(step) && step >= 1)) {
    throw new FormatError(`loadStateDict: expected "${i}.step" to be a whole number of at least 1, got ${step}`);
  }
  for (const [name, value] of Object.entries(others)) checkRange(`${i}.${name}`, [value], ranges[name]);
  for (const [name, t] of Object.entries(tensors)) checkRange(`${i}.${name}`, t.data(), ranges[name]);
}

/** @throws FormatError for the first value outside [least, most], by default for one that is not finite */
export function checkRange(key: string, values: ArrayLike<number>, range?: readonly [least: number, most: number]): void {
  const [least, most] = range ?? [-Number.MAX_VALUE, Number.MAX_VALUE];
  for (let k = 0; k < values.length; k++) {
    const value = values[k] as number;
    if (value >= least && value <= most) continue;
    const wanted = range === undefined ? "finite values" : `values in [${least}, ${most}]`;
    throw new FormatError(`loadStateDict: expected ${wanted} in "${key}", got ${value}`);
  }
}

/** The sign of the gradient; −1 climbs. */
export function signOf(group: { readonly maximize: boolean }): number {
  return group.maximize ? -1 : 1;
}

/** The address of a slot's tensor; 0 if there is none of this name. */
export function addressOf(slots: Slots, name: string): number {
  return slots.tensors[name]?.ptr ?? 0;
}

/** base^n for whole n ≥ 0 by repeated squaring, since Math.pow may differ between hosts. */
export function power(base: number, n: number): number {
  let result = 1;
  for (let square = base, left = n; left > 0; left = Math.floor(left / 2), square *= square) {
    if (left % 2 === 1) result *= square;
  }
  return result;
}

/** Two finite numbers. @throws ArgumentError */
export function checkPair(op: string, name: string, value: unknown): asserts value is readonly [number, number] {
  if (Array.isArray(value) && value.length === 2 && value.every(Number.isFinite)) return;
  throw new ArgumentError(`${op}: expected ${name} to be two finite numbers, got ${quote(value)}`);
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
