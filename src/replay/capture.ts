/**
 * Captures a step: traces it and compiles programs that run it for a whole sequence.
 *
 * The addresses in a traced step's calls lie in regions: the step's inputs, the carried state, parameters, the step's own frame
 * (values that the backward step reads again), scratch. A replay gives every region a base and a stride and runs all steps in one call into
 * WebAssembly. The backward step is traced from the tape of the forward one. It accumulates gradients in the order of an eager
 * sweep, so results are the same to the bit.
 *
 * The trace alone is the key of a compiled step: whatever changes what the step does also changes the trace.
 */

import { BYTES, type DType } from "../base/dtype.ts";
import type { Shape } from "../tensor/shape.ts";
import { NO_BYTES } from "../tensor/storage.ts";
import { scope, type Tensor } from "../tensor/tensor.ts";
import { isAddress, isCallOf, mayWrite, targetOf } from "../wasm/calls.ts";
import { view } from "../wasm/host.ts";
import { copyStrided, elementwise, packWeights } from "../wasm/kernels.gen.ts";
import type { Block, RecordedCall, Recording } from "../wasm/recorder.ts";
import * as SLOTS from "../wasm/slots.gen.ts";
import type { AddedProduct } from "./deferred.ts";
import { FieldsBefore } from "./fields.ts";
import { BlockIndex, planMemory, type Use, usesOf } from "./memory.ts";
import { type Address, Program } from "./program.ts";
import type { Reach } from "./reach.ts";
import { RESULTS, type RegionKind, type Regions, regionsOf } from "./regions.ts";
import { isSame, type Listener, type Signature, signatureOf } from "./signature.ts";
import { type BackwardTrace, type ForwardTrace, Obstacle, type Recorded, type StepSpec, Tracer } from "./trace.ts";

/** A recording compiled into programs over regions: the preparation, which runs once, and the step. */
export interface Compiled {
  readonly prepare: Program;
  readonly program: Program;
  /** Bytes of the regions that the trace itself allocated: frame (per step), scratch, packed (packedBack for the backward step), history. */
  readonly bytes: Readonly<Partial<Record<RegionKind, number>>>;
}

/** A captured step, as replays need it. */
export interface CapturedStep {
  /** Everything the step does: steps with equal signatures are interchangeable. */
  readonly signature: Signature;
  readonly regions: Regions;
  readonly y: { readonly shape: Shape; readonly dtype: DType };
  readonly forward: Compiled;
  readonly backward: CapturedBackward | null;
  /** Contents of the region `constants`. */
  readonly constants: Uint8Array<ArrayBuffer>;
  /** Number of kernel calls of a forward step. */
  readonly calls: number;
}

export interface CapturedBackward extends Compiled {
  /** Products that the program leaves out, in any order, since each has a total of its own. */
  readonly deferred: readonly AddedProduct<Address>[];
  /** Index of the carried tensor that is also the output, if there is one. */
  readonly tied: number | null;
  /** Which cotangents reach which tensors. */
  readonly reach: Reach;
  /** What the step's results depend on. */
  readonly dependence: Reach;
  /** For each input, whether a gradient reaches it; for each fixed tensor, whether the step adds to its gradient. */
  readonly inputs: readonly boolean[];
  readonly fixed: readonly boolean[];
}

/** The part that gradients add (sweep.ts). It is separate, so bundles that only run a step go without. */
export interface Derivative {
  /** The outline of a step traced forward only, such that steps with equal outlines have equal sweeps. */
  outline(trace: WholeTrace): Tell;
  trace(recording: Recording, spec: StepSpec, forward: ForwardTrace): BackwardTrace;
  compile(trace: WholeTrace, back: BackwardTrace): CapturedBackward;
}

/** The blocks of memory that hold tensors, each once. */
export function blocksOf(tensors: readonly Tensor[]): Block[] {
  return [...new Set(tensors.map((t) => t.storage))];
}

/** Two traced steps are enough to compile: if later steps could differ, these two would. */
export const TRACED_STEPS = 2;

/**
 * The program of traced steps; from the cache, if compiled before.
 * @param before the fields of the step's module before the first step
 * @throws Obstacle
 */
export function compiledStep(
  tracer: Tracer,
  spec: StepSpec,
  before: FieldsBefore,
  cache: CaptureCache,
  derivative: Derivative | null,
): CapturedStep {
  if (before.changed) throw new Obstacle("sets fields of its module");
  const { steps, constants } = tracer;
  if (derivative === null) {
    const traces = steps.map((step) => new WholeTrace(spec, step, null, constants));
    return cache.find(traces) ?? cache.add(compile(traces, null));
  }
  const outlines = steps.map((step) => derivative.outline(new WholeTrace(spec, step, null, constants)));
  const known = cache.findOutlined(outlines);
  if (known !== undefined) return known;
  const traces = before.kept(() =>
    steps.map((step) => new WholeTrace(spec, step, derivative.trace(tracer.trial(), spec, step), constants)),
  );
  if (traces === null) throw new Obstacle("has a rule of its gradient that sets fields of its module");
  const step = cache.find(traces) ?? cache.add(compile(traces, derivative));
  cache.addOutline(outlines, step);
  return step;
}

/**
 * Captures a step without running it: calls it twice, with tensors of these shapes and arbitrary contents, and restores fields
 * that it sets.
 * @param derivative for a step with gradients; called while recording
 * @returns the captured step, or a string with the reason why there is none: "draws random numbers", "reads values on the host", …
 */
export function captureStep(
  spec: StepSpec,
  { inputs, carry }: { readonly inputs: readonly Tensor[]; readonly carry: readonly Tensor[] },
  cache: CaptureCache,
  derivative: Derivative | null = null,
): CapturedStep | string {
  const before = new FieldsBefore(spec.owner);
  try {
    return scope(() => {
      const tracer = new Tracer(spec, false);
      for (let i = 0; i < TRACED_STEPS; i++) tracer.trace(inputs, carry);
      return compiledStep(tracer, spec, before, cache, derivative);
    });
  } catch (e) {
    if (e instanceof Obstacle) return e.message;
    throw e;
  } finally {
    before.restore();
  }
}

// ---------------------------------------------------------------- signatures

/** Describes a step. */
export type Tell = (to: Listener) => void;

/** Number of programs kept per owner: shapes and options change back and forth, but not endlessly. */
const KEPT_PROGRAMS = 32;

/** An owner's compiled steps, keyed by what they do, most recently used first. They hold no linear memory. */
export class CaptureCache {
  readonly #known: CapturedStep[] = [];
  /** Steps with gradients, keyed by their outlines. */
  readonly #outlined: { readonly outline: Signature; readonly step: CapturedStep }[] = [];

  /** Every step in the cache. */
  get steps(): readonly CapturedStep[] {
    return this.#known;
  }

  /** The cached step that matches all these traces. */
  find(traces: readonly WholeTrace[]): CapturedStep | undefined {
    return toFront(this.#known, ({ signature }) => traces.every((trace) => isSame(signature, trace.tell)));
  }

  findOutlined(outlines: readonly Tell[]): CapturedStep | undefined {
    return toFront(this.#outlined, ({ outline }) => outlines.every((tell) => isSame(outline, tell)))?.step;
  }

  add(step: CapturedStep): CapturedStep {
    keepFirst(this.#known, step);
    return step;
  }

  /** Remembers a step by its outline, if it has one. */
  addOutline([tell, ...rest]: readonly Tell[], step: CapturedStep): void {
    const outline = signatureOf(tell as Tell);
    if (outline !== null && rest.every((other) => isSame(outline, other))) keepFirst(this.#outlined, { outline, step });
  }
}

/** Finds an entry and moves it to the front. */
function toFront<E>(entries: E[], isIt: (entry: E) => boolean): E | undefined {
  const at = entries.findIndex(isIt);
  if (at > 0) entries.unshift(...entries.splice(at, 1));
  return at < 0 ? undefined : entries[0];
}

function keepFirst<E>(entries: E[], entry: E): void {
  entries.unshift(entry);
  entries.length = Math.min(entries.length, KEPT_PROGRAMS);
}

const ELSEWHERE = "uses a tensor made outside the step that is neither a parameter nor a buffer of the module";

/** Memory that a step must not change: that of its arguments. */
const GIVEN: ReadonlySet<RegionKind> = new Set(["input", "state", "fixed"] as const);

/** One step, forward and backward, with the memory that its addresses refer to. */
export class WholeTrace {
  readonly spec: StepSpec;
  readonly forward: ForwardTrace;
  readonly backward: BackwardTrace | null;
  readonly regions: Regions;
  /** Bytes of each region. */
  readonly extents: Float64Array<ArrayBuffer>;
  /** Where to place blocks. */
  readonly homes: Map<Block, Address> = new Map();
  /** The step's own blocks. */
  readonly blocks: readonly Block[];
  readonly #index = new BlockIndex<Block | number>();
  readonly #written: ReadonlySet<Block>;
  /** The step's own blocks, counted from -1 down. */
  readonly #numbers: ReadonlyMap<Block, number>;

  constructor(spec: StepSpec, forward: ForwardTrace, backward: BackwardTrace | null, constants: ReadonlySet<Block>) {
    const fixedBlocks = blocksOf(spec.fixed);
    const counts = { inputs: forward.inputs.length, carried: forward.carry.length, fixed: spec.fixed.length };
    this.spec = spec;
    this.forward = forward;
    this.backward = backward;
    this.regions = regionsOf({ ...counts, fixedBlocks: fixedBlocks.length });
    this.blocks = backward === null ? forward.blocks : [...forward.blocks, ...backward.blocks];
    this.extents = new Float64Array(this.regions.count);
    this.#written = backward === null ? constants : new Set([...constants, ...backward.constants]);
    this.#place("input", forward.inputs);
    this.#place("state", forward.carry);
    this.#place("next", forward.next);
    this.#place("output", [forward.y]);
    fixedBlocks.forEach((block, i) => {
      this.#placeBlock("fixed", i, block);
    });
    if (backward !== null) this.#placeBackward(backward);
    for (const block of this.blocks) this.#index.add(block, block);
    this.#numbers = new Map(this.blocks.map((block, i) => [block, -1 - i]));
  }

  #placeBackward({ dy, dyBefore, dNext, dInputs, totals }: BackwardTrace): void {
    this.#place("outputGradient", [dy]);
    this.#place("outputGradientBefore", [dyBefore]);
    this.#place("stateGradient", dNext);
    this.#place("inputGradient", dInputs);
    this.#place("fixedGradient", totals);
  }

  #place(kind: RegionKind, tensors: readonly (Tensor | null)[]): void {
    tensors.forEach((t, i) => {
      if (t !== null) this.#placeBlock(kind, i, { ptr: t.ptr, bytes: t.size * BYTES[t.dtype] });
    });
  }

  #placeBlock(kind: RegionKind, i: number, block: Pick<Block, "ptr" | "bytes">): void {
    const region = this.regions.of(kind, i);
    this.#index.add(block, region);
    this.extents[region] = block.bytes;
  }

  isConstant(block: Block): boolean {
    return this.#written.has(block);
  }

  /** The step's block at an address; null elsewhere. */
  blockAt(ptr: number): Block | null {
    const found = this.#index.find(ptr)?.value;
    return found === undefined || typeof found === "number" ? null : found;
  }

  /** The kind of region at an address; null in the step's blocks. */
  kindAt(ptr: number): RegionKind | null {
    const found = this.#index.find(ptr)?.value;
    return typeof found === "number" ? this.regions.kindOf(found) : null;
  }

  /** Whether a region or block starts at an address. */
  startsAt(ptr: number): boolean {
    return this.#index.find(ptr)?.start === ptr;
  }

  /** The place of an address; null if it refers to nothing. */
  locate(ptr: number): Address | null {
    if (isNowhere(ptr)) return null;
    const { start, value } = this.#found(ptr);
    if (typeof value === "number") return { region: value, offset: ptr - start };
    const home = this.homes.get(value) as Address;
    return { region: home.region, offset: home.offset + ptr - start };
  }

  #found(ptr: number): { readonly start: number; readonly value: Block | number } {
    const found = this.#index.find(ptr);
    if (found === null) throw new Obstacle(ELSEWHERE);
    return found;
  }

  /** Describes everything the step does. @throws Obstacle if it uses or changes memory that it must not */
  readonly tell: Tell = (to) => {
    const { forward, backward, spec } = this;
    for (const t of [...forward.inputs, ...forward.carry, forward.y]) tellForm(t, to);
    for (const p of spec.fixed) {
      tellForm(p, to);
      to.say(p.requiresGrad);
    }
    for (const block of blocksOf(spec.fixed)) to.say(block.bytes);
    spec.wanted?.forEach(to.say, to);
    backward?.reached.forEach(to.say, to);
    to.say(backward?.tied ?? null);
    for (const block of this.blocks) {
      to.say(block.bytes);
      if (this.isConstant(block)) to.sayBytes(view("bool", block.ptr, block.bytes) as Uint8Array);
    }
    for (const call of forward.calls) this.#tellCall(call, to);
    if (backward !== null) for (const call of backward.calls) this.#tellCall(call, to);
  };

  /** Describes an address in numbers that are equal for equal steps; false for an address in foreign memory. */
  tellPlace(ptr: number, to: Listener): boolean {
    const found = this.#index.find(ptr);
    if (found === null) return false;
    const { value, start } = found;
    to.say(typeof value === "number" ? value : this.#numbers.get(value));
    to.say(ptr - start);
    return true;
  }

  #tellCall(call: RecordedCall, to: Listener): void {
    const { id, args } = call;
    to.say(id);
    to.say(args.length);
    for (let slot = 0; slot < args.length; slot++) {
      const arg = args[slot] as number;
      if (!isAddress(id, slot) || isNowhere(arg)) to.say(arg);
      else if (!this.tellPlace(arg, to)) throw new Obstacle(ELSEWHERE);
    }
    this.#checkTarget(call);
  }

  #checkTarget(call: RecordedCall): void {
    const target = targetOf(call);
    if (target === undefined || isNowhere(target)) return;
    const { value } = this.#found(target);
    const given = typeof value === "number" ? GIVEN.has(this.regions.kindOf(value)) : this.isConstant(value);
    if (given) throw new Obstacle("writes to a tensor that it was given");
  }
}

/** Addresses of missing tensors and of tensors without elements. */
function isNowhere(ptr: number): boolean {
  return ptr <= NO_BYTES;
}

/** Describes dtype and sizes. */
export function tellForm({ dtype, shape }: Tensor, to: Listener): void {
  to.say(dtype);
  to.say(shape.length);
  for (let i = 0; i < shape.length; i++) to.say(shape[i]);
}

// ---------------------------------------------------------------- compilation

/** @param traces traces of the same step. @throws Obstacle if they differ */
function compile(traces: readonly WholeTrace[], derivative: Derivative | null): CapturedStep {
  const [trace, ...others] = traces as [WholeTrace, ...WholeTrace[]];
  const signature = signatureOf(trace.tell) as Signature;
  if (!others.every((other) => isSame(signature, other.tell))) throw new Obstacle("does not make the same kernel calls every time");
  const { forward, backward, regions } = trace;
  const constants = settleConstants(trace);
  const readAgain = usesOf(backward?.calls ?? [], (ptr) => trace.blockAt(ptr));
  const compiled = compileCalls(trace, forward, {
    prepared: "packed",
    kindOf: (block) => (readAgain.has(block) ? "frame" : "scratch"),
  });
  return {
    signature,
    regions,
    y: { shape: forward.y.shape, dtype: forward.y.dtype },
    forward: compiled,
    backward: (backward && derivative?.compile(trace, backward)) ?? null,
    constants,
    calls: forward.calls.length,
  };
}

/** Places constants, and returns their contents. */
function settleConstants(trace: WholeTrace): Uint8Array<ArrayBuffer> {
  const constants = trace.blocks.filter((block) => trace.isConstant(block));
  const { offsets, bytes } = planMemory(new Map(constants.map((block) => [block, { first: 0, last: 0 }])), false);
  const region = trace.regions.of("constants");
  const image = new Uint8Array(bytes);
  for (const [block, offset] of offsets) {
    trace.homes.set(block, { region, offset });
    image.set(view("bool", block.ptr, block.bytes), offset);
  }
  trace.extents[region] = bytes;
  return image;
}

/** Regions for the preparation, and for each of the step's own blocks. */
interface Kinds {
  readonly prepared: RegionKind;
  kindOf(block: Block): RegionKind;
}

/** Sorts calls into preparation and step, places every block, and makes the programs. */
export function compileCalls(trace: WholeTrace, { calls, blocks }: Recorded, { prepared, kindOf }: Kinds): Compiled {
  const { regions, homes, extents } = trace;
  const [preparation, packed] = preparationsOf(trace, calls);
  const own = new Set(blocks.filter((block) => !trace.isConstant(block)));
  const uses = [...usesOf(calls, (ptr) => trace.blockAt(ptr))].filter(([block]) => own.has(block));
  const saved = settleResults(trace, calls, (block) => own.has(block) && !packed.has(block) && kindOf(block) === "scratch");
  const step = calls.filter((c) => !preparation.has(c) && !saved.has(c));
  const bytes: Partial<Record<RegionKind, number>> = {};
  for (const kind of ["frame", "scratch", "history", prepared] as const) {
    const members = uses
      .filter(([block]) => !homes.has(block))
      .filter(([block]) => (packed.has(block) ? prepared : kindOf(block)) === kind);
    const planned = planMemory(new Map<Block, Use>(members), kind === "scratch");
    const region = regions.of(kind);
    for (const [block, offset] of planned.offsets) homes.set(block, { region, offset });
    bytes[kind] = planned.bytes;
    if (members.length > 0 || kind === "scratch") extents[region] = planned.bytes;
  }
  const locate = (ptr: number) => trace.locate(ptr);
  return {
    prepare: new Program(regions, [...preparation], locate, extents),
    program: new Program(regions, step, locate, extents),
    bytes,
  };
}

/** Kernels whose calls move before the steps if everything they read is the same at every step. */
const PREPARATIONS: readonly { readonly kernel: number; readonly sources: readonly number[] }[] = [
  { kernel: packWeights, sources: [SLOTS.packWeights.b] },
  { kernel: elementwise, sources: [SLOTS.elementwise.a, SLOTS.elementwise.b, SLOTS.elementwise.c] },
];

/** The calls that do the same at every step, in order, and the blocks that they fill. */
function preparationsOf(trace: WholeTrace, calls: readonly RecordedCall[]): [Set<RecordedCall>, Set<Block>] {
  const filled = new Set<Block>();
  const isUnmoved = (ptr: number): boolean => {
    const block = trace.blockAt(ptr);
    if (block !== null) return filled.has(block) || trace.isConstant(block);
    const kind = trace.kindAt(ptr);
    return kind === null || kind === "fixed";
  };
  const chosen = calls.filter((recorded) => {
    const sources = PREPARATIONS.find(({ kernel }) => isCallOf(kernel, recorded))?.sources;
    const target = trace.blockAt(targetOf(recorded) ?? 0);
    if (sources === undefined || target === null || trace.isConstant(target)) return false;
    const once = sources.every((slot) => isUnmoved(recorded.args[slot] as number)) && isFilledOnce(trace, calls, target);
    if (once) filled.add(target);
    return once;
  });
  return [new Set(chosen), filled];
}

/** Whether one call fills a block, or several that each pack a part of it. */
function isFilledOnce(trace: WholeTrace, calls: readonly RecordedCall[], block: Block): boolean {
  const writers = calls.filter((c) => trace.blockAt(targetOf(c) ?? 0) === block);
  return writers.length === 1 || writers.every((c) => isCallOf(packWeights, c));
}

/**
 * Places a block that the step only copies to a result directly where the result goes.
 * @returns the copies that become unnecessary
 */
function settleResults(trace: WholeTrace, calls: readonly RecordedCall[], isScratch: (block: Block) => boolean): Set<RecordedCall> {
  const { homes } = trace;
  const saved = new Set<RecordedCall>();
  const taken = new Set<number>();
  calls.forEach((recorded, i) => {
    const copy = wholeCopy(recorded);
    if (copy === null || taken.has(copy.target) || !trace.startsAt(copy.target) || !trace.startsAt(copy.source)) return;
    const kind = trace.kindAt(copy.target);
    const block = trace.blockAt(copy.source);
    if (kind === null || !RESULTS.has(kind) || block === null || block.bytes !== copy.bytes) return;
    if (!isScratch(block) || homes.has(block)) return;
    if (calls.slice(i + 1).some((c) => mayWrite(c, (ptr) => trace.blockAt(ptr) === block))) return;
    homes.set(block, trace.locate(copy.target) as Address);
    taken.add(copy.target);
    saved.add(recorded);
  });
  return saved;
}

/** Reads a call as a copy between two contiguous ranges; null for any other call. */
function wholeCopy(recorded: RecordedCall): { readonly source: number; readonly target: number; readonly bytes: number } | null {
  if (!isCallOf(copyStrided, recorded)) return null;
  const slot = SLOTS.copyStrided;
  const at = (i: number) => recorded.args[i] as number;
  const oneAxis = at(slot.n0) === 1 && at(slot.n1) === 1 && at(slot.n2) === 1;
  const neighbours = at(slot.n3) === 1 || (at(slot.s3) === 1 && at(slot.t3) === 1);
  return oneAxis && neighbours ? { source: at(slot.source), target: at(slot.target), bytes: at(slot.width) * at(slot.n3) } : null;
}
