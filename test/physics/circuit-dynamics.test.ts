import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/base/errors.ts";
import { add, mul } from "../../src/ops/arithmetic.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { cast } from "../../src/ops/cast.ts";
import { select, slice } from "../../src/ops/shape.ts";
import {
  type Circuit,
  type CircuitCourse,
  type CircuitGradients,
  type CircuitRunOptions,
  DynamicCircuit,
  type DynamicCircuitOptions,
  MemristiveCircuit,
} from "../../src/physics/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { normals, randomCircuit } from "./circuits.ts";

const vector = (values: ArrayLike<number>) => tensor(Float64Array.from(values));
const rowsOf = (t: Tensor) => t.toArray() as number[][];
const triangle: Circuit = { nodes: 3, branches: [[0, 1], [1, 2], [2, 0]] }; // biome-ignore format: short

/** A circuit of ten nodes whose states stay within (0, 1), with both kinds of equations for it. */
function tenNodes(full: "on" | "off" = "on") {
  const circuit = randomCircuit(3, 10, 0.3);
  const m = circuit.branches.length;
  const options = { circuit, sources: normals(3, m, 0.3), alpha: full === "on" ? 0.4 : -0.4, beta: 2, on: 0.5, off: 2, full } as const;
  const start = Array.from(new Generator(5).uniform([m], 0.4, 0.6, "float64").data(), Number);
  return { options, start, m };
}

/** The states after a time by elimination: the equation of Caravelli, Traversa and Di Ventra, by the classical Runge-Kutta method. */
function eliminated(network: MemristiveCircuit, start: readonly number[], steps: number, dt: number): number[] {
  const slope = (w: readonly number[]) => Array.from(network.slope(vector(w)).data(), Number);
  const moved = (w: readonly number[], k: readonly number[], h: number) => w.map((v, i) => v + h * (k[i] as number));
  let w = [...start];
  for (let n = 0; n < steps; n++) {
    const k1 = slope(w);
    const k2 = slope(moved(w, k1, dt / 2));
    const k3 = slope(moved(w, k2, dt / 2));
    const k4 = slope(moved(w, k3, dt));
    w = w.map((v, i) => v + (dt / 6) * ((k1[i] as number) + 2 * (k2[i] as number) + 2 * (k3[i] as number) + (k4[i] as number)));
  }
  return w;
}

const last = ({ states }: CircuitCourse) => rowsOf(states).at(-1) as number[];
const gap = (a: readonly number[], b: readonly number[]) => a.reduce((most, v, i) => Math.max(most, Math.abs(v - (b[i] as number))), 0);

describe("circuits as differential-algebraic equations", () => {
  it.each(["on", "off"] as const)("full %s: the course is that of the equation with potentials eliminated, in the order of each method", (full) => {
    const { options, start } = tenNodes(full);
    const network = new DynamicCircuit(options);
    const wanted = eliminated(new MemristiveCircuit(options), start, 50, 0.02);
    expect(gap(wanted, start) > 0.05 && Math.min(...wanted) > 0 && Math.max(...wanted) < 1).toBe(true);
    const error = (method: CircuitRunOptions["method"], steps: number) =>
      gap(last(network.run(vector(start), { steps, dt: 1 / steps, method: method as "bdf2" })), wanted);
    for (const [method, order] of [["implicit-euler", 1], ["trapezoid", 2], ["bdf2", 2]] as const) {
      const [coarse, fine] = [error(method, 20), error(method, 40)];
      expect(Math.abs(Math.log2(coarse / fine) - order) <= 0.2, `${method}: ${coarse} ${fine}`).toBe(true);
    }
    expect(error("trapezoid", 200) <= 1e-6, `${error("trapezoid", 200)}`).toBe(true);
  }); // biome-ignore format: long

  it("obeys Kirchhoff's laws at every time", () => {
    const { options, start, m } = tenNodes();
    const { states, potentials } = new DynamicCircuit(options).run(vector(start), {
      steps: 5,
      signal: (t) => new Array(m).fill(Math.sin(t)),
    });
    const { circuit, sources, on, off } = options;
    rowsOf(states).forEach((w, n) => {
      const phi = rowsOf(potentials)[n] as number[];
      const into = new Array<number>(10).fill(0);
      circuit.branches.forEach(([from, to], k) => {
        const e = (sources[k] as number) + Math.sin(n * 0.02) - (phi[to] as number) + (phi[from] as number);
        const i = e / (off * (1 - (w[k] as number)) + on * (w[k] as number));
        into[from] = (into[from] as number) - i;
        into[to] = (into[to] as number) + i;
      });
      for (const total of into) expect(Math.abs(total) <= 1e-12).toBe(true);
      expect(phi[0]).toBe(0);
    });
  });

  it("a capacitor charges through a resistor: V (1 − exp(−t/RC)), and two in series share it by their capacitances", () => {
    const loop = new DynamicCircuit({ circuit: triangle, sources: [6, 0, 0], elements: [{ resistance: 2 }, { capacitance: 0.5 }, { capacitance: 1 }] });
    const { states, times } = loop.run(vector([0, 0]), { steps: 1000, dt: 0.002 });
    // C = 1/3 in series, so RC = 2/3.
    rowsOf(states).forEach(([one, two], n) => {
      const both = 6 * (1 - Math.exp(-(times[n] as number) / (2 / 3)));
      expect(Math.abs((one as number) - (2 / 3) * both) <= 1e-5 && Math.abs((two as number) - both / 3) <= 1e-5).toBe(true);
    });
  }); // biome-ignore format: long

  it("a step may be a hundred times longer than the fastest part of a stiff circuit", () => {
    const loop = new DynamicCircuit({ circuit: triangle, sources: [1, 0, 0], elements: ["memristor", { capacitance: 1e-5 }, { resistance: 1e-3 }], on: 0.5, off: 1 });
    const { states } = loop.run(vector([0.5, 0]), { steps: 50, dt: 0.02, method: "bdf2" });
    expect(Math.abs((last({ states } as CircuitCourse)[1] as number) - 1) <= 1e-3).toBe(true);
  }); // biome-ignore format: long

  it("holds a state at its bound until its current turns: both times and the way back are the closed form", () => {
    // One memristor, one resistor, alpha 0: dw/dt = e / (beta R(w)), in a loop of R(w) + 1 in all.
    const circuit: Circuit = { nodes: 2, branches: [[0, 1], [1, 0]] }; // biome-ignore format: short
    const loop = new DynamicCircuit({ circuit, sources: [0, 0], elements: ["memristor", { resistance: 1 }], alpha: 0, on: 0.5, off: 1 });
    const signal = (t: number) => [t <= 1.5 ? 2 : -2, 0];
    const { states, times } = loop.run(vector([0.2]), { steps: 3000, dt: 1e-3, signal });
    const w = rowsOf(states).map(([v]) => v as number);
    // (2 − w/2) dw = 2 dt: 2 (w − w0) − (w² − w0²)/4 = 2 t.
    const upAt = (to: number) => (2 * (to - 0.2) - (to * to - 0.04) / 4) / 2;
    const reached = times[w.indexOf(1)] as number;
    expect(Math.abs(reached - upAt(1)) <= 2e-3, `${reached} ${upAt(1)}`).toBe(true);
    expect(w.every((v, n) => (times[n] as number) <= reached || (times[n] as number) > 1.499 || v === 1)).toBe(true);
    // The way back is the way there, from 1.
    const back = w.findIndex((v, n) => (times[n] as number) > 1.51 && v <= 0.6);
    expect(Math.abs((times[back] as number) - 1.5 - (upAt(1) - upAt(0.6))) <= 3e-3).toBe(true);
    // The other way round: down to 0, which takes −upAt(0), and up again.
    for (const method of ["implicit-euler", "trapezoid", "bdf2"] as const) {
      const run = loop.run(vector([0.2]), { steps: 1250, dt: 2e-3, method, signal: (t) => [-(signal(t)[0] as number), 0] });
      const low = rowsOf(run.states).map(([v]) => v as number);
      const at = (n: number) => run.times[n] as number;
      expect(Math.abs(at(low.indexOf(0)) + upAt(0)) <= 5e-3, method).toBe(true);
      expect(low.every((v, n) => at(n) < 1 || at(n) > 1.498 || v === 0)).toBe(true);
      // Implicit Euler looks at the end of a step only, and so lets go in the very step in which the current has turned.
      const turned = run.times.findIndex((t) => t > 1.5);
      if (method === "implicit-euler") expect([low[turned - 1], (low[turned] as number) > 0]).toEqual([0, true]);
      const up = low.findIndex((v, n) => at(n) > 1.51 && v >= 0.6);
      expect(Math.abs(at(up) - 1.5 - (upAt(0.6) - upAt(0))) <= 6e-3, method).toBe(true);
    }
  });
});

/** A number that depends on all states and potentials, of all times. */
function cost({ states, potentials }: CircuitCourse): Tensor {
  return add(sum(mul(states, states)), mul(sum(mul(slice(potentials, 0, 1, potentials.dim(0)), slice(potentials, 0, 0, potentials.dim(0) - 1))), 0.3));
} // biome-ignore format: long

/** Central differences of a cost by every number of the options. */
function differences(options: Required<Pick<DynamicCircuitOptions, "on" | "off" | "alpha" | "beta">> & DynamicCircuitOptions, start: readonly number[], run: CircuitRunOptions) {
  const value = (o: DynamicCircuitOptions, s: readonly number[]) => cost(new DynamicCircuit(o).run(vector(s), run)).item();
  const slope = (of: (d: number) => number) => (of(1e-5) - of(-1e-5)) / 2e-5;
  const at = (list: readonly number[], k: number, d: number) => list.map((v, i) => (i === k ? v + d : v));
  const S = Array.from(options.sources);
  const elements = options.elements ?? S.map(() => "memristor" as const);
  return {
    start: start.map((_, k) => slope((d) => value(options, at(start, k, d)))),
    sources: S.map((_, k) => slope((d) => value({ ...options, sources: at(S, k, d) }, start))),
    elements: elements.map((element, k) =>
      element === "memristor"
        ? 0
        : slope((d) => {
            const changed = "resistance" in element ? { resistance: element.resistance + d } : { capacitance: element.capacitance + d };
            return value({ ...options, elements: elements.map((e, i) => (i === k ? changed : e)) }, start);
          }),
    ),
    ...(Object.fromEntries(
      (["on", "off", "alpha", "beta"] as const).map((name) => [name, slope((d) => value({ ...options, [name]: options[name] + d }, start))]),
    ) as Record<"on" | "off" | "alpha" | "beta", number>),
  };
} // biome-ignore format: long

function expectGradients(got: CircuitGradients, wanted: ReturnType<typeof differences>, tolerance = 1e-5): void {
  const flat = (g: ReturnType<typeof differences> | CircuitGradients) => [
    ...g.start,
    ...g.sources,
    ...g.elements,
    g.on,
    g.off,
    g.alpha,
    g.beta,
  ];
  const size = Math.max(...flat(wanted).map(Math.abs));
  flat(got).forEach((v, i) => {
    const want = flat(wanted)[i] as number;
    expect(Math.abs(v - want) <= tolerance * Math.max(Math.abs(want), 1e-2 * size), `${i}: ${v} ${want}`).toBe(true);
  });
}

describe("gradients of a circuit's course", () => {
  it.each(["implicit-euler", "trapezoid", "bdf2"] as const)("%s: by everything, against central differences; of ten nodes and of mixed elements", (method) => {
    const { options, start } = tenNodes();
    const run = { steps: 6, dt: 0.05, method };
    const { value, ...got } = new DynamicCircuit(options).gradient(vector(start), cost, run);
    expect(value).toBe(cost(new DynamicCircuit(options).run(vector(start), run)).item());
    expectGradients({ value, ...got }, differences(options, start, run));

    const circuit: Circuit = { nodes: 4, branches: [[0, 1], [1, 2], [2, 0], [2, 3], [3, 0], [1, 3]] };
    const elements = ["memristor", { capacitance: 0.7 }, { resistance: 1.3 }, "memristor", { capacitance: 0.4 }, { resistance: 0.6 }] as const;
    for (const full of ["on", "off"] as const) {
      const mixed = { circuit, elements, sources: [1, 0.2, -0.4, 0.3, 0.1, 0], on: 0.4, off: 1.7, alpha: 0.3, beta: 2, full };
      const from = [0.5, 0.1, 0.4, -0.2];
      const signal = (t: number) => [Math.sin(3 * t), 0, 0, Math.cos(2 * t), 0, 0];
      const options = { ...run, signal };
      expectGradients(new DynamicCircuit(mixed).gradient(vector(from), cost, options), differences(mixed, from, options));
    }
  }); // biome-ignore format: long

  it("of a state at its bound is that of the steps as they are made", () => {
    const options = { circuit: triangle, sources: [1.5, 0.3, 0.2], elements: ["memristor", "memristor", { resistance: 0.5 }], on: 0.5, off: 1, alpha: 0.1, beta: 1, full: "on" } as const;
    for (const method of ["implicit-euler", "trapezoid", "bdf2"] as const) {
      const run = { steps: 30, dt: 0.05, method };
      const network = new DynamicCircuit(options);
      const held = rowsOf(network.run(vector([0.7, 0.3]), run).states).filter((w) => w.includes(1)).length;
      expect(held > 5 && held < 28).toBe(true);
      expectGradients(network.gradient(vector([0.7, 0.3]), cost, run), differences(options, [0.7, 0.3], run));
    }
  }); // biome-ignore format: long

  it("a user can descend along: sources that bring a circuit to states wanted", () => {
    const { options, start, m } = tenNodes();
    const run = { steps: 10, dt: 0.1 };
    const goal = vector(last(new DynamicCircuit(options).run(vector(start), run)));
    const loss = ({ states }: CircuitCourse) => {
      const off = add(select(states, 0, 10), mul(goal, -1));
      return sum(mul(off, off));
    };
    let sources = new Array<number>(m).fill(0);
    const values: number[] = [];
    for (let k = 0; k < 60; k++) {
      const { value, sources: slope } = new DynamicCircuit({ ...options, sources }).gradient(vector(start), loss, run);
      values.push(value);
      sources = sources.map((s, i) => s - 2 * (slope[i] as number));
    }
    expect((values.at(-1) as number) < 0.01 * (values[0] as number), `${values[0]} ${values.at(-1)}`).toBe(true);
  });
});

describe("a circuit called wrongly", () => {
  const make = (options: Partial<DynamicCircuitOptions>) => () => new DynamicCircuit({ circuit: triangle, sources: [1, 0, 0], ...options });
  const network = new DynamicCircuit({
    circuit: triangle,
    sources: [1, 0, 0],
    elements: ["memristor", { resistance: 1 }, { capacitance: 1 }],
  });
  const start = vector([0.5, 0]);
  const C = { capacitance: 1 };
  it.each([
    [make({ elements: [C, C, C] }), "DynamicCircuit: expected no loop of capacitors alone, got one that branch 2 closes"],
    [make({ sources: [1] }), "DynamicCircuit: expected 3 numbers of sources, got 1"],
    [make({ elements: ["memristor"] }), "DynamicCircuit: expected 3 elements, got 1"],
    [make({ elements: ["memristor", { resistance: 0 }, C] }), "DynamicCircuit: expected resistance above 0, got 0"],
    [make({ elements: ["memristor", { inductance: 1 } as never, C] }), 'DynamicCircuit: expected elements "memristor", { resistance } or { capacitance }'],
    [make({ on: 2 }), "DynamicCircuit: expected off above 2, got 1"],
    [() => network.run(vector([0.5]), { steps: 1 }), "run: expected a start [2], got [1]"],
    [() => network.run(vector([1.5, 0]), { steps: 1 }), "run: expected the start in [0, 1], got 1.5"],
    [() => network.run(start, { steps: 1, dt: 0 }), "run: expected dt above 0, got 0"],
    [() => network.run(start, { steps: 1, signal: () => [1] }), "run: expected 3 numbers of the signal, got 1"],
    [() => network.run(start, { steps: 1, method: "euler" as never }), 'run: expected method to be one of "implicit-euler", "trapezoid", "bdf2"'],
    [() => network.gradient(start, ({ states }) => cast(sum(states), "float32"), { steps: 1 }), "gradient: expected a function that gives one number, float64, got float32 []"],
    [() => network.gradient(start, ({ states }) => states, { steps: 1 }), "gradient: expected a function that gives one number, float64, got float64 [2,2]"],
  ])("is told what was expected: case %#", (call, words) => {
    expect(() => call()).toThrow(words);
  }); // biome-ignore format: long

  it("of resistors alone has no states, and its gradients by hand", () => {
    const divider = new DynamicCircuit({ circuit: { nodes: 2, branches: [[0, 1], [1, 0]] }, sources: [3, 0], elements: [{ resistance: 1 }, { resistance: 2 }] });
    const none = vector([]);
    expect(rowsOf(divider.run(none, { steps: 1 }).potentials)).toEqual([[0, 2], [0, 2]]);
    // φ = (S₀ R₁ − S₁ R₀)/(R₀ + R₁), twice.
    const { value, sources, elements, on } = divider.gradient(none, ({ potentials }) => sum(potentials), { steps: 1 });
    expect(value).toBe(4);
    [...sources, ...elements].forEach((v, i) => expect(v).toBeCloseTo([4 / 3, -2 / 3, -4 / 3, 2 / 3][i] as number, 14));
    expect(on).toBe(0);
    expect(divider.gradient(none, () => tensor(3, { dtype: "float64" }), { steps: 1 })).toMatchObject({ value: 3, alpha: 0 });
  }); // biome-ignore format: long

  it("says where a step is too long for Newton's method", () => {
    const two = new DynamicCircuit({ circuit: { nodes: 2, branches: [[0, 1], [1, 0]] }, sources: [1, 0] });
    expect(() => two.run(vector([0.2, 0.8]), { steps: 3, dt: 1e6, method: "implicit-euler" })).toThrow("run: expected equations that Newton's method solves");
  }); // biome-ignore format: long

  it("keeps nothing of the arrays that it was given, and runs no step when asked for none", () => {
    const sources = [1, 0, 0];
    const own = new DynamicCircuit({ circuit: triangle, sources });
    const before = last(own.run(vector([0.5, 0.5, 0.5]), { steps: 3 }));
    sources[0] = 9;
    expect(last(own.run(vector([0.5, 0.5, 0.5]), { steps: 3 }))).toEqual(before);
    const { states, potentials, times } = own.run(vector([0.5, 0.5, 0.5]), { steps: 0 });
    expect([states.shape, potentials.shape, times.length]).toEqual([[1, 3], [1, 3], 1]);
    const { start: byStart } = own.gradient(vector([0.5, 0.5, 0.5]), ({ states }) => sum(states), { steps: 0 });
    expect(Array.from(byStart)).toEqual([1, 1, 1]);
    expect(() => own.run(vector([0.5, 0.5, Number.NaN]), { steps: 1 })).toThrow(ArgumentError);
  }); // biome-ignore format: long
});
