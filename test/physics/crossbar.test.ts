import { describe, expect, it } from "vitest";
import { MemristiveCrossbar } from "../../src/physics/index.ts";
import { Generator } from "../../src/tensor/random.ts";
import { assign, tensor } from "../../src/tensor/tensor.ts";
import { thrown } from "../thrown.ts";

/** Two lines and one neuron that fires on any spike of line 0, with w = 0.5 and round numbers: exp(−dt/τ) = ½ for all three. */
function small(options: Partial<ConstructorParameters<typeof MemristiveCrossbar>[0]> = {}) {
  const half = 1 / Math.LN2;
  const crossbar = new MemristiveCrossbar({
    inputSize: 2,
    outputSize: 1,
    dt: 1,
    membraneTime: half,
    potentiationTime: half,
    depressionTime: half,
    potentiation: 0.08,
    depression: 0.04,
    gain: 1,
    threshold: 0.5,
    generator: new Generator(1),
    ...options,
  });
  if (crossbar.weight.size === 2) assign(crossbar.weight, [0.5, 0.25]);
  return crossbar;
}

const near = (got: ArrayLike<number>, expected: readonly number[]) => {
  expect(got.length).toBe(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs((got[i] as number) - value) <= 1e-12, `${Array.from(got)} for ${expected}`).toBe(true);
  });
};

describe("a crossbar", () => {
  it("steps by hand", () => {
    const crossbar = small();
    // Line 1 fires, u = 0.25: below the threshold, nothing is learned.
    expect(crossbar.run(tensor([[0, 1]])).data()[0]).toBe(0);
    near(crossbar.weight.data(), [0.5, 0.25]);
    near(crossbar.potential.data(), [0.25]);
    near(crossbar.before.data(), [0, 1]);
    // Line 0 fires: u = 0.125 + 0.5, the neuron with it. Line 1 fired one step before: half of A₊.
    expect(crossbar.run(tensor([[1, 0]])).data()[0]).toBe(1);
    near(crossbar.weight.data(), [0.58, 0.29]);
    near(crossbar.potential.data(), [0]);
    near(crossbar.before.data(), [1, 0.5]);
    near(crossbar.after.data(), [1]);
    // Line 1 fires one step after the neuron: half of A₋ is taken away. u = 0.27.
    expect(crossbar.run(tensor([[0, 1]])).data()[0]).toBe(0);
    near(crossbar.weight.data(), [0.58, 0.27]);
    near(crossbar.potential.data(), [0.27]);
    // Silence, then line 0: its w falls by A₋/8 = 0.005, u = 0.27/4 + 0.575, and grows by A₊; line 1 fired two steps ago: A₊/4.
    crossbar.run(tensor([[0, 0], [1, 0]])); // biome-ignore format: short
    near(crossbar.weight.data(), [0.655, 0.29]);
    near(crossbar.after.data(), [1]);
  });

  it("steps by hand, two neurons and a time constant of its own for potentials and either pulse", () => {
    const crossbar = small({ outputSize: 2, dt: 0.5, membraneTime: 2, potentiationTime: 1, depressionTime: 0.25 });
    assign(crossbar.weight, [0.6, 0.1, 0.2, 0.3]);
    const [u, p, q] = [Math.exp(-0.25), Math.exp(-0.5), Math.exp(-2)];
    // Line 0: neuron 0 fires at 0.6, neuron 1 is at 0.1.
    expect(Array.from(crossbar.run(tensor([[1, 0]])).data())).toEqual([1, 0]);
    near(crossbar.weight.data(), [0.68, 0.1, 0.2, 0.3]);
    near(crossbar.potential.data(), [0, 0.1]);
    // Line 1: neuron 0 fired a step before; neither fires, at 0.2 and 0.3 and what is left.
    expect(Array.from(crossbar.run(tensor([[0, 1]])).data())).toEqual([0, 0]);
    near(crossbar.weight.data(), [0.68, 0.1, 0.2 - 0.04 * q, 0.3]);
    near(crossbar.potential.data(), [0.2 - 0.04 * q, 0.1 * u + 0.3]);
    near(crossbar.before.data(), [p, 1]);
    near(crossbar.after.data(), [q, 0]);
    // Line 1 again: neuron 1 fires, and learns from both lines.
    expect(Array.from(crossbar.run(tensor([[0, 1]])).data())).toEqual([0, 1]);
    near(crossbar.weight.data(), [0.68, 0.1 + 0.08 * p * p, 0.2 - 0.04 * (q + q * q), 0.38]);
  });

  it("only the last spike of a line counts, and states stay within [0, 1]", () => {
    const crossbar = small({ gain: 0.1 });
    crossbar.run(tensor([[1, 0], [1, 0]])); // biome-ignore format: short
    near(crossbar.before.data(), [1, 0]);
    const strong = small({ potentiation: 0.9, depression: 0.9 });
    strong.run(tensor([[1, 0]]));
    near(strong.weight.data(), [1, 0.25]);
    strong.run(tensor([[0, 1]]));
    near(strong.weight.data(), [1, 0]);
  });

  it("states drift as the last spikes of independent lines and neurons make them: up above a rate of the neuron, down below", () => {
    // Line 0 alone makes the neuron fire; line 1 is too weak to. Steps of 1 ms, times of 20 ms.
    const [T, pre, change] = [120_000, 0.02, 1e-5];
    const drift = (post: number): { found: number; wanted: number; deviation: number } => {
      const crossbar = new MemristiveCrossbar({ inputSize: 2, outputSize: 1, gain: 1, threshold: 0.9, potentiation: change });
      assign(crossbar.weight, [1, 0.01]);
      assign(crossbar.working, [0, 1]);
      const generator = new Generator(4);
      const lines = [post, pre].map((rate) => generator.bernoulli([T], rate).data());
      const fired = crossbar.run(tensor(Array.from({ length: T }, (_, t) => lines.map((line) => Number(line[t])))));
      expect(Array.from(fired.data())).toEqual(Array.from(lines[0] as ArrayLike<number>, Number));
      const left = Math.exp(-1 / 20);
      // A geometric number of steps ago, coincidence with the neuron included only for the line's own trace.
      const [before, after] = [pre / (1 - (1 - pre) * left), (post * left) / (1 - (1 - post) * left)];
      const wanted = T * change * (post * before - 1.05 * pre * after);
      return { found: (crossbar.weight.data()[1] as number) - 0.01, wanted, deviation: 0.5 * change * Math.sqrt(T * (post + pre)) };
    };
    for (const post of [0.01, 0.06]) {
      const { found, wanted, deviation } = drift(post);
      expect([found, wanted].map(Math.sign)).toEqual(post > 0.0235 ? [1, 1] : [-1, -1]);
      expect(Math.abs(found - wanted) <= 2 * deviation, `${found} ${wanted} ${deviation}`).toBe(true);
      expect(Math.abs(wanted) > deviation).toBe(true);
    }
  });

  it("in competition one neuron fires and all start again", () => {
    const crossbar = new MemristiveCrossbar({ inputSize: 1, outputSize: 3, gain: 1, threshold: 0.3, competition: true });
    assign(crossbar.weight, [0.4, 0.9, 0.2]);
    expect(Array.from(crossbar.run(tensor([[1]]), { learn: false }).data())).toEqual([0, 1, 0]);
    expect(Array.from(crossbar.potential.data())).toEqual([0, 0, 0]);
    // The highest wins wherever it stands, and the first of those that are as high.
    assign(crossbar.weight, [0.4, 0.9, 0.5]);
    expect(Array.from(crossbar.run(tensor([[1]]), { learn: false }).data())).toEqual([0, 1, 0]);
    assign(crossbar.weight, [0.4, 0.9, 0.9]);
    expect(Array.from(crossbar.run(tensor([[1]]), { learn: false }).data())).toEqual([0, 1, 0]);
  });

  it("memristors that are stuck, and those of a run that is to change none, stay as they are", () => {
    const spikes = new Generator(5).bernoulli([200, 10], 0.3);
    const crossbar = new MemristiveCrossbar({
      inputSize: 10,
      outputSize: 4,
      defects: 0.4,
      potentiation: 0.05,
      generator: new Generator(3),
    });
    const before = Array.from(crossbar.weight.data());
    crossbar.run(spikes, { learn: false });
    expect(Array.from(crossbar.weight.data())).toEqual(before);
    crossbar.reset();
    expect(Array.from(crossbar.before.data()).every((p) => p === 0)).toBe(true);
    crossbar.run(spikes);
    const [after, working] = [crossbar.weight.data(), crossbar.working.data()];
    const stuck = before.filter((w, k) => working[k] === 0 && after[k] === w).length;
    expect(stuck).toBe(Array.from(working).filter((x) => x === 0).length);
    expect(stuck).toBeGreaterThan(5);
    expect(before.some((w, k) => working[k] === 1 && after[k] !== w)).toBe(true);
  });

  it("one run is two runs of its halves, and a saved state goes on", () => {
    const spikes = new Generator(7).bernoulli([60, 6], 0.4);
    const make = () => new MemristiveCrossbar({ inputSize: 6, outputSize: 2, gain: 0.4, potentiation: 0.05, generator: new Generator(9) });
    const rows = spikes.toArray() as number[][];
    const [whole, halves, resumed] = [make(), make(), make()];
    const fired = whole.run(spikes);
    const first = halves.run(tensor(rows.slice(0, 25)));
    resumed.loadStateDict(halves.stateDict());
    const second = resumed.run(tensor(rows.slice(25)));
    expect([...(first.toArray() as number[][]), ...(second.toArray() as number[][])]).toEqual(fired.toArray());
    expect(resumed.weight.toArray()).toEqual(whole.weight.toArray());
    expect((fired.toArray() as number[][]).flat().some((z) => z === 1)).toBe(true);
    expect(whole.run(tensor([], { shape: [0, 6] })).shape).toEqual([0, 2]);
  });

  it.each<[string, () => unknown, string, string]>([
    ["no lines", () => new MemristiveCrossbar({ inputSize: 0, outputSize: 1 }), "ArgumentError", "MemristiveCrossbar: expected inputSize to be a whole number of at least 1, got 0"],
    ["no time", () => small({ dt: 0 }), "ArgumentError", "MemristiveCrossbar: expected dt above 0, got 0"],
    ["more defects than devices", () => small({ defects: 2 }), "ArgumentError", "MemristiveCrossbar: expected defects in [0, 1], got 2"],
    ["bounds in the wrong order", () => small({ low: 0.5, high: 0.2 }), "ArgumentError", "MemristiveCrossbar: expected high in (0.5, 1], got 0.2"],
    ["spikes of another size", () => small().run(tensor([[1]])), "ShapeError", "run: expected spikes [T,2], got [1,1]"],
    ["spikes of three axes", () => small().run(tensor([[[1], [0]]])), "ShapeError", "run: expected spikes [T,2], got [1,2,1]"],
    ["half a spike", () => small().run(tensor([[0.5, 0]])), "ArgumentError", "run: expected spikes of 0 and 1, got 0.5"],
    ["NaN", () => small().run(tensor([[Number.NaN, 0]])), "ArgumentError", "run: expected spikes of 0 and 1, got NaN"],
    ["no tensor", () => small().run([[1, 0]] as never), "DTypeError", "run: expected a tensor"],
  ])("refuses %s", (_, call, name, message) => {
    const error = thrown(call) as Error;
    expect(error).toMatchObject({ name });
    expect(error.message).toContain(message);
  }); // biome-ignore format: a table
});
