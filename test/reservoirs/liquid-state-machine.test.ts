import { describe, expect, it } from "vitest";
import { ArgumentError, DTypeError, ShapeError } from "../../src/base/errors.ts";
import { toDense } from "../../src/ops/sparse.ts";
import { scanSteps } from "../../src/recurrence/recurrence.ts";
import { type SynapseConstants, type SynapseKind, synapseConstants } from "../../src/reservoirs/liquid-circuit.ts";
import {
  currentResponse,
  LiquidStateMachine,
  type LiquidStateMachineOptions,
  neuronConstants,
} from "../../src/reservoirs/liquid-state-machine.ts";
import { SilencingLayer } from "../../src/reservoirs/silencing.ts";
import { zeros } from "../../src/tensor/create.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, type Tensor, tensor } from "../../src/tensor/tensor.ts";

const numbers = (t: Tensor) => Array.from(t.data(), Number);

function liquid(options: Partial<LiquidStateMachineOptions> = {}): LiquidStateMachine {
  return new LiquidStateMachine({ inputSize: 2, grid: [2, 2, 3], dtype: "float64", generator: new Generator(3), ...options });
}

describe("a neuron", () => {
  it("under a current that decays: the closed form of the membrane, whatever the step", () => {
    const [tm, ts] = [neuronConstants.membrane, neuronConstants.synapse.excitatory];
    for (const interval of [1, 0.2]) {
      const cell = liquid({ interval });
      const N = cell.outputSize;
      const start = {
        ...cell.initialState(1),
        voltage: zeros([1, N], "float64"),
        excitatory: tensor([new Array(N).fill(6)], { dtype: "float64" }),
      };
      let state: ReturnType<LiquidStateMachine["initialState"]> = start;
      for (let k = 0; k < Math.round(10 / interval); k++) [, state] = cell.step(zeros([1, 2], "float64"), state);
      const t = 10;
      const want = 13.5 * (1 - Math.exp(-t / tm)) + (6 * ts * (Math.exp(-t / tm) - Math.exp(-t / ts))) / (tm - ts);
      for (const v of numbers(state.voltage)) expect(Math.abs(v - want) <= 1e-12, `${v} ${want}`).toBe(true);
      for (const i of numbers(state.excitatory)) expect(Math.abs(i - 6 * Math.exp(-t / ts)) <= 1e-12).toBe(true);
    }
  });

  it("of equal time constants: the limit of unequal ones", () => {
    const constants = { membrane: 30, resistance: 1 };
    const [at, near] = [currentResponse(1, 30, constants), currentResponse(1, 30.0001, constants)];
    expect(Math.abs(at - near) <= 1e-6).toBe(true);
    expect(Math.abs(at - (1 / 30) * Math.exp(-1 / 30)) <= 1e-15).toBe(true);
  });

  it("fires at the threshold, is reset and rests for 3 ms or 2 ms, and the readout sees it fade", () => {
    const cell = liquid({ inputProbability: 0, scale: 1e-9 });
    const N = cell.outputSize;
    const strong = (state: ReturnType<LiquidStateMachine["initialState"]>) => ({
      ...state,
      excitatory: tensor([new Array(N).fill(200)], { dtype: "float64" }),
    });
    let state = strong(cell.initialState(1));
    const trains: number[][] = [];
    for (let k = 0; k < 12; k++) {
      [, state] = cell.step(zeros([1, 2], "float64"), state);
      trains.push(numbers(state.spikes).slice(0, N));
      state = strong(state);
    }
    cell.circuit.inhibitory.forEach((inhibits, i) => {
      const times = trains.flatMap((train, k) => (train[i] === 1 ? [k] : []));
      // It fires in every step that it does not rest in.
      expect(times.slice(0, 3)).toEqual(inhibits ? [0, 3, 6] : [0, 4, 8]);
    });
    const faded = numbers(
      cell.step(zeros([1, 2], "float64"), { ...cell.initialState(1), trace: tensor([new Array(N).fill(2)], { dtype: "float64" }) })[0],
    );
    for (const v of faded) expect(Math.abs(v - 2 * Math.exp(-1 / 30)) <= 1e-12).toBe(true);
  });
});

describe("a synapse", () => {
  /** Amplitudes u·R of the first five spikes at 20 Hz, by the recursion of Markram, Wang and Tsodyks. */
  const published: Record<SynapseKind, readonly number[]> = {
    EE: [0.5, 0.3091, 0.151, 0.0839, 0.0584],
    EI: [0.05, 0.0924, 0.1255, 0.1503, 0.1685],
    IE: [0.25, 0.2036, 0.1581, 0.1264, 0.1047],
    II: [0.32, 0.3208, 0.2715, 0.2412, 0.2271],
  };

  it.each(Object.keys(published) as SynapseKind[])("%s depresses and facilitates as published, at 20 Hz", (kind) => {
    const cell = liquid();
    const { use, depression, facilitation } = synapseConstants[kind];
    const S = cell.circuit.synapses.length;
    assign(cell.use, new Array(S).fill(use));
    assign(cell.depression, new Array(S).fill(Math.exp(-1 / depression)));
    assign(cell.facilitation, new Array(S).fill(Math.exp(-1 / facilitation)));
    const N = cell.outputSize;
    const [quiet, all] = [0, 1].map((v) => tensor([new Array(cell.arrivals.size[1]).fill(v)], { dtype: "float64" })) as [Tensor, Tensor];
    // Neurons far below threshold: what arrives is told by the currents alone.
    const calm = (s: ReturnType<LiquidStateMachine["initialState"]>) => ({
      ...s,
      voltage: zeros([1, N], "float64"),
      excitatory: zeros([1, N], "float64"),
      inhibitory: zeros([1, N], "float64"),
    });
    let state = calm(cell.initialState(1));
    const target = cell.circuit.synapses.findIndex(({ amplitude }) => amplitude > 0);
    const row = cell.circuit.synapses[target]?.to as number;
    const total = cell.circuit.synapses
      .filter(({ to, amplitude }) => to === row && amplitude > 0)
      .reduce((sum, { amplitude }) => sum + amplitude, 0);
    const got: number[] = [];
    for (let t = 0; t <= 200; t++) {
      [, state] = cell.step(zeros([1, 2], "float64"), calm({ ...state, spikes: t % 50 === 0 ? all : quiet }));
      if (t % 50 === 0) got.push((numbers(state.excitatory)[row] as number) / (total * Math.exp(-1 / 3)));
    }
    published[kind].forEach((want, k) => {
      expect(Math.abs((got[k] as number) - want) <= 6e-5, `${got}`).toBe(true);
    });
  });
});

/** The library's constants with something else in all kinds. */
function constantsWith(change: Partial<SynapseConstants>): Record<SynapseKind, SynapseConstants> {
  return Object.fromEntries(Object.entries(synapseConstants).map(([k, c]) => [k, { ...c, ...change }])) as Record<
    SynapseKind,
    SynapseConstants
  >;
}

describe("the circuit", () => {
  it("is drawn as asked for: a fifth inhibits, signs by kind, near neurons more often than far ones", () => {
    const cell = liquid({ grid: [3, 3, 15], generator: new Generator(5) });
    const { inhibitory, synapses } = cell.circuit;
    expect(inhibitory.filter(Boolean).length).toBe(27);
    const at = (i: number) => [i % 3, Math.floor(i / 3) % 3, Math.floor(i / 9)];
    const expected = { EE: 0, EI: 0, IE: 0, II: 0 };
    inhibitory.forEach((from, i) => {
      inhibitory.forEach((to, j) => {
        const squared = at(i).reduce((sum, v, axis) => sum + (v - (at(j)[axis] as number)) ** 2, 0);
        const kind = `${from ? "I" : "E"}${to ? "I" : "E"}` as SynapseKind;
        if (i !== j) expected[kind] += synapseConstants[kind].probability * Math.exp(-squared / 4);
      });
    });
    for (const kind of Object.keys(expected) as SynapseKind[]) {
      const found = synapses.filter((s) => s.kind === kind).length;
      expect(Math.abs(found - expected[kind]) <= 4 * Math.sqrt(expected[kind]), `${kind} ${found} ${expected[kind]}`).toBe(true);
    }
    for (const s of synapses) {
      expect(
        s.from !== s.to && Math.sign(s.amplitude) === (inhibitory[s.from] ? -1 : 1) && s.use > 0 && s.use <= 1 && s.depression > 0,
      ).toBe(true);
    }
    const dense = toDense(cell.excitation).toArray() as number[][];
    synapses.forEach((s, i) => {
      expect(dense[s.to]?.[i]).toBe(s.amplitude > 0 ? s.amplitude : 0);
    });
  });

  it("delays a spike by 1.5 ms or 0.8 ms, at least one step", () => {
    for (const interval of [1, 0.1]) {
      const cell = liquid({ interval });
      const columns = numbers(cell.arrivals.colIndices);
      cell.circuit.synapses.forEach(({ from, kind }, i) => {
        const steps = Math.max(1, Math.round((kind === "EE" ? 1.5 : 0.8) / interval));
        expect(columns[i]).toBe((steps - 1) * cell.outputSize + from);
      });
    }
  });

  it("runs by replay as step by step, and each sample of a batch as alone", () => {
    const cell = liquid({ scale: 3 });
    const xs = new Generator(6).bernoulli([40, 3, 2], 0.3, "float64");
    expect(cell.whyEager(xs)).toBe(null);
    const [ys] = cell.scan(xs);
    expect(ys.toArray()).toEqual(scanSteps(cell, xs)[0].toArray());
    expect(numbers(ys).some((v) => v > 0)).toBe(true);
    const alone = tensor(
      (xs.toArray() as number[][][]).map((step) => [step[1] as number[]]),
      { dtype: "float64" },
    );
    expect(cell.scan(alone)[0].toArray()).toEqual((ys.toArray() as number[][][]).map((step) => [step[1]]));
  });

  it("refuses options out of range", () => {
    expect(() => liquid({ interval: 0 })).toThrow(ArgumentError);
    expect(() => liquid({ inhibitory: 1.5 })).toThrow(ArgumentError);
    expect(() => liquid({ grid: [3, 3] as never })).toThrow(ShapeError);
    expect(() => liquid({ grid: null as never })).toThrow(DTypeError);
    expect(() => liquid({ inputAmplitude: [18] as never })).toThrow(ShapeError);
    expect(() => liquid({ inputAmplitude: 18 as never })).toThrow(DTypeError);
    expect(() => liquid({ inputAmplitude: [18, Number.NaN] })).toThrow(ArgumentError);
    expect(() => liquid({ dynamicSynapses: 1 as never })).toThrow(ArgumentError);
    expect(() => liquid({ synapses: {} as never })).toThrow("synapses of EE");
    expect(() => liquid({ synapses: constantsWith({ delay: Number.NaN }) })).toThrow("synapses of EE: delay");
    expect(() => liquid({ synapses: constantsWith({ probability: 2 }) })).toThrow("synapses of EE: probability");
  });

  it("without synapses is a bank of neurons, each by itself", () => {
    const cell = liquid({ synapses: constantsWith({ probability: 0 }), grid: [2, 2, 1], dtype: "float64" });
    expect(cell.circuit.synapses).toEqual([]);
    const xs = new Generator(6).bernoulli([60, 1, cell.inputSize], 0.3, "float64");
    const traces = cell.scan(xs)[0].toArray() as number[][][];
    const inputs = xs.toArray() as number[][][];
    const weights = cell.weightIh.toArray() as number[][];
    const [starts, rests] = [numbers(cell.start), numbers(cell.rest)];
    let spikes = 0;
    weights.forEach((weight, i) => {
      let [V, current, resting, trace] = [starts[i] as number, 0, 0, 0];
      inputs.forEach(([x], t) => {
        current += weight.reduce((sum, w, c) => sum + w * (x?.[c] as number), 0);
        // τ_m dV/dt = −V + R (I + I_b), τ_s dI/dt = −I over 1 ms.
        const decay = Math.exp(-1 / 30);
        const driven = (current * 3 * (Math.exp(-1 / 3) - decay)) / (3 - 30);
        V = resting > 0 ? 13.5 : V * decay + driven + 13.5 * (1 - decay);
        const fires = V >= 15;
        current *= Math.exp(-1 / 3);
        resting = fires ? (rests[i] as number) : Math.max(0, resting - 1);
        trace = trace * decay + (fires ? 1 : 0);
        if (fires) [V, spikes] = [13.5, spikes + 1];
        const got = traces[t]?.[0]?.[i] as number;
        if (!(Math.abs(got - trace) <= 1e-9)) throw new Error(`neuron ${i}, step ${t}: expected ${trace}, got ${got}`);
      });
    });
    expect(spikes).toBeGreaterThan(4);
  });
});

describe("units that fall silent", () => {
  it("by hand: silent for d steps after a spike, and the mask counts before the spike", () => {
    const layer = new SilencingLayer({ inputSize: 1, hiddenSize: 2, duration: 2, threshold: 0.5, dtype: "float64" });
    assign(layer.weight, [1, 0.4]);
    assign(layer.bias, [0, 0]);
    const [zs] = layer.scan(tensor(new Array(7).fill(1), { shape: [7, 1, 1], dtype: "float64" }));
    // The first fires at 1 > 0.5 and is silent for two steps; the second never fires.
    expect((zs.toArray() as number[][][]).map(([z]) => z)).toEqual([
      [1, 0.4],
      [0, 0.4],
      [0, 0.4],
      [1, 0.4],
      [0, 0.4],
      [0, 0.4],
      [1, 0.4],
    ]);
    const plain = new SilencingLayer({ inputSize: 1, hiddenSize: 2, duration: 0, dtype: "float64" });
    const xs = new Generator(1).normal([5, 2, 1], 0, 1, "float64");
    expect(plain.whyEager(xs)).toBe(null);
    const [one] = plain.scan(xs);
    const [each] = plain.step(tensor((xs.toArray() as number[][][])[4] as number[][], { dtype: "float64" }), plain.initialState(2));
    expect((one.toArray() as number[][][])[4]).toEqual(each.toArray());
  });

  it("by hand: another activation, the bias, and steps of silence that end at 0", () => {
    const layer = new SilencingLayer({ inputSize: 1, hiddenSize: 2, duration: 1, threshold: 0.5, activation: "tanh", dtype: "float64" });
    assign(layer.weight, [1, 1]);
    assign(layer.bias, [-2, 0.5]);
    const [zs, q] = layer.scan(tensor([1, 1, 1], { shape: [3, 1, 1], dtype: "float64" }));
    const wanted = [1, 1, 1].map((_, t) => [Math.tanh(-1), t === 1 ? 0 : Math.tanh(1.5)]);
    (zs.toArray() as number[][][]).forEach(([z], t) => {
      z?.forEach((v, i) => expect(v).toBeCloseTo(wanted[t]?.[i] as number, 12));
    });
    expect(q.toArray()).toEqual([[0, 1]]);
  });

  it("with a probability of silence: that part of those that fire, as the generator draws", () => {
    const options = { inputSize: 1, hiddenSize: 400, duration: 2, threshold: 0.5, dtype: "float64", probability: 0.3 } as const;
    const layer = new SilencingLayer({ ...options, generator: new Generator(5) });
    assign(layer.weight, new Array(400).fill(1));
    assign(layer.bias, new Array(400).fill(0));
    const [zs, q] = layer.scan(tensor([1, 1], { shape: [2, 1, 1], dtype: "float64" }));
    const [first, second] = (zs.toArray() as number[][][]).map(([z]) => z as number[]) as [number[], number[]];
    expect(first.every((z) => z === 1)).toBe(true);
    const silent = second.filter((z) => z === 0).length;
    // 400 · 0.3 = 120, with a deviation of 9.2.
    expect(Math.abs(silent - 120) <= 28, `${silent}`).toBe(true);
    // Who fell silent at first has a step left, who did not may have fallen silent now.
    numbers(q).forEach((left, i) => {
      expect(second[i] === 0 ? left === 1 : left === 2 || left === 0).toBe(true);
    });
    const never = new SilencingLayer({ ...options, probability: 0, generator: new Generator(5) });
    const plain = new SilencingLayer({ ...options, probability: 1, duration: 0, generator: new Generator(5) });
    const xs = new Generator(6).normal([4, 2, 1], 0, 2, "float64");
    expect(numbers(never.scan(xs)[0])).toEqual(numbers(plain.scan(xs)[0]));
    expect(() => new SilencingLayer({ ...options, probability: 1.5 })).toThrow("SilencingLayer: expected probability in [0, 1], got 1.5");
  });

  it("tell the order of what they saw: A then B is not B then A", () => {
    const layer = new SilencingLayer({
      inputSize: 4,
      hiddenSize: 20,
      duration: 3,
      threshold: 0.1,
      generator: new Generator(2),
      dtype: "float64",
    });
    const [a, b] = [new Generator(3).normal([1, 1, 4], 0, 2, "float64"), new Generator(4).normal([1, 1, 4], 0, 2, "float64")].map(
      numbers,
    ) as [number[], number[]];
    const run = (order: number[][]) => numbers(layer.scan(tensor(order.flat(), { shape: [order.length, 1, 4], dtype: "float64" }))[1]);
    expect(run([a, b])).not.toEqual(run([b, a]));
  });

  it("refuses options out of range", () => {
    expect(() => new SilencingLayer({ inputSize: 1, hiddenSize: 1, duration: -1 })).toThrow(ArgumentError);
    expect(() => new SilencingLayer({ inputSize: 0, hiddenSize: 1 })).toThrow(ArgumentError);
  });
});
