/**
 * Defers products that a step only adds to a total: the gradients of weights. A replay leaves them out and
 * makes them for several steps at once, in the same order and with the same bits, so a total passes through the caches
 * only once for these steps.
 */

import type { FloatDType } from "../base/dtype.ts";
import { isCallOf, mayWrite, refersTo } from "../wasm/calls.ts";
import { ADD } from "../wasm/codes.gen.ts";
import { call } from "../wasm/host.ts";
import { elementwise, gemm, sumProducts } from "../wasm/kernels.gen.ts";
import type { Block, RecordedCall } from "../wasm/recorder.ts";
import * as SLOTS from "../wasm/slots.gen.ts";
import type { Address } from "./program.ts";
import type { Places } from "./regions.ts";

/** The longest inner dimension of a product that the kernel can add together with others. */
const LONGEST = 256;

interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** An operand: its address, and its strides in elements. */
interface Operand<Where> {
  readonly at: Where;
  readonly row: number;
  readonly column: number;
}

/** total (m × n) += a·b. */
export interface AddedProduct<Where> {
  readonly dtype: FloatDType;
  readonly sizes: Sizes;
  readonly a: Operand<Where>;
  readonly b: Operand<Where>;
  readonly total: Where;
}

/** A deferred product as recorded: the product, and its addition to the total. */
interface RecordedProduct extends AddedProduct<number> {
  readonly calls: readonly [product: RecordedCall, addition: RecordedCall];
}

/** What we need to know about the memory of a recorded step. */
export interface Surroundings {
  /** The step's block at an address; null if none. */
  blockAt(ptr: number): Block | null;
  /** Whether a gradient's total starts at an address. */
  isTotal(ptr: number): boolean;
  /** Whether a step leaves the contents at an address outside its blocks unchanged. */
  lasts(ptr: number): boolean;
}

/** Finds the products of a recorded step that may be left out of it. */
export function addedProducts(calls: readonly RecordedCall[], { blockAt, isTotal, lasts }: Surroundings): RecordedProduct[] {
  const staysAfter = (product: RecordedCall, ptr: number): boolean => {
    const block = blockAt(ptr);
    if (block === null) return lasts(ptr);
    return !calls.slice(calls.indexOf(product) + 1).some((c) => mayWrite(c, (p) => blockAt(p) === block));
  };
  return calls.flatMap((addition) => {
    const added = plainAddition(addition);
    if (added === null || !isTotal(added.total)) return [];
    if (calls.filter((c) => refersTo(c, (ptr) => ptr === added.total)).length !== 1) return [];
    const part = blockAt(added.part);
    const users = part === null ? [] : calls.filter((c) => refersTo(c, (ptr) => blockAt(ptr) === part));
    const [product] = users;
    if (users.length !== 2 || product === undefined || product === addition) return [];
    const found = plainProduct(product, added.part, added.size);
    if (found === null || ![found.a.at, found.b.at].every((ptr) => staysAfter(product, ptr))) return [];
    return [{ ...found, total: added.total, calls: [product, addition] as const }];
  });
}

/** Reads a call as total += part for `size` contiguous elements; null for any other call. */
function plainAddition(recorded: RecordedCall): { readonly total: number; readonly part: number; readonly size: number } | null {
  if (!isCallOf(elementwise, recorded)) return null;
  const slot = SLOTS.elementwise;
  const at = (i: number) => recorded.args[i] as number;
  const [total, part, size] = [at(slot.a), at(slot.b), at(slot.slots)];
  return at(slot.code) === ADD && at(slot.rank) === 1 && at(slot.y) === total ? { total, part, size } : null;
}

/** Reads a call as a product a·b that fills `size` elements at `target`, starting from 0; null for any other call. */
function plainProduct(recorded: RecordedCall, target: number, size: number): Omit<AddedProduct<number>, "total"> | null {
  if (!isCallOf(gemm, recorded)) return null;
  const slot = SLOTS.gemm;
  const at = (i: number) => recorded.args[i] as number;
  const sizes = { m: at(slot.m), n: at(slot.n), k: at(slot.k) };
  const fills = at(slot.c) === target && at(slot.ldc) === sizes.n && sizes.m * sizes.n === size && at(slot.batch) === 1;
  const fromNothing = at(slot.bias) === 0 && at(slot.beta) === 0;
  if (!fills || !fromNothing || sizes.k < 1 || sizes.k > LONGEST) return null;
  return {
    dtype: recorded.id & 1 ? "float64" : "float32",
    sizes,
    a: { at: at(slot.a), row: at(slot.aRow), column: at(slot.aCol) },
    b: { at: at(slot.b), row: at(slot.bRow), column: at(slot.bCol) },
  };
}

/** The same, with places in regions. */
export function placedProduct(
  { dtype, sizes, a, b, total }: AddedProduct<number>,
  locate: (ptr: number) => Address,
): AddedProduct<Address> {
  return { dtype, sizes, a: { ...a, at: locate(a.at) }, b: { ...b, at: locate(b.at) }, total: locate(total) };
}

/** Number of steps whose products are made together: as many as the kernel adds at a time. */
export function stepsTogether(products: readonly AddedProduct<Address>[]): number {
  return Math.max(...products.map(({ sizes }) => Math.floor(LONGEST / sizes.k)));
}

/** Adds the products of `steps` steps, from step `first` on. */
export function addProducts(first: number, steps: number, { dtype, sizes, a, b, total }: AddedProduct<Address>, places: Places): void {
  const { m, n, k } = sizes;
  const width = dtype === "float32" ? 4 : 8;
  const ptrOf = ({ region, offset }: Address) => places.at(region, first) + offset;
  const nextOf = ({ region }: Address) => (places.strides[region] as number) / width;
  call(
    sumProducts, dtype, steps, m, n, k, ptrOf(a.at), a.row, a.column, nextOf(a.at), ptrOf(b.at), b.row, b.column, nextOf(b.at),
    ptrOf(total), n,
  ); // biome-ignore format: sizes, operands, total
}
