import { checkNumber, checkObject, checkOneOf, checkWhole, finished } from "../base/checks.ts";
import { ArgumentError, DTypeError, FormatError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { checkInPlace } from "../nn/exchanged.ts";
import { zeros } from "../tensor/create.ts";
import { sameShape } from "../tensor/shape.ts";
import { dense } from "../tensor/strided.ts";
import { empty, keep, scope, Tensor } from "../tensor/tensor.ts";
import { call, view } from "../wasm/host.ts";
import { axpby } from "../wasm/kernels.gen.ts";
import { absMax, absSum, dot } from "./clip.ts";
import { type Objective, strongWolfe } from "./line-search.ts";
import { checkRange, type Group, type OptimizerState, ParameterGroups, type Slots } from "./optimizer.ts";

export interface LBFGSOptions {
  /** Step length; with a line search, the first one tried. */
  readonly lr?: number;
  /** Most iterations per `step`. */
  readonly maxIter?: number;
  /** Most evaluations per `step`; default 1.25·maxIter. */
  readonly maxEval?: number;
  /** Stops when no element of the gradient is larger. */
  readonly toleranceGrad?: number;
  /** Stops when neither the parameters nor the loss change by more. */
  readonly toleranceChange?: number;
  /** Number of pairs of step and gradient change that approximate the curvature. */
  readonly historySize?: number;
  readonly lineSearchFn?: "strongWolfe" | null;
}

/** A step s and the change of the gradient y over it, with 1/(y·s). */
interface Pair {
  readonly y: Tensor;
  readonly s: Tensor;
  readonly rho: number;
}

/** The data carried between iterations; vectors join all parameters. */
interface Memory {
  readonly direction: Tensor;
  readonly gradient: Tensor;
  pairs: Pair[];
  stepLength: number;
  /** Initial curvature: y·s/(y·y) of the newest pair. */
  diagonal: number;
  iterations: number;
}

/** The loss and its gradient at the present parameters. */
interface Here {
  readonly loss: number;
  readonly gradient: Tensor;
}

/**
 * Limited-memory BFGS: Newton's direction with an inverse Hessian from the last steps. For full batches.
 *
 *     d = −H∇f by the two-loop recursion over the pairs (s, y),  p ← p + t·d
 *
 * The step length t is lr (at first min(1, 1/‖∇f‖₁)·lr), or comes from a line search for the strong Wolfe conditions.
 * Defaults: lr 1, maxIter 20, toleranceGrad 1e-7, toleranceChange 1e-9, historySize 100, no line search.
 * @see Liu, Nocedal, "On the limited memory BFGS method for large scale optimization", 1989
 * @example
 * const optimizer = new LBFGS(model.parameters(), { lineSearchFn: "strongWolfe" });
 * const loss = optimizer.step(() => {
 *   optimizer.zeroGrad();
 *   const value = mse(model.forward(x), y);
 *   backward(value);
 *   return value;
 * });
 */
export class LBFGS extends ParameterGroups<LBFGSOptions> {
  readonly #size: number;
  #memory: Memory | null = null;

  constructor(params: Iterable<Tensor>, options: LBFGSOptions = {}) {
    checkObject("LBFGS", "options", options);
    const { maxIter = 20, maxEval = Math.floor((maxIter * 5) / 4) } = options;
    const fixed = { lr: 1, toleranceGrad: 1e-7, toleranceChange: 1e-9, historySize: 100, lineSearchFn: null };
    super("LBFGS", params, { ...fixed, maxIter, maxEval }, options);
    if (this.groups.length > 1) throw new ArgumentError(`LBFGS: expected one group of parameters, got ${this.groups.length}`);
    const dtypes = new Set(this.params.map((p) => p.dtype));
    if (dtypes.size > 1) throw new DTypeError(`LBFGS: expected parameters of one dtype, got ${[...dtypes].join(" and ")}`);
    this.#size = this.params.reduce((total, p) => total + p.size, 0);
  }

  protected override checkGroup(group: Group<LBFGSOptions>): void {
    for (const name of ["lr", "toleranceGrad", "toleranceChange"] as const) checkNumber("LBFGS", name, group[name], { least: 0 });
    for (const name of ["maxIter", "maxEval", "historySize"] as const) checkWhole("LBFGS", name, group[name], { least: 1 });
    if (group.lineSearchFn !== null) checkOneOf("LBFGS", "lineSearchFn", group.lineSearchFn, ["strongWolfe"]);
  }

  get #options(): Group<LBFGSOptions> {
    return this.groups[0] as Group<LBFGSOptions>;
  }

  get lr(): number {
    return this.#options.lr;
  }

  set lr(value: number) {
    this.checkGroup({ ...this.#options, lr: value });
    this.#options.lr = value;
  }

  /**
   * Up to maxIter iterations.
   * @param closure clears the gradients, computes the loss, calls `backward` and returns the loss
   * @returns the loss before the first change
   * @throws StateError while averages are in the parameters' place
   */
  step(closure: () => Tensor | number): number {
    checkInPlace("LBFGS.step", this.params);
    return scope(() => this.#iterate(() => scope(() => numberOf(finished("LBFGS.step", closure())))));
  }

  #iterate(closure: () => number): number {
    const { maxIter, maxEval, toleranceGrad, toleranceChange } = this.#options;
    const first = closure();
    let point: Here = { loss: first, gradient: this.#gatherGradient() };
    if (absMax(point.gradient) <= toleranceGrad) return first;
    this.#memory ??= this.#blank();
    const memory = this.#memory;
    for (let iteration = 1, evaluations = 1; iteration <= maxIter; iteration++) {
      const before = point;
      const moved = scope(() => this.#advance(memory, before, closure, iteration === maxIter));
      if (moved === null) break;
      point = moved.point;
      evaluations += moved.evaluations;
      if (evaluations >= maxEval || absMax(point.gradient) <= toleranceGrad) break;
      if (absMax(memory.direction) * memory.stepLength <= toleranceChange) break;
      if (Math.abs(point.loss - before.loss) < toleranceChange) break;
    }
    return first;
  }

  /** Runs one iteration from a point; null if the direction does not descend. */
  #advance(memory: Memory, from: Here, closure: () => number, last: boolean): { point: Here; evaluations: number } | null {
    const { lr, toleranceChange, lineSearchFn } = this.#options;
    const { direction } = memory;
    memory.iterations++;
    this.#turn(memory, from.gradient);
    copy(from.gradient, memory.gradient);
    memory.stepLength = memory.iterations === 1 ? Math.min(1, 1 / absSum(from.gradient)) * lr : lr;
    const slope = dot(from.gradient, direction);
    if (slope > -toleranceChange) return null;
    const start = this.#gatherParameters();
    const evaluate = () => ({ loss: closure(), gradient: this.#gatherGradient() });
    if (lineSearchFn !== "strongWolfe") {
      this.#moveTo(start, memory.stepLength, direction);
      // The last point is not evaluated; the next step starts with that.
      return last ? { point: from, evaluations: 0 } : { point: evaluate(), evaluations: 1 };
    }
    const objective: Objective = (t) => {
      this.#moveTo(start, t, direction);
      return { t, ...evaluate() };
    };
    const found = strongWolfe(objective, memory.stepLength, direction, { ...from, t: 0, slope }, toleranceChange);
    memory.stepLength = found.point.t;
    this.#moveTo(start, found.point.t, direction);
    return found;
  }

  /** Sets the direction from the gradient and the pairs, after adding the newest pair. */
  #turn(memory: Memory, gradient: Tensor): void {
    const { direction } = memory;
    if (memory.iterations > 1) this.#remember(memory, gradient);
    scale(-1, gradient, direction);
    if (memory.iterations === 1) return;
    const weights: number[] = [];
    for (const { y, s, rho } of memory.pairs.toReversed()) {
      const weight = dot(s, direction) * rho;
      weights.unshift(weight);
      accumulate(-weight, y, direction);
    }
    scale(memory.diagonal, direction, direction);
    memory.pairs.forEach(({ y, s, rho }, i) => {
      accumulate((weights[i] as number) - dot(y, direction) * rho, s, direction);
    });
  }

  #remember(memory: Memory, gradient: Tensor): void {
    const y = keep(this.#vector());
    const s = keep(this.#vector());
    scale(1, gradient, y);
    accumulate(-1, memory.gradient, y);
    scale(memory.stepLength, memory.direction, s);
    const curvature = dot(y, s);
    if (!(curvature > 1e-10)) {
      forget({ y, s });
      return;
    }
    if (memory.pairs.length === this.#options.historySize) forget(memory.pairs.shift() as Pair);
    memory.pairs.push({ y, s, rho: 1 / curvature });
    memory.diagonal = curvature / dot(y, y);
  }

  #vector(): Tensor {
    return empty([this.#size], (this.params[0] as Tensor).dtype);
  }

  #blank(): Memory {
    const [direction, gradient] = [keep(this.#vector()), keep(this.#vector())];
    return { direction, gradient, pairs: [], stepLength: 0, diagonal: 1, iterations: 0 };
  }

  #gatherGradient(): Tensor {
    return this.#gather((p) => p.grad);
  }

  #gatherParameters(): Tensor {
    return this.#gather((p) => p);
  }

  /** Joins one tensor per parameter into a vector; zeros for a missing one. */
  #gather(partOf: (p: Tensor) => Tensor | null): Tensor {
    const whole = zeros([this.#size], (this.params[0] as Tensor).dtype);
    const target = view(whole.dtype, whole.ptr, whole.size);
    let offset = 0;
    for (const p of this.params) {
      const part = partOf(p);
      if (part !== null) target.set(view(part.dtype, part.ptr, part.size), offset);
      offset += p.size;
    }
    return whole;
  }

  /** Parameters ← start + t·direction. */
  #moveTo(start: Tensor, t: number, direction: Tensor): void {
    let offset = 0;
    for (const p of this.params) {
      const bytes = offset * (p.dtype === "float64" ? 8 : 4);
      view(p.dtype, p.ptr, p.size).set(view(p.dtype, start.ptr + bytes, p.size));
      call(axpby, p.dtype, p.size, t, direction.ptr + bytes, 1, p.ptr);
      p.storage.noteWrite();
      offset += p.size;
    }
  }

  /** The state, kept under the first parameter's name. */
  override stateDict(): OptimizerState {
    this.slots.clear();
    if (this.#memory !== null) this.slots.set(this.params[0] as Tensor, pack(this.#memory));
    return super.stateDict();
  }

  override loadStateDict(state: OptimizerState): void {
    super.loadStateDict(state);
    const slots = this.slots.get(this.params[0] as Tensor);
    this.#memory = slots === undefined ? null : unpack(slots);
  }

  protected override checkSlots([first, ...others]: readonly Slots[], [group]: readonly Group<LBFGSOptions>[]): void {
    const names = others.flatMap(({ numbers, tensors }) => [...Object.keys(numbers), ...Object.keys(tensors)]);
    if (names.length > 0) throw new FormatError(`loadStateDict: expected a state of LBFGS under parameter 0, got ${quote(names)}`);
    const { numbers, tensors } = first as Slots;
    const known = Object.keys(numbers).length + Object.keys(tensors).length;
    if (known === 0) return;
    const { pairs, stepLength, diagonal, iterations } = unpack(first as Slots);
    const historySize = (group as Group<LBFGSOptions>).historySize;
    if (known !== 5 + 3 * pairs.length || pairs.length > historySize) {
      throw new FormatError(`loadStateDict: expected at most ${historySize} pairs of y and s with their rho, got ${pairs.length}`);
    }
    if (!(Number.isSafeInteger(iterations) && iterations >= 1)) {
      throw new FormatError(`loadStateDict: expected iterations to be a whole number of at least 1, got ${iterations}`);
    }
    checkRange("0.stepLength", [stepLength], [0, Number.MAX_VALUE]);
    for (const [name, t] of Object.entries(tensors)) checkRange(`0.${name}`, t.data());
    checkPairs(pairs, diagonal);
  }

  protected override checkSlot(key: string, value: Tensor, p: Tensor): void {
    if (sameShape(value.shape, [this.#size]) && value.dtype === p.dtype) return;
    throw new FormatError(
      `loadStateDict: expected ${quote(key)} to be ${p.dtype} [${this.#size}], got ${value.dtype} ${quote(value.shape)}`,
    );
  }
}

function pack({ direction, gradient, pairs, ...numbers }: Memory): Slots {
  const slots: Slots = { numbers: { ...numbers }, tensors: { direction, gradient } };
  pairs.forEach(({ y, s, rho }, i) => {
    slots.numbers[`rho${i}`] = rho;
    slots.tensors[`y${i}`] = y;
    slots.tensors[`s${i}`] = s;
  });
  return slots;
}

function unpack({ numbers, tensors }: Slots): Memory {
  const number = (name: string) => required(numbers[name], name);
  const vector = (name: string) => required(tensors[name], name);
  const pairs: Pair[] = [];
  while (numbers[`rho${pairs.length}`] !== undefined) {
    const i = pairs.length;
    pairs.push({ y: vector(`y${i}`), s: vector(`s${i}`), rho: number(`rho${i}`) });
  }
  return {
    direction: vector("direction"),
    gradient: vector("gradient"),
    pairs,
    stepLength: number("stepLength"),
    diagonal: number("diagonal"),
    iterations: number("iterations"),
  };
}

/** Checks that the numbers of pairs match their vectors, up to the order of summation. @throws FormatError */
function checkPairs(pairs: readonly Pair[], diagonal: number): void {
  const check = (name: string, value: number, right: number) => {
    if (!(Number.isFinite(value) && Math.abs(value - right) <= 1e-4 * value)) {
      throw new FormatError(`loadStateDict: expected ${name} to be ${right}, as its vectors have it, got ${value}`);
    }
  };
  scope(() => {
    let scaled = 1;
    for (const [i, { y, s, rho }] of pairs.entries()) {
      const [change, step] = [dense(y), dense(s)];
      const curvature = dot(change, step);
      check(`rho${i}`, rho, 1 / curvature);
      scaled = curvature / dot(change, change);
    }
    check("diagonal", diagonal, scaled);
  });
}

function required<V>(value: V | undefined, name: string): V {
  if (value === undefined) throw new FormatError(`loadStateDict: expected ${name} in the state of LBFGS, got none`);
  return value;
}

function numberOf(loss: Tensor | number): number {
  return loss instanceof Tensor ? loss.item() : loss;
}

function forget({ y, s }: Omit<Pair, "rho">): void {
  y.dispose();
  s.dispose();
}

function copy(source: Tensor, target: Tensor): void {
  view(target.dtype, target.ptr, target.size).set(view(source.dtype, source.ptr, source.size));
}

/** y ← a·x; they may be the same. */
function scale(a: number, x: Tensor, y: Tensor): void {
  if (x !== y) copy(x, y);
  call(axpby, y.dtype, y.size, 0, y.ptr, a, y.ptr);
}

/** y ← y + a·x */
function accumulate(a: number, x: Tensor, y: Tensor): void {
  call(axpby, y.dtype, y.size, a, x.ptr, 1, y.ptr);
}
