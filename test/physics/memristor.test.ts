import { describe, expect, it } from "vitest";
import { Memristor } from "../../src/physics/index.ts";
import { thrown } from "../thrown.ts";

/** Area of a half-turn of the loop of current over voltage. */
function halfArea(frequency: number): number {
  const n = 4000;
  const dt = 1 / (frequency * n);
  const { voltages, currents } = new Memristor().course(0.1, (t) => Math.sin(2 * Math.PI * frequency * t), { steps: 2 * n, dt });
  let area = 0;
  for (let k = n; k < n + n / 2; k++) area += (currents[k] as number) * ((voltages[k + 1] as number) - (voltages[k] as number));
  return Math.abs(area);
}

describe("a memristor", () => {
  it("follows the exact solution: its state is a function of the flux alone", () => {
    // φ(t) = ∫ v = (off − Δ w₀) q − Δ k q²/2 with w = w₀ + k q, Δ = off − on and k = μ on/D².
    const [w0, delta, k] = [0.1, 15900, (1e-14 * 100) / 1e-16];
    const frequency = 1;
    const flux = (t: number) => (1 - Math.cos(2 * Math.PI * frequency * t)) / (2 * Math.PI * frequency);
    const exact = (t: number) => {
      const r0 = 16000 - delta * w0;
      const q = (r0 - Math.sqrt(r0 * r0 - 2 * delta * k * flux(t))) / (delta * k);
      return w0 + k * q;
    };
    const error = (steps: number) => {
      const { states, times } = new Memristor().course(w0, (t) => Math.sin(2 * Math.PI * frequency * t), { steps, dt: 1 / steps });
      return Math.max(...states.map((w, j) => Math.abs(w - exact(times[j] as number))));
    };
    const [coarse, fine] = [error(2000), error(4000)];
    expect(fine <= 1e-3).toBe(true);
    // First order: half the step, half the error.
    expect(Math.abs(coarse / fine - 2) <= 0.1).toBe(true);
  });

  it("has a pinched loop that closes as the frequency rises", () => {
    const { voltages, currents } = new Memristor().course(0.1, (t) => Math.sin(2 * Math.PI * t), { steps: 4000, dt: 1 / 2000 });
    for (const k of [0, 1000, 2000, 3000]) {
      expect(Math.abs(voltages[k] as number) <= 1e-12).toBe(true);
      expect(Math.abs(currents[k] as number) <= 1e-12).toBe(true);
    }
    const areas = [1, 3, 10, 100].map(halfArea);
    for (let k = 1; k < areas.length; k++) expect(areas[k] as number).toBeLessThan(areas[k - 1] as number);
    expect((areas[3] as number) / (areas[0] as number)).toBeLessThan(0.05);
  });

  it("without a window stays at either end, and comes back from it", () => {
    const { states } = new Memristor().course(0.5, (t) => (t < 1 ? 2 : -2), { steps: 4000, dt: 1e-3 });
    expect([states[999], states.at(-1)]).toEqual([1, 0]);
    expect(states.every((w) => w >= 0 && w <= 1)).toBe(true);
    expect(states.some((w, k) => k > 1000 && w > 0 && w < 1)).toBe(true);
  });

  it("windows by hand", () => {
    const k = (1e-14 * 100) / 1e-16;
    const slope = (options: ConstructorParameters<typeof Memristor>[0], w: number, current: number) => new Memristor(options).drift(w, current) / (k * current);
    expect(slope({ window: "joglekar" }, 0.25, 1e-4)).toBeCloseTo(0.75, 14);
    expect(slope({ window: "joglekar", exponent: 2 }, 0.25, 1e-4)).toBeCloseTo(1 - 0.0625, 14);
    expect(slope({ window: "biolek" }, 0.25, 1e-4)).toBeCloseTo(1 - 0.0625, 14);
    expect(slope({ window: "biolek" }, 0.25, -1e-4)).toBeCloseTo(1 - 0.5625, 14);
    // At the upper end Joglekar's holds the state for good, Biolek's lets it go.
    expect(new Memristor({ window: "joglekar" }).drift(1, -1e-4)).toBe(-0);
    expect(new Memristor({ window: "biolek" }).drift(1, -1e-4)).toBeLessThan(0);
    expect(new Memristor({ window: "biolek" }).drift(1, 1e-4)).toBe(0);
  }); // biome-ignore format: short

  it.each<[string, () => unknown, string]>([
    ["a negative resistance", () => new Memristor({ on: -5 }), "Memristor: expected on above 0, got -5"],
    ["on above off", () => new Memristor({ on: 5, off: 4 }), "Memristor: expected off above 5, got 4"],
    ["half a power", () => new Memristor({ exponent: 0.5 }), "Memristor: expected exponent to be a whole number of at least 1, got 0.5"],
    ["another window", () => new Memristor({ window: "bay" as never }), 'Memristor: expected window to be one of "none", "joglekar", "biolek", got "bay"'],
    ["a misspelt option", () => new Memristor({ windw: "none" } as never), "did you mean window"],
    ["a state outside", () => new Memristor().resistance(2), "resistance: expected w in [0, 1], got 2"],
    ["a voltage of NaN", () => new Memristor().course(0.5, () => Number.NaN, { steps: 1, dt: 1 }), "course: expected voltages that is finite, got NaN"],
    ["no voltage", () => new Memristor().course(0.5, 3 as never, { steps: 1, dt: 1 }), "course: expected voltage to be a function, got 3"],
  ])("refuses %s", (_, call, message) => {
    expect((thrown(call) as Error).message).toContain(message);
  }); // biome-ignore format: a table
});
