/** A single memristor: linear dopant drift after Strukov and others, with windows that slow it down near the ends. */

import { checkFunction, checkNumber, checkOneOf, checkWhole, optionsOf } from "../base/checks.ts";

/** The window that slows drift near the ends: none, Joglekar's 1 − (2w − 1)^2p, or Biolek's 1 − (w − H(−i))^2p with the step function H. */
export type MemristorWindow = "none" | "joglekar" | "biolek";

export interface DriftOptions {
  /** Resistances at w = 1 and at w = 0, in ohm (default 100 and 16000). */
  readonly on?: number;
  readonly off?: number;
  /** μ of the dopants, in m²/(V s) (default 1e-14). */
  readonly mobility?: number;
  /** D, in m (default 1e-8). */
  readonly thickness?: number;
  readonly window?: MemristorWindow;
  /** p of the window, a whole number (default 1). */
  readonly exponent?: number;
}

/** A course over time, with one value per step. */
export interface MemristorCourse {
  /** In s. */
  readonly times: Float64Array;
  /** In V. */
  readonly voltages: Float64Array;
  /** In A. */
  readonly currents: Float64Array;
  /** w before each step. */
  readonly states: Float64Array;
}

const WINDOWS: Readonly<Record<MemristorWindow, (w: number, current: number, p: number) => number>> = {
  none: () => 1,
  joglekar: (w, _, p) => 1 - evenPower(2 * w - 1, p),
  biolek: (w, current, p) => 1 - evenPower(w - (current < 0 ? 1 : 0), p),
};

/** x^2p by products, for the same bits on every host. */
function evenPower(x: number, p: number): number {
  let power = 1;
  for (let k = 0; k < p; k++) power *= x * x;
  return power;
}

/**
 * A memristor with state w in [0, 1], the doped share of its thickness:
 *
 *   v = R(w) i,   R(w) = on w + off (1 − w),   dw/dt = (μ on/D²) i · window(w, i)
 *
 * Under an alternating voltage the current passes through zero together with it, in a pinched loop that closes as the frequency rises. Takes explicit Euler steps.
 * Joglekar's window is zero at both ends, so a state that reaches one stays there; Biolek's releases it when the current reverses.
 * @throws ArgumentError for numbers that are not positive, on ≥ off, and unknown windows
 * @see Strukov, Snider, Stewart and Williams, "The missing memristor found", Nature 453, 2008; Joglekar and Wolf, "The elusive memristor: properties of
 * basic electrical circuits", 2009; Biolek, Biolek and Biolková, "SPICE model of memristor with nonlinear dopant drift", 2009. From memory.
 * @example
 * const { voltages, currents } = new Memristor().course(0.1, (t) => Math.sin(2 * Math.PI * t), { steps: 2000, dt: 1e-3 });
 */
export class Memristor {
  readonly on: number;
  readonly off: number;
  readonly mobility: number;
  readonly thickness: number;
  readonly window: MemristorWindow;
  readonly exponent: number;

  constructor(options: DriftOptions = {}) {
    const op = "Memristor";
    const {
      on = 100,
      off = 16000,
      mobility = 1e-14,
      thickness = 1e-8,
      window = "none",
      exponent = 1,
    } = optionsOf(op, options, ["on", "off", "mobility", "thickness", "window", "exponent"]);
    checkNumber(op, "on", on, { above: 0 });
    checkNumber(op, "off", off, { above: on });
    checkNumber(op, "mobility", mobility, { above: 0 });
    checkNumber(op, "thickness", thickness, { above: 0 });
    checkOneOf(op, "window", window, ["none", "joglekar", "biolek"]);
    checkWhole(op, "exponent", exponent, { least: 1 });
    this.on = on;
    this.off = off;
    this.mobility = mobility;
    this.thickness = thickness;
    this.window = window;
    this.exponent = exponent;
  }

  /** R(w), in ohm. @throws ArgumentError unless w is in [0, 1] */
  resistance(w: number): number {
    checkNumber("resistance", "w", w, { least: 0, most: 1 });
    return this.on * w + this.off * (1 - w);
  }

  /** dw/dt for a current, per second. @throws ArgumentError unless w is in [0, 1] and the current is finite */
  drift(w: number, current: number): number {
    checkNumber("drift", "w", w, { least: 0, most: 1 });
    checkNumber("drift", "the current", current);
    const { mobility, on, thickness, exponent } = this;
    return ((mobility * on) / (thickness * thickness)) * current * WINDOWS[this.window](w, current, exponent);
  }

  /**
   * The course of a memristor that starts at state w, under a voltage.
   * @param voltage in V, at a time in s
   * @throws ArgumentError for a start outside [0, 1], voltages that are not finite, and steps or dt out of their range
   */
  course(start: number, voltage: (time: number) => number, options: { readonly steps: number; readonly dt: number }): MemristorCourse {
    const { steps, dt } = optionsOf("course", options, ["steps", "dt"]);
    checkNumber("course", "start", start, { least: 0, most: 1 });
    checkFunction("course", "voltage", voltage);
    checkWhole("course", "steps", steps);
    checkNumber("course", "dt", dt, { above: 0 });
    const times = Float64Array.from({ length: steps }, (_, k) => k * dt);
    const voltages = times.map((time) => voltage(time));
    for (const value of voltages) checkNumber("course", "voltages", value);
    const states = new Float64Array(steps);
    let w = start;
    const currents = voltages.map((value, k) => {
      states[k] = w;
      const current = value / this.resistance(w);
      w = Math.min(1, Math.max(0, w + dt * this.drift(w, current)));
      return current;
    });
    return { times, voltages, currents, states };
  }
}
