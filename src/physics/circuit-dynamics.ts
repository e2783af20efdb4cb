/** Circuits of memristors, resistors and capacitors as differential-algebraic equations, and gradients of what they do. */

import { gradients } from "../autodiff/sweep.ts";
import { enableGrad } from "../autodiff/tape.ts";
import { checkFunction, checkList, checkNumber, checkObject, checkOneOf, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import { ones } from "../tensor/create.ts";
import { show } from "../tensor/shape.ts";
import { checkTensor, scope, type Tensor, tensor } from "../tensor/tensor.ts";
import { type Branch, type Circuit, checkCircuit } from "./circuit.ts";
import { adjointOf, type Course, type DifferentialAlgebraic, type ImplicitMethod, integrateImplicitly } from "./dae.ts";
import { type MemristorOptions, numbers } from "./memristive-network.ts";

/** What a branch has besides its source: a memristor, a resistor in ohm, or a capacitor in farad. */
export type CircuitElement = "memristor" | { readonly resistance: number } | { readonly capacitance: number };

export interface DynamicCircuitOptions extends MemristorOptions {
  readonly circuit: Circuit;
  /** S [m]: the voltage in series with each element, which drives current along its branch. */
  readonly sources: ArrayLike<number>;
  /** The element of each branch [m] (default a memristor in all). */
  readonly elements?: readonly CircuitElement[];
  /** β of the memristors, as of a `MemristiveCircuit` (default 1). */
  readonly beta?: number;
}

export interface CircuitRunOptions {
  readonly steps: number;
  /** Time of a step (default 0.02). */
  readonly dt?: number;
  /** (default "trapezoid") */
  readonly method?: ImplicitMethod;
  /** Voltages [m] that are added to the sources, as a function of time. */
  readonly signal?: (time: number) => ArrayLike<number>;
}

/** The course of a circuit. */
export interface CircuitCourse {
  readonly times: Float64Array;
  /** w of memristors and voltages of capacitors, by branch, [steps + 1, K]; the start first. Float64. */
  readonly states: Tensor;
  /** [steps + 1, nodes], that of node 0 is 0. Float64. */
  readonly potentials: Tensor;
}

/** The derivatives of one number by everything that a circuit is made of. */
export interface CircuitGradients {
  /** The number itself. */
  readonly value: number;
  /** [K] */
  readonly start: Float64Array;
  /** [m]; with a signal, by a constant that is added to it. */
  readonly sources: Float64Array;
  /** By the resistance of a resistor or the capacitance of a capacitor [m]; 0 for memristors. */
  readonly elements: Float64Array;
  readonly on: number;
  readonly off: number;
  readonly alpha: number;
  readonly beta: number;
}

/** The numbers of a circuit that there are gradients of, besides sources [m] and elements [m]. */
const SHARED = ["on", "off", "alpha", "beta"] as const;

/** The constants of all memristors. */
type Shared = Readonly<Record<(typeof SHARED)[number], number>>;

/**
 * A circuit in time: memristors w, capacitors v and resistors in the branches, each in series with a source S, by Kirchhoff's laws. With node potentials φ
 * (φ = 0 at node 0) and the voltage e = S − (φ_end − φ_begin) over an element,
 *
 *   memristor   i = e/R(w),  dw/dt = ±((R₀/β) i − α w)      as in a `MemristiveCircuit`, R₀ = R(0)
 *   resistor    i = e/R
 *   capacitor   0 = e − v,   C dv/dt = i
 *   every node  0 = Σ i, by direction
 *
 * These are differential-algebraic equations, of index 1 as long as no loop consists of capacitors alone, which is refused. `run` solves them as a whole, by an
 * implicit method with Newton's: steps may be longer than the fastest part of a stiff circuit. `gradient` differentiates any function of the course, by the
 * adjoint of the method: its cost does not grow with the number of parameters. A w that reaches 0 or 1 is held there until its current turns.
 * Float64 throughout; a step costs a few systems of K + nodes − 1 + capacitors equations.
 * @throws ShapeError for sizes that do not fit; ArgumentError for a circuit that is not connected, loops of capacitors, and numbers out of their range
 * @see Caravelli, Traversa and Di Ventra, "Complex dynamics of memristive circuits: analytical results and universal slow relaxation", 2017 (memristors);
 * Hairer and Wanner, "Solving ordinary differential equations II", 1996, chapter VI.1 (index 1, from memory)
 * @example
 * const circuit = { nodes: 3, branches: [[0, 1], [1, 2], [2, 0]] } as const;
 * const network = new DynamicCircuit({ circuit, sources: [1, 0, 0], elements: ["memristor", { resistance: 2 }, { capacitance: 0.5 }] });
 * const start = tensor([0.5, 0], { dtype: "float64" }); // w of the memristor, v of the capacitor
 * const { states } = network.run(start, { steps: 100 });
 * const { sources } = network.gradient(start, ({ states }) => mean(states), { steps: 100 });
 */
export class DynamicCircuit {
  readonly circuit: Circuit;
  readonly sources: readonly number[];
  readonly elements: readonly CircuitElement[];
  readonly on: number;
  readonly off: number;
  readonly alpha: number;
  readonly beta: number;
  readonly full: "on" | "off";
  /** Number of states: memristors and capacitors. */
  readonly size: number;

  constructor(options: DynamicCircuitOptions) {
    const op = "DynamicCircuit";
    const {
      circuit,
      sources,
      elements,
      on = 0.1,
      off = 1,
      alpha = 1,
      beta = 1,
      full = "on",
    } = optionsOf(op, options, ["circuit", "sources", "elements", "on", "off", "alpha", "beta", "full"]);
    checkCircuit(op, circuit);
    checkNumber(op, "on", on, { above: 0 });
    checkNumber(op, "off", off, { above: on });
    checkNumber(op, "alpha", alpha);
    checkNumber(op, "beta", beta, { above: 0 });
    checkOneOf(op, "full", full, ["on", "off"]);
    const m = circuit.branches.length;
    this.circuit = { nodes: circuit.nodes, branches: circuit.branches.map(([from, to]) => [from, to] as const) };
    this.sources = numbers(op, "sources", sources, m);
    this.elements = readElements(op, elements ?? new Array<CircuitElement>(m).fill("memristor"), m);
    refuseCapacitorLoops(op, this.circuit, this.elements);
    this.on = on;
    this.off = off;
    this.alpha = alpha;
    this.beta = beta;
    this.full = full;
    this.size = this.elements.filter(hasState).length;
  }

  /**
   * The course from a start [K].
   * @throws DTypeError, ShapeError, ArgumentError for a start of another size, w outside [0, 1] and options out of their range; StateError for steps that are too long
   */
  run(start: Tensor, options: CircuitRunOptions): CircuitCourse {
    const { course, equations } = this.#course("run", start, options);
    return this.#read(course, equations);
  }

  /**
   * The gradients of a function of the course: of its states [steps + 1, K] and potentials [steps + 1, nodes], with operations of the library.
   * @param of what has to be differentiated, one number
   * @throws as `run` does; ShapeError unless the function gives one number
   */
  gradient(start: Tensor, of: (course: CircuitCourse) => Tensor, options: CircuitRunOptions): CircuitGradients {
    const op = "gradient";
    checkFunction(op, "of", of);
    const { course, equations } = this.#course(op, start, options);
    const [value, costs] = scope(() =>
      enableGrad(() => {
        const seen = this.#read(course, equations);
        const watched = [seen.states, seen.potentials];
        for (const t of watched) t.requiresGrad = true;
        const result = of(seen);
        checkTensor(op, result);
        if (result.size !== 1 || result.dtype !== "float64") {
          throw new ShapeError(`${op}: expected a function that gives one number, float64, got ${result.dtype} ${show(result.shape)}`);
        }
        const [byStates, byPotentials] = gradients([result], watched, [ones(result.shape, "float64")]).map((g, i) =>
          numbersOf(g, watched[i] as Tensor),
        ) as [number[], number[]];
        return [result.item(), equations.costs(byStates, byPotentials, course.points.length)];
      }),
    ) as [number, Float64Array[]];
    const m = this.sources.length;
    const { parameters, start: byStart } = adjointOf(equations, course, costs, 2 * m + SHARED.length);
    const [on, off, alpha, beta] = parameters.subarray(2 * m) as unknown as [number, number, number, number];
    return { value, start: byStart, sources: parameters.slice(0, m), elements: parameters.slice(m, 2 * m), on, off, alpha, beta };
  }

  #course(op: string, start: Tensor, options: CircuitRunOptions): { course: Course; equations: CircuitEquations } {
    const { steps, dt = 0.02, method = "trapezoid", signal } = optionsOf(op, options, ["steps", "dt", "method", "signal"]);
    checkWhole(op, "steps", steps);
    checkNumber(op, "dt", dt, { above: 0 });
    checkOneOf(op, "method", method, ["implicit-euler", "trapezoid", "bdf2"]);
    if (signal !== undefined) checkFunction(op, "signal", signal);
    checkTensor(op, start);
    if (start.rank !== 1 || start.size !== this.size) {
      throw new ShapeError(`${op}: expected a start [${this.size}], got ${show(start.shape)}`);
    }
    const equations = new CircuitEquations(op, this, signal);
    const x = Float64Array.from(start.data(), Number);
    x.forEach((value, k) => {
      const [least, most] = equations.bounds(k);
      checkNumber(op, "the start", value, Number.isFinite(least) ? { least, most } : {});
    });
    return { course: integrateImplicitly(equations, x, { steps, dt, method }), equations };
  }

  #read({ dt, points }: Course, { nx }: CircuitEquations): CircuitCourse {
    const { nodes } = this.circuit;
    const rows = (from: number, to: number, ahead: number) =>
      Float64Array.from(points.flatMap((z) => [...new Array<number>(ahead).fill(0), ...z.subarray(from, to)]));
    return {
      times: Float64Array.from(points, (_, n) => n * dt),
      states: tensor(rows(0, nx, 0), { shape: [points.length, nx] }),
      potentials: tensor(rows(nx, nx + nodes - 1, 1), { shape: [points.length, nodes] }),
    };
  }
}

const isCapacitor = (element: CircuitElement): element is { readonly capacitance: number } =>
  typeof element === "object" && "capacitance" in element;
const hasState = (element: CircuitElement): boolean => element === "memristor" || isCapacitor(element);

function numbersOf(t: Tensor | null, like: Tensor): number[] {
  return t === null ? new Array<number>(like.size).fill(0) : Array.from(t.data(), Number);
}

/** The equations of a circuit: z = [w and v by branch, φ of nodes 1 …, i of the capacitors]. Parameters: sources, elements, SHARED. */
class CircuitEquations implements DifferentialAlgebraic {
  readonly nx: number;
  readonly ny: number;
  readonly #op: string;
  readonly #circuit: DynamicCircuit;
  readonly #signal: CircuitRunOptions["signal"];
  /** By branch: where its state is in z, and where a capacitor's current; −1 if it has none. */
  readonly #state: readonly number[];
  readonly #current: readonly number[];
  readonly #branchOf: readonly number[];
  readonly #time: { at: number; volts: readonly number[] };

  constructor(op: string, circuit: DynamicCircuit, signal: CircuitRunOptions["signal"]) {
    const { elements, size } = circuit;
    const nodes = circuit.circuit.nodes - 1;
    const places = (first: number, has: (element: CircuitElement) => boolean) => {
      let next = first;
      return elements.map((element) => (has(element) ? next++ : -1));
    };
    this.#op = op;
    this.#circuit = circuit;
    this.#signal = signal;
    this.#state = places(0, hasState);
    this.#current = places(size + nodes, isCapacitor);
    this.#branchOf = [...elements.keys()].filter((k) => hasState(elements[k] as CircuitElement));
    this.#time = { at: Number.NaN, volts: [] };
    this.nx = size;
    this.ny = nodes + elements.filter(isCapacitor).length;
  }

  bounds(k: number): readonly [low: number, high: number] {
    const element = this.#circuit.elements[this.#branchOf[k] as number] as CircuitElement;
    return element === "memristor" ? [0, 1] : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
  }

  /** ∂J/∂z at every point, from the derivatives by states and by potentials. */
  costs(byStates: readonly number[], byPotentials: readonly number[], points: number): Float64Array[] {
    const { nodes } = this.#circuit.circuit;
    return Array.from({ length: points }, (_, n) => {
      const cost = new Float64Array(this.nx + this.ny);
      cost.set(byStates.slice(n * this.nx, (n + 1) * this.nx));
      cost.set(byPotentials.slice(n * nodes + 1, (n + 1) * nodes), this.nx);
      return cost;
    });
  }

  equations(z: Float64Array, t: number): Float64Array {
    const values = new Float64Array(this.nx + this.ny);
    this.#each(z, t, ({ k, x, at, e, current, shared, place, nodes }) => {
      if (at === "memristor") values[place] = shared.sign * ((shared.empty / shared.beta) * current - shared.alpha * x);
      else if (isCapacitor(at)) {
        values[place] = current / at.capacitance;
        values[this.#current[k] as number] = e - x;
      }
      for (const [row, direction] of nodes) values[row] = (values[row] as number) + direction * current;
    });
    return values;
  }

  jacobian(z: Float64Array, t: number): number[][] {
    const rows = Array.from({ length: this.nx + this.ny }, () => new Array<number>(this.nx + this.ny).fill(0));
    const add = (r: number, c: number, value: number): void => {
      const row = rows[r] as number[];
      row[c] = (row[c] as number) + value;
    };
    this.#each(z, t, ({ k, x, at, current, resistance, shared, place, nodes }) => {
      if (isCapacitor(at)) {
        const own = this.#current[k] as number;
        add(place, own, 1 / at.capacitance);
        add(own, place, -1);
        for (const [row, direction] of nodes) {
          add(own, row, -direction);
          add(row, own, direction);
        }
        return;
      }
      // ∂i/∂φ is −B/R, and ∂i/∂w is −i R'/R.
      const byState = at === "memristor" && x >= 0 && x <= 1 ? (-current * (shared.filled - shared.empty)) / resistance : 0;
      const part = (shared.sign * shared.empty) / shared.beta;
      if (at === "memristor") add(place, place, part * byState - shared.sign * shared.alpha);
      for (const [row, direction] of nodes) {
        if (at === "memristor") {
          add(place, row, (-part * direction) / resistance);
          add(row, place, direction * byState);
        }
        for (const [column, other] of nodes) add(row, column, (-direction * other) / resistance);
      }
    });
    return rows;
  }

  addParameterGradients(z: Float64Array, t: number, weights: Float64Array, sums: Float64Array): void {
    const m = this.#circuit.sources.length;
    const add = (p: number, value: number): void => {
      sums[p] = (sums[p] as number) + value;
    };
    const full = this.#circuit.full === "on";
    const [on, off, alpha, beta] = [2 * m, 2 * m + 1, 2 * m + 2, 2 * m + 3];
    const [empty, filled] = full ? [off, on] : [on, off];
    this.#each(z, t, ({ k, x, at, current, resistance, shared, place, nodes }) => {
      // What a change of the current is worth: by the nodes, and by the memristor's own slope.
      let worth = nodes.reduce((sum, [row, direction]) => sum + direction * (weights[row] as number), 0);
      if (isCapacitor(at)) {
        add(k, weights[this.#current[k] as number] as number);
        add(m + k, (-(weights[place] as number) * current) / at.capacitance ** 2);
        return;
      }
      if (at === "memristor") {
        const own = shared.sign * (weights[place] as number);
        worth += (own * shared.empty) / shared.beta;
        add(empty, (own * current) / shared.beta);
        add(alpha, -own * x);
        add(beta, (-own * shared.empty * current) / shared.beta ** 2);
        add(empty, (-worth * current * (1 - x)) / resistance);
        add(filled, (-worth * current * x) / resistance);
      } else add(m + k, (-worth * current) / resistance);
      add(k, worth / resistance);
    });
  }

  /** Looks at every branch of a point. */
  #each(z: Float64Array, t: number, look: (branch: Seen) => void): void {
    const { elements, circuit, on, off, alpha, beta, full } = this.#circuit;
    const volts = this.#volts(t);
    const [empty, filled, sign] = full === "on" ? [off, on, 1] : [on, off, -1];
    const shared = { empty, filled, sign, alpha, beta };
    const potential = (node: number) => (node === 0 ? 0 : (z[this.nx + node - 1] as number));
    circuit.branches.forEach(([from, to], k) => {
      const at = elements[k] as CircuitElement;
      const place = this.#state[k] as number;
      const x = place < 0 ? 0 : (z[place] as number);
      const e = (volts[k] as number) - (potential(to) - potential(from));
      // Where Newton's method looks beyond 0 and 1, the resistance stays what it is there.
      const w = Math.min(1, Math.max(0, x));
      const resistance = at === "memristor" ? empty * (1 - w) + filled * w : isCapacitor(at) ? 0 : at.resistance;
      const current = isCapacitor(at) ? (z[this.#current[k] as number] as number) : e / resistance;
      look({ k, x, at, e, current, resistance, shared, place, nodes: this.#rowsOf([from, to]) });
    });
  }

  /** The equations of the nodes that a branch joins, with its direction there; none for node 0. */
  #rowsOf([from, to]: Branch): (readonly [row: number, direction: number])[] {
    const ends = [
      [from, -1],
      [to, 1],
    ] as const;
    return from === to ? [] : ends.filter(([node]) => node > 0).map(([node, direction]) => [this.nx + node - 1, direction]);
  }

  /** The sources at a time, with the signal. */
  #volts(t: number): readonly number[] {
    if (this.#signal === undefined) return this.#circuit.sources;
    if (this.#time.at !== t) {
      const added = numbers(this.#op, "the signal", this.#signal(t), this.#circuit.sources.length);
      this.#time.volts = this.#circuit.sources.map((volts, k) => volts + (added[k] as number));
      this.#time.at = t;
    }
    return this.#time.volts;
  }
}

/** A branch at a point: its state x, voltage e and current. */
interface Seen {
  readonly k: number;
  readonly at: CircuitElement;
  readonly x: number;
  readonly e: number;
  readonly current: number;
  readonly resistance: number;
  readonly shared: Omit<Shared, "on" | "off"> & { readonly empty: number; readonly filled: number; readonly sign: number };
  readonly place: number;
  readonly nodes: readonly (readonly [row: number, direction: number])[];
}

/** @throws DTypeError, ShapeError, ArgumentError */
function readElements(op: string, elements: readonly CircuitElement[], m: number): readonly CircuitElement[] {
  checkList(op, "elements", elements);
  if (elements.length !== m) throw new ShapeError(`${op}: expected ${m} elements, got ${elements.length}`);
  return elements.map((element) => {
    if (element === "memristor") return element;
    checkObject(op, "an element", element);
    const entries = Object.entries(element);
    const [name, value] = entries[0] ?? ["", 0];
    if (entries.length !== 1 || (name !== "resistance" && name !== "capacitance")) {
      throw new ArgumentError(`${op}: expected elements "memristor", { resistance } or { capacitance }, got ${quote(element)}`);
    }
    checkNumber(op, name, value, { above: 0 });
    return { ...element };
  });
}

/** Such a loop makes currents depend on derivatives of sources: the index would be 2. @throws ArgumentError */
function refuseCapacitorLoops(op: string, { nodes, branches }: Circuit, elements: readonly CircuitElement[]): void {
  const parents = Array.from({ length: nodes }, (_, node) => node);
  const root = (node: number): number => {
    const parent = parents[node] as number;
    return parent === node ? node : root(parent);
  };
  branches.forEach(([from, to], k) => {
    if (!isCapacitor(elements[k] as CircuitElement)) return;
    if (root(from) === root(to)) throw new ArgumentError(`${op}: expected no loop of capacitors alone, got one that branch ${k} closes`);
    parents[root(from)] = root(to);
  });
}
