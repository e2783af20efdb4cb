/** The network of a genome, which runs a step at a time. */

import { checkArrayLike, checkOneOf, checkWhole, optionsOf } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { heldTensors } from "../tensor/parts.ts";
import { empty, hostView, type Tensor } from "../tensor/tensor.ts";
import { SIGMOID, TANH } from "../wasm/codes.gen.ts";
import { call } from "../wasm/host.ts";
import { elementwise } from "../wasm/kernels.gen.ts";
import { checkGenome, genomeFault, type NeatGenome } from "./neat.ts";

export interface NeatNetworkOptions {
  /** Activation of sums s: σ(4.9 s) or tanh(s) (default "sigmoid"). */
  readonly activation?: "sigmoid" | "tanh";
  /**
   * "synchronous": every node reads the others' previous values, so an input takes one step per layer.
   * "feedforward": nodes are computed from the inputs on within a step; connections that close a cycle read the previous step (default).
   */
  readonly order?: "synchronous" | "feedforward";
}

/** The slope of the paper's sigmoid. */
const SLOPE = 4.9;

/** A connection between positions in the order of evaluation. */
interface Wire {
  readonly from: number;
  readonly to: number;
  readonly weight: number;
  /** Whether it reads the present step. */
  readonly now: boolean;
}

/**
 * A recurrent network described by a genome of NEAT. Its state is the values of its nodes.
 * @throws DTypeError for anything but a genome; ArgumentError for invalid nodes, connections or options
 */
export class NeatNetwork {
  readonly genome: NeatGenome;
  readonly #slope: number;
  readonly #code: number;
  /** The computed nodes, by level. */
  readonly #levels: readonly (readonly number[])[];
  readonly #wires: readonly (readonly Wire[])[];
  readonly #place: ReadonlyMap<number, number>;
  /** Values by position of the node: inputs, bias, then level by level. */
  #values: Float64Array;
  readonly #sums: Tensor;

  constructor(genome: NeatGenome, options: NeatNetworkOptions = {}) {
    const { activation = "sigmoid", order = "feedforward" } = optionsOf("NeatNetwork", options, ["activation", "order"]);
    checkGenome("NeatNetwork", genome);
    checkWhole("NeatNetwork", "inputs", genome.inputs);
    checkWhole("NeatNetwork", "outputs", genome.outputs, { least: 1 });
    const fault = genomeFault(genome);
    if (fault !== null) throw new ArgumentError(`NeatNetwork: expected a genome of a network, got ${fault}`);
    checkOneOf("NeatNetwork", "activation", activation, ["sigmoid", "tanh"]);
    checkOneOf("NeatNetwork", "order", order, ["synchronous", "feedforward"]);
    this.genome = genome;
    this.#slope = activation === "sigmoid" ? SLOPE : 1;
    this.#code = activation === "sigmoid" ? SIGMOID : TANH;
    const given = genome.inputs + 1;
    const computed = [...Array.from({ length: genome.outputs }, (_, k) => given + k), ...genome.hidden];
    this.#levels = order === "synchronous" ? [computed] : levelsOf(genome, computed);
    const ordered = [...Array(given).keys(), ...this.#levels.flat()];
    this.#place = new Map(ordered.map((node, place) => [node, place]));
    const levelOf = new Map(this.#levels.flatMap((nodes, level) => nodes.map((node) => [node, level] as const)));
    const open = genome.connections.filter((gene) => gene.enabled);
    this.#wires = this.#levels.map((_, level) =>
      open.flatMap(({ from, to, weight }) => {
        if (levelOf.get(to) !== level) return [];
        const place = (node: number) => this.#place.get(node) as number;
        return [{ from: place(from), to: place(to) - given, weight, now: (levelOf.get(from) ?? -1) < level }];
      }),
    );
    this.#values = new Float64Array(ordered.length);
    this.#sums = empty([computed.length], "float64");
    this.reset();
  }

  /** The tensors that a scope keeps with it. */
  [heldTensors](): Iterable<Tensor> {
    return [this.#sums];
  }

  /** Sets all nodes to zero, and the bias to one. */
  reset(): void {
    this.#values = new Float64Array(this.#values.length);
    this.#values[this.genome.inputs] = 1;
  }

  /**
   * Runs one step.
   * @returns the outputs, fresh
   * @throws ShapeError for another number of inputs; DTypeError for anything but a list
   */
  step(inputs: ArrayLike<number>): Float64Array {
    const { inputs: I, outputs: O } = this.genome;
    checkArrayLike("NeatNetwork", "inputs", inputs);
    if (inputs.length !== I) throw new ShapeError(`NeatNetwork: expected ${I} inputs, got ${inputs.length}`);
    const before = this.#values;
    const values = before.slice();
    for (let i = 0; i < I; i++) values[i] = inputs[i] as number;
    const sums = hostView(this.#sums) as Float64Array;
    let first = 0;
    this.#wires.forEach((wires, level) => {
      const count = (this.#levels[level] as readonly number[]).length;
      sums.fill(0, first, first + count);
      for (const { from, to, weight, now } of wires) sums[to] = (sums[to] as number) + weight * ((now ? values : before)[from] as number);
      for (let k = first; k < first + count; k++) sums[k] = this.#slope * (sums[k] as number);
      const ptr = this.#sums.ptr + 8 * first;
      call(elementwise, "float64", this.#code, ptr, 0, 0, 0, 0, ptr, 1, count, 1, 0, 0);
      values.set(sums.subarray(first, first + count), I + 1 + first);
      first += count;
    });
    this.#values = values;
    return Float64Array.from({ length: O }, (_, k) => values[this.#place.get(I + 1 + k) as number] as number);
  }
}

/**
 * Levels in which nodes can be computed one after another. A node follows all that lead to it; in a cycle the node with the lower number
 * comes first. Outputs are in the level where they are reached.
 */
function levelsOf(genome: NeatGenome, computed: readonly number[]): number[][] {
  const open = genome.connections.filter((gene) => gene.enabled && gene.from > genome.inputs && gene.from !== gene.to);
  const levels: number[][] = [];
  const done = new Set<number>();
  while (done.size < computed.length) {
    const rest = computed.filter((node) => !done.has(node));
    const free = rest.filter((node) => open.every((gene) => gene.to !== node || done.has(gene.from)));
    // The rest depend on each other: open a cycle at its lowest hidden node, or else output.
    const hidden = rest.filter((node) => genome.hidden.includes(node));
    const level = free.length > 0 ? free : [Math.min(...(hidden.length > 0 ? hidden : rest))];
    for (const node of level) done.add(node);
    levels.push(level);
  }
  return levels;
}
