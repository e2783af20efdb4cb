/**
 * A step captured once and replayed for a whole sequence.
 *
 * The kernel calls of one step are recorded with their addresses sorted by region: the step's inputs, the carried
 * state, parameters, the step's own frame (what the backward step reads again), scratch. A replay gives every
 * region a base and a stride and runs all steps from one call into WebAssembly. The backward step is captured from
 * the tape of the recorded forward step, with gradients accumulated in the order an eager sweep would take, so
 * that results are the same to the bit.
 */

import { gradients } from "../autodiff/sweep.ts";
import { enableGrad, Node, noGrad } from "../autodiff/tape.ts";
import { BYTES, type DType, isFloat } from "../base/dtype.ts";
import { zeros } from "../tensor/create.ts";
import { type Shape, sameShape, show } from "../tensor/shape.ts";
import { copyInto } from "../tensor/strided.ts";
import { empty, requireGrad, scope, type Tensor } from "../tensor/tensor.ts";
import { copyStrided, elementwise, pack_b } from "../wasm/kernels.gen.ts";
import { type Block, type RecordedCall, type Recording, record } from "../wasm/recorder.ts";
import { type AddedProduct, addedProducts, placed, type Spot } from "./deferred.ts";
import { type Address, BlockIndex, isAddress, Program, planMemory, type Use, usesOf } from "./program.ts";

/** One step: tensors of this step and the carried ones to the output and the next carried ones. Pure. */
export type Step = (inputs: readonly Tensor[], carry: readonly Tensor[]) => { readonly y: Tensor; readonly carry: readonly Tensor[] };

export interface StepSpec {
  readonly step: Step;
  /** One tensor of each input sequence's slice, and of each carried tensor: shape and dtype are what counts. */
  readonly inputs: readonly Tensor[];
  readonly carry: readonly Tensor[];
  /** Parameters and buffers the step reads. */
  readonly fixed: readonly Tensor[];
  /** For each input: whether its gradient is wanted, in a step captured with gradients (default: all of them). */
  readonly wanted?: readonly boolean[];
}

/** Thrown inside this file only: the reason why a step cannot be captured. */
class Obstacle extends Error {}

/** A stretch of memory that moves by a stride from step to step. */
interface Region {
  readonly name: string;
  readonly start: number;
}

/** The step's frame: values the backward step reads again. */
export const FRAME = "frame";
/** Values that live within one step. */
export const SCRATCH = "scratch";
/** What is made from fixed tensors once for all steps: packed weights, sums of biases. */
export const PACKED = "packed";
/** The same of the backward step, which reads the forward step's too. */
export const PACKED_BACK = "packedBack";
/** What the backward step leaves for the products that are made for many steps at once. */
export const HISTORY = "history";

/** Blocks of one recording, and where its program keeps them. */
interface Memory {
  readonly index: BlockIndex<Block>;
  readonly homes: Map<Block, Address>;
  readonly constants: Set<Block>;
}

/** Finds addresses in regions, in planned blocks and in constants; anything else is memory the step should not read. */
function locator(
  regions: readonly string[],
  tensors: ReadonlyMap<string, Tensor>,
  { index, homes, constants }: Memory,
): (ptr: number) => Address | null {
  const known = new BlockIndex<Region>();
  for (const [name, t] of tensors) known.add({ ptr: t.ptr, bytes: t.size * BYTES[t.dtype] }, { name, start: t.ptr });
  return (ptr) => {
    const block = index.find(ptr);
    if (block !== null) {
      if (constants.has(block.value)) return null;
      const home = homes.get(block.value) as Address;
      return { region: home.region, offset: home.offset + ptr - block.start };
    }
    const region = known.find(ptr);
    if (region === null) throw new Obstacle("uses a tensor made outside the step that is neither a parameter nor a buffer of the module");
    return { region: regions.indexOf(region.value.name), offset: ptr - region.value.start };
  };
}

function checkSame(what: string, got: Tensor, expected: Tensor): void {
  if (got.dtype !== expected.dtype || !sameShape(got.shape, expected.shape)) {
    throw new Obstacle(`${what} changes from ${expected.dtype}${show(expected.shape)} to ${got.dtype}${show(got.shape)}`);
  }
}

/** The output of the step, from a run that is not recorded; checks that the state keeps its form. */
function probe(spec: StepSpec): Tensor {
  const { y, carry } = noGrad(() => spec.step(spec.inputs.map(blank), spec.carry.map(blank)));
  if (carry.length !== spec.carry.length) throw new Obstacle(`its state changes from ${spec.carry.length} to ${carry.length} tensors`);
  carry.forEach((c, i) => {
    checkSame(`its state tensor ${i}`, c, spec.carry[i] as Tensor);
  });
  if (!isFloat(y.dtype)) throw new Obstacle(`its output is ${y.dtype}, not a float`);
  return y;
}

/** A fresh tensor of the same shape and dtype. */
function blank(like: Tensor): Tensor {
  return zeros(like.shape, like.dtype);
}

/** Leaves the tape may end in: what the step was given. Anything else cannot be followed by a replay. */
function checkTape(outputs: readonly Tensor[], given: ReadonlySet<Tensor>, firstNode: number): void {
  const seen = new Set<Node>();
  const stack = outputs.map((t) => t.node);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node === null || seen.has(node)) continue;
    seen.add(node);
    if (node.id < firstNode) throw new Obstacle("uses a tensor computed outside the step");
    for (const x of node.inputs) {
      if (x.node !== null) stack.push(x.node);
      else if (x.requiresGrad && !given.has(x)) throw new Obstacle("uses a trained tensor that is not a parameter of the module");
    }
  }
}

/** A recording made into programs over regions: what is done once before the steps, and the step. */
export interface Compiled {
  readonly prepare: Program;
  readonly program: Program;
  /** Bytes of the regions whose memory the recording itself allocated: frame (a step), scratch, packed (of the backward step: packedBack). */
  readonly bytes: Readonly<Record<string, number>>;
}

/** What replays need to know. Regions are named x0…, s0… (state), n0… (next state), p0… (fixed), y, dx0…, and so on. */
export interface CapturedStep {
  readonly y: { readonly shape: Shape; readonly dtype: DType };
  readonly forward: Compiled;
  readonly backward: CapturedBackward | null;
  /** Memory the programs read by absolute address; kept as long as the program. */
  readonly constants: readonly Block[];
  /** Kernel calls of one forward step. */
  readonly calls: number;
}

export interface CapturedBackward extends Compiled {
  /** Products that the program leaves out, in no order: each has a total of its own. */
  readonly deferred: readonly AddedProduct<Spot>[];
  /** The carried tensor that is also the output, if one is. */
  readonly tied: number | null;
  /** For each input and fixed tensor: whether a gradient reaches it. */
  readonly inputs: readonly boolean[];
  readonly fixed: readonly boolean[];
}

/** Names tensors x0, x1, … */
function named(prefix: string, tensors: readonly Tensor[]): [string, Tensor][] {
  return tensors.map((t, i) => [`${prefix}${i}`, t]);
}

/**
 * Captures a step, forward and (if `grad`) backward; or says why it cannot be captured.
 * @returns the captured step, or the reason as a string: "draws random numbers", "reads values on the host", …
 */
export function captureStep(spec: StepSpec, grad: boolean): CapturedStep | string {
  try {
    return scope(() => capture(spec, grad));
  } catch (e) {
    if (e instanceof Obstacle) return e.message;
    throw e;
  }
}

function capture(spec: StepSpec, grad: boolean): CapturedStep {
  const sample = probe(spec);
  const inputs = spec.inputs.map(blank);
  const carry = spec.carry.map(blank);
  const next = spec.carry.map(blank);
  const y = blank(sample);
  const differentiated = [...inputs.filter((_, i) => spec.wanted?.[i] ?? true), ...carry];
  if (grad) for (const t of differentiated) if (isFloat(t.dtype)) requireGrad(t);
  const firstNode = Node.next;
  const once = () => recordForward(spec, inputs, carry, y, next, grad);
  const forward = once();
  const places = new Map([
    ...named("x", inputs),
    ...named("s", carry),
    ...named("n", next),
    ...named("p", spec.fixed),
    ["y", y] as [string, Tensor],
  ]);
  const back = grad ? recordBackward(spec, inputs, carry, forward, firstNode) : null;
  checkRepeats(once().recording, forward.recording);
  const memory = { index: new BlockIndex<Block>(), homes: new Map<Block, Address>(), constants: forward.recording.constants };
  for (const block of forward.recording.blocks) memory.index.add(block, block);
  const regions = [...places.keys(), FRAME, SCRATCH, PACKED];
  const readAgain = back === null ? new Map<Block, Use>() : usesOf(back.recording.calls, memory.index);
  const compiled = compile(forward.recording, memory, regions, places, {
    prepared: PACKED,
    kindOf: (block) => (readAgain.has(block) ? FRAME : SCRATCH),
  });
  const backward = back && compileBackward(back, places, memory, regions);
  for (const block of memory.constants) block.pinned = true;
  return {
    y: { shape: sample.shape, dtype: sample.dtype },
    forward: compiled,
    backward,
    constants: [...memory.constants],
    calls: forward.recording.calls.length,
  };
}

interface ForwardRecord {
  readonly recording: Recording;
  readonly y: Tensor;
  readonly carry: readonly Tensor[];
}

/** Records one step and the copies of its results to where the next step and the caller find them. */
function recordForward(
  spec: StepSpec,
  inputs: readonly Tensor[],
  carry: readonly Tensor[],
  y: Tensor,
  next: readonly Tensor[],
  grad: boolean,
): ForwardRecord {
  const { result, recording } = record(() => {
    const out = (grad ? enableGrad : noGrad)(() => spec.step(inputs, carry));
    copyInto(y, out.y);
    out.carry.forEach((c, i) => {
      copyInto(next[i] as Tensor, c);
    });
    return out;
  });
  if (recording.obstacle !== null) throw new Obstacle(recording.obstacle);
  return { recording, ...result };
}

/** Kernels whose call is made once before the steps when all it reads is fixed: the slots of its sources and its target. */
const PREPARATIONS: ReadonlyMap<number, { readonly sources: readonly number[]; readonly target: number }> = new Map([
  [pack_b >> 1, { sources: [2], target: 5 }],
  [elementwise >> 1, { sources: [1, 2, 3], target: 6 }],
]);

/** The calls that do the same every step, in order, and the blocks they fill. */
function preparationsOf(
  calls: readonly RecordedCall[],
  index: BlockIndex<Block>,
  isFixed: (ptr: number) => boolean,
): [RecordedCall[], Set<Block>] {
  const filled = new Set<Block>();
  const chosen = calls.filter(({ id, args }) => {
    const slots = PREPARATIONS.get(id >> 1);
    if (slots === undefined) return false;
    const fixed = slots.sources.every((slot) => {
      const ptr = args[slot] as number;
      const block = index.find(ptr)?.value;
      return ptr === 0 || (block === undefined ? isFixed(ptr) : filled.has(block));
    });
    const target = index.find(args[slots.target] as number)?.value;
    if (fixed && target !== undefined) filled.add(target);
    return fixed && target !== undefined;
  });
  return [chosen, filled];
}

/** Regions for what is prepared once, and for each of the step's own blocks. */
interface Homes {
  readonly prepared: string;
  kindOf(block: Block): string;
}

/** Sorts a recording's calls into preparation and step, gives every block its home, and makes the programs. */
function compile(
  { calls, blocks, constants }: Recording,
  memory: Memory,
  regions: readonly string[],
  places: ReadonlyMap<string, Tensor>,
  { prepared, kindOf }: Homes,
): Compiled {
  const locate = locator(regions, places, memory);
  const isFixed = (ptr: number) => regions[locate(ptr)?.region ?? -1]?.startsWith("p") ?? false;
  const [preparation, packed] = preparationsOf(calls, memory.index, isFixed);
  const own = new Set(blocks);
  const uses = [...usesOf(calls, memory.index)].filter(([block]) => own.has(block) && !constants.has(block));
  const isScratch = (block: Block) => own.has(block) && !constants.has(block) && !packed.has(block) && kindOf(block) === SCRATCH;
  const settled = settle(calls, memory, regions, places, isScratch);
  const step = calls.filter((c) => !preparation.includes(c) && !settled.has(c));
  const bytes: Record<string, number> = {};
  for (const kind of [FRAME, SCRATCH, HISTORY, prepared]) {
    const members = uses
      .filter(([block]) => !memory.homes.has(block))
      .filter(([block]) => (packed.has(block) ? prepared : kindOf(block)) === kind);
    const planned = planMemory(new Map(members), kind === SCRATCH);
    for (const [block, offset] of planned.offsets) memory.homes.set(block, { region: regions.indexOf(kind), offset });
    bytes[kind] = planned.bytes;
  }
  return { prepare: new Program(regions, preparation, locate), program: new Program(regions, step, locate), bytes };
}

/** Regions that a step writes and never reads: its output, the next state, gradients of its inputs. */
const RESULT = /^(y|n\d+|dx\d+)$/;

/**
 * Gives blocks of which a step only copies the whole to a result that place from the start.
 * @returns the copies that this saves
 */
function settle(
  calls: readonly RecordedCall[],
  { index, homes }: Memory,
  regions: readonly string[],
  places: ReadonlyMap<string, Tensor>,
  isScratch: (block: Block) => boolean,
): Set<RecordedCall> {
  const saved = new Set<RecordedCall>();
  const results = new Map([...places].filter(([name]) => RESULT.test(name)).map(([name, t]) => [t.ptr, name]));
  for (const recorded of calls) {
    const copy = wholeCopy(recorded);
    const found = copy && index.find(copy.source);
    const region = copy && results.get(copy.target);
    if (!copy || !found || !region) continue;
    const { start, value: block } = found;
    if (start !== copy.source || block.bytes !== copy.bytes || !isScratch(block) || homes.has(block)) continue;
    homes.set(block, { region: regions.indexOf(region), offset: 0 });
    results.delete(copy.target);
    saved.add(recorded);
  }
  return saved;
}

/** A copy of neighbouring bytes to neighbouring bytes; null for any other call. */
function wholeCopy({ id, args }: RecordedCall): { readonly source: number; readonly target: number; readonly bytes: number } | null {
  if (id >> 1 !== copyStrided >> 1) return null;
  const [width, n0, n1, n2, n3, , , , s3, , , , t3, source, target] = args as number[];
  if (n0 !== 1 || n1 !== 1 || n2 !== 1 || (n3 !== 1 && (s3 !== 1 || t3 !== 1))) return null;
  return { source: source as number, target: target as number, bytes: (width as number) * (n3 as number) };
}

/** A step that makes other calls the second time depends on something that is not in its arguments. */
function checkRepeats(again: Recording, first: Recording): void {
  const same = again.calls.length === first.calls.length && again.calls.every((c, i) => sameCall(c, first.calls[i] as RecordedCall));
  if (!same) throw new Obstacle("does not make the same kernel calls every time");
}

/** Same kernel and same numbers; addresses of fresh memory differ of course. */
function sameCall(a: RecordedCall, b: RecordedCall): boolean {
  return a.id === b.id && a.args.length === b.args.length && a.args.every((v, i) => v === b.args[i] || isAddress(a.id, i));
}

interface BackwardRecord {
  readonly recording: Recording;
  readonly places: ReadonlyMap<string, Tensor>;
  readonly tied: number | null;
  readonly inputs: readonly boolean[];
  readonly fixed: readonly boolean[];
}

/**
 * Records the sweep over one step: from dy (cotangent of y) and d0… (of the next state) to dx0…, to d0… again
 * (of the state) and into the accumulators g0… (of the fixed tensors).
 *
 * Where y is one of the next state's tensors, its cotangent begins as dy and the following step's contributions are
 * added to it, as in an eager sweep: the accumulator of that state tensor is seeded with dy of the step before.
 */
function recordBackward(
  spec: StepSpec,
  inputs: readonly Tensor[],
  carry: readonly Tensor[],
  forward: ForwardRecord,
  firstNode: number,
): BackwardRecord {
  const trained = spec.fixed.filter((p) => p.requiresGrad);
  checkTape([forward.y, ...forward.carry], new Set([...inputs, ...carry, ...trained]), firstNode);
  const tie = forward.carry.indexOf(forward.y);
  const tied = tie < 0 ? null : tie;
  const dy = blank(forward.y);
  const dyBefore = blank(forward.y);
  const dNext = carry.map(blank);
  const dInputs = inputs.map(blank);
  const sums = new Map(trained.map((p) => [p, blank(p)]));
  const reached = { inputs: inputs.map(() => false), fixed: spec.fixed.map(() => false) };

  const { recording } = record(() => {
    const accumulators = new Map(sums);
    if (tied !== null) {
      const seeded = empty(dy.shape, dy.dtype);
      copyInto(seeded, dyBefore);
      accumulators.set(carry[tied] as Tensor, seeded);
    }
    const roots = forward.carry.map((c, i) => [c, dNext[i] as Tensor] as const).filter(([c]) => isFloat(c.dtype));
    if (tied === null) roots.unshift([forward.y, dy]);
    const targets = [...inputs, ...carry, ...trained];
    const found = gradients(
      roots.map(([root]) => root),
      targets,
      roots.map(([, g]) => g),
      { accumulators },
    );
    inputs.forEach((x, i) => {
      const g = found[i];
      if (!g || !x.requiresGrad) return;
      reached.inputs[i] = true;
      copyInto(dInputs[i] as Tensor, g);
    });
    replaceAll(dNext, found.slice(inputs.length, inputs.length + carry.length));
  });
  if (recording.obstacle !== null) throw new Obstacle(recording.obstacle);
  spec.fixed.forEach((p, i) => {
    reached.fixed[i] = p.requiresGrad;
  });
  const places = new Map<string, Tensor>([
    ["dy", dy],
    ["dyBefore", dyBefore],
    ...named("d", dNext),
    ...named("dx", dInputs),
    ...spec.fixed.flatMap((p, i) => (sums.has(p) ? [[`g${i}`, sums.get(p) as Tensor] as [string, Tensor]] : [])),
  ]);
  return { recording, places, tied, ...reached };
}

/** Overwrites every target by its new value (zeros for null), though new values may be views of other targets. */
function replaceAll(targets: readonly Tensor[], values: readonly (Tensor | null)[]): void {
  const blocks = new Set<Block>(targets.map((t) => t.storage));
  const settled = values.map((v, i) => {
    if (v === null) return blank(targets[i] as Tensor);
    if (!blocks.has(v.storage) || v.storage === (targets[i] as Tensor).storage) return v;
    const copy = empty(v.shape, v.dtype);
    copyInto(copy, v);
    return copy;
  });
  settled.forEach((v, i) => {
    const target = targets[i] as Tensor;
    if (v.storage !== target.storage) copyInto(target, v);
  });
}

/** Regions that nothing writes while steps run backwards. */
const LASTING = /^([xsnp]\d+|dy)$/;

function compileBackward(
  back: BackwardRecord,
  forwardPlaces: ReadonlyMap<string, Tensor>,
  memory: Memory,
  forwardRegions: readonly string[],
): CapturedBackward {
  const places = new Map([...forwardPlaces, ...back.places]);
  for (const block of back.recording.blocks) memory.index.add(block, block);
  for (const block of back.recording.constants) memory.constants.add(block);
  // Frame addresses were given as indices of the forward regions: these come first here, too.
  const regions = [...forwardRegions, ...back.places.keys(), HISTORY, PACKED_BACK];
  const deferred = deferredProducts(back, places, memory);
  const left = new Set(deferred.flatMap(({ calls }) => calls));
  const history = new Set(deferred.flatMap(({ a, b }) => [a, b].map(({ at }) => memory.index.find(at)?.value)));
  const recording = { ...back.recording, calls: back.recording.calls.filter((c) => !left.has(c)) };
  const kindOf = (block: Block) => (history.has(block) ? HISTORY : SCRATCH);
  const compiled = compile(recording, memory, regions, places, { prepared: PACKED_BACK, kindOf });
  const locate = locator(regions, places, memory);
  const spotOf = (ptr: number): Spot => {
    const { region, offset } = locate(ptr) as Address;
    return { region: regions[region] as string, offset };
  };
  return { ...compiled, deferred: deferred.map((p) => placed(p, spotOf)), tied: back.tied, inputs: back.inputs, fixed: back.fixed };
}

function deferredProducts(
  { recording, places: own }: BackwardRecord,
  places: ReadonlyMap<string, Tensor>,
  { index, constants }: Memory,
): ReturnType<typeof addedProducts> {
  const totals = new Set([...own].filter(([name]) => /^g\d+$/.test(name)).map(([, t]) => t.ptr));
  const lasting = new BlockIndex<true>();
  for (const [name, t] of places) if (LASTING.test(name)) lasting.add({ ptr: t.ptr, bytes: t.size * BYTES[t.dtype] }, true);
  const isConstant = (ptr: number) => constants.has(index.find(ptr)?.value as Block);
  const found = addedProducts(recording.calls, index, totals, (ptr) => lasting.find(ptr) !== null);
  return found.filter(({ a, b }) => !isConstant(a.at) && !isConstant(b.at));
}
