/** Networks whose units all decide at once, from the same state: what the associative memories before Hopfield's share. */

import { checkFlag, checkWhole, optionsOf } from "../base/checks.ts";
import { zeros } from "../tensor/create.ts";
import { assign, keep, type Tensor, tensor } from "../tensor/tensor.ts";
import { EnergyModel, type Motion, type Recall, recallOf } from "./energy-model.ts";
import { addOuter, times } from "./hopfield.ts";
import { readMatrix, readPatterns, readState, sameState, stateDType } from "./states.ts";

export interface SynchronousRecallOptions {
  /** Updates of the whole net at most (default 200). */
  readonly maxSteps?: number;
  /** Whether to keep the state after every step (default false). */
  readonly trace?: boolean;
}

/** What a unit of this value becomes in a field. */
export type UnitRule = (value: number, field: number) => number;

/**
 * A net that goes from a state s to what the fields l = W s make of it, all units at once.
 *
 * Its energy is E(s) = −Σ_i |l_i|, which is −s'ᵀ W s with the next state s'. For symmetric W no update raises it, and the net ends in a fixed point
 * or a cycle of two states (Goles, Fogelman-Soulié and Pellegrin, 1985). About other W, those of sequences among them, it says nothing.
 */
export abstract class SynchronousMemory extends EnergyModel {
  override readonly size: number;
  /** W [N,N], from the unit of the column to that of the row; float64. */
  readonly weight: Tensor;
  /** Whether chance has a part in updates. */
  protected readonly noisy: boolean = false;

  constructor(op: string, size: number) {
    super();
    checkWhole(op, "size", size, { least: 1 });
    this.size = size;
    this.weight = keep(zeros([size, size], "float64"));
  }

  /** The rule of the units, for the updates of one call. */
  protected abstract rule(): UnitRule;

  /** The weights that make the fields. */
  protected couplings(): Float64Array {
    return readMatrix("weight", "weight", this.weight, this.size, this.size);
  }

  /** The energy of a state by its fields. */
  protected energyFrom(fields: Float64Array): number {
    return -fields.reduce((sum, field) => sum + Math.abs(field), 0);
  }

  /** Changes the weights by a function of plain arrays. */
  protected learn(change: (weight: Float64Array) => void): void {
    const weight = readMatrix("store", "weight", this.weight, this.size, this.size);
    change(weight);
    assign(this.weight, weight);
  }

  /** W += ξ ξᵀ/N for patterns of ±1; the diagonal stays as it is. */
  protected storeCorrelations(patterns: Tensor): void {
    const N = this.size;
    const all = readPatterns("store", "patterns", patterns, N, "spins");
    this.learn((weight) => {
      const diagonal = Float64Array.from({ length: N }, (_, i) => weight[i * N + i] as number);
      for (const pattern of all) addOuter(weight, 1 / N, pattern, pattern);
      diagonal.forEach((value, i) => {
        weight[i * N + i] = value;
      });
    });
  }

  /**
   * One update of all units: the next state [N].
   * @throws DTypeError for what is no tensor; ShapeError unless it is [N]; ArgumentError for values that units cannot have
   */
  update(state: Tensor): Tensor {
    const motion = this.motion(readState("update", "the state", state, this.size, this.values));
    motion.step();
    return tensor(motion.state, { dtype: stateDType(state, this.values) });
  }

  /**
   * Updates all units at once until the state rests, repeats itself, or `maxSteps` are done.
   * @throws DTypeError for what is no tensor; ShapeError unless it is [N]; ArgumentError for values that units cannot have, and for
   *   options out of their range
   */
  override recall(cue: Tensor, options: SynchronousRecallOptions = {}): Recall {
    const { maxSteps = 200, trace = false } = optionsOf("recall", options, ["maxSteps", "trace"]);
    checkWhole("recall", "maxSteps", maxSteps);
    checkFlag("recall", "trace", trace);
    const start = readState("recall", "the cue", cue, this.size, this.values);
    return recallOf(cue, this.values, this.motion(start), { maxSteps, trace });
  }

  protected override energyOf(state: Float64Array): number {
    return this.energyFrom(times(this.couplings(), state));
  }

  protected override motion(state: Float64Array): Motion {
    const [W, turned] = [this.couplings(), this.rule()];
    let fields = times(W, state);
    const step = (): number => {
      const next = state.map((value, i) => turned(value, fields[i] as number));
      const moved = sameState(next, state) ? 0 : 1;
      state.set(next);
      fields = times(W, state);
      return moved;
    };
    return { state, deterministic: !this.noisy, noisy: this.noisy, step, energy: () => this.energyFrom(fields) };
  }
}
