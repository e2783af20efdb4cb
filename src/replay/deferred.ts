/**
 * Products that a step does no more with than to add them to a total: the gradients of weights. A replay leaves them out and
 * makes them for several steps at once, in the same order and with the same bits, so that a total goes through the caches
 * once for all of these steps.
 */

import type { FloatDType } from "../base/dtype.ts";
import { ADD } from "../wasm/codes.gen.ts";
import { call } from "../wasm/host.ts";
import { add_products, copyStrided, elementwise, gemm, gemm_packed, pack_b, sumAxis } from "../wasm/kernels.gen.ts";
import type { Block, RecordedCall } from "../wasm/recorder.ts";
import { type BlockIndex, isAddress, type Place } from "./program.ts";

/** The longest sum of a product that the kernel can add with others. */
const LONGEST = 256;

interface Sizes {
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** An operand: where it lies, and its strides in elements. */
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

/** The same as recorded: the product, and the addition to the total. */
interface Recorded extends AddedProduct<number> {
  readonly calls: readonly RecordedCall[];
}

/** A place in a region, by its name. */
export interface Spot {
  readonly region: string;
  readonly offset: number;
}

/** The argument by which these kernels write; any other is taken to write wherever it can. */
const TARGETS: ReadonlyMap<number, number> = new Map([
  [elementwise >> 1, 6],
  [copyStrided >> 1, 14],
  [gemm >> 1, 9],
  [gemm_packed >> 1, 6],
  [pack_b >> 1, 5],
  [sumAxis >> 1, 4],
]);

function mayWrite({ id, args }: RecordedCall, isThere: (ptr: number) => boolean): boolean {
  const target = TARGETS.get(id >> 1);
  return args.some((arg, slot) => isAddress(id, slot) && (target === undefined || slot === target) && isThere(arg));
}

const refersTo = ({ id, args }: RecordedCall, isThere: (ptr: number) => boolean): boolean =>
  args.some((arg, slot) => isAddress(id, slot) && isThere(arg));

/**
 * The products of a recorded step that may be left out of it.
 * @param lasts whether what lies outside the step's blocks, at this address, is the same after the step
 */
export function addedProducts(
  calls: readonly RecordedCall[],
  index: BlockIndex<Block>,
  totals: ReadonlySet<number>,
  lasts: (ptr: number) => boolean,
): Recorded[] {
  const staysAfter = (product: RecordedCall, ptr: number): boolean => {
    const block = index.find(ptr)?.value;
    if (block === undefined) return lasts(ptr);
    const inBlock = (p: number) => index.find(p)?.value === block;
    return !calls.slice(calls.indexOf(product) + 1).some((c) => mayWrite(c, inBlock));
  };
  return calls.flatMap((addition) => {
    const [code, total, part, , , , target, rank, size] = addition.args as number[];
    if (addition.id >> 1 !== elementwise >> 1 || code !== ADD || rank !== 1) return [];
    if (total !== target || !totals.has(total as number)) return [];
    if (calls.filter((c) => refersTo(c, (ptr) => ptr === total)).length !== 1) return [];
    const found = index.find(part as number);
    const users = calls.filter((c) => refersTo(c, (ptr) => found !== null && index.find(ptr)?.value === found.value));
    const [product] = users;
    if (found === null || users.length !== 2 || product === undefined || product === addition) return [];
    const added = plainProduct(product, part as number, size as number);
    if (added === null || ![added.a.at, added.b.at].every((ptr) => staysAfter(product, ptr))) return [];
    return [{ ...added, total: total as number, calls: [product, addition] }];
  });
}

/** A product a·b that fills `size` elements at `target` and starts from nothing; null for any other call. */
function plainProduct({ id, args }: RecordedCall, target: number, size: number): Omit<AddedProduct<number>, "total"> | null {
  if (id >> 1 !== gemm >> 1) return null;
  const [m, n, k, a, aRow, aColumn, b, bRow, bColumn, c, ldc, bias, beta, batch] = args as [number, ...number[]] & number[];
  const plain = c === target && ldc === n && m * (n as number) === size && bias === 0 && beta === 0 && batch === 1;
  if (!plain || (k as number) < 1 || (k as number) > LONGEST) return null;
  return {
    dtype: id & 1 ? "float64" : "float32",
    sizes: { m, n: n as number, k: k as number },
    a: { at: a as number, row: aRow as number, column: aColumn as number },
    b: { at: b as number, row: bRow as number, column: bColumn as number },
  };
}

/** The same with places in regions. */
export function placed({ dtype, sizes, a, b, total }: AddedProduct<number>, spotOf: (ptr: number) => Spot): AddedProduct<Spot> {
  return { dtype, sizes, a: { ...a, at: spotOf(a.at) }, b: { ...b, at: spotOf(b.at) }, total: spotOf(total) };
}

/** Steps after which the products of all of them are made: as many as the kernel adds at a time. */
export function stepsTogether(products: readonly AddedProduct<Spot>[]): number {
  return Math.max(...products.map(({ sizes }) => Math.floor(LONGEST / sizes.k)));
}

/** Adds the products of `steps` steps, the first of which has its regions at these places. */
export function addProducts(
  steps: number,
  { dtype, sizes, a, b, total }: AddedProduct<Spot>,
  places: Readonly<Record<string, Place>>,
): void {
  const { m, n, k } = sizes;
  const width = dtype === "float32" ? 4 : 8;
  const [pa, pb, pc] = [a.at, b.at, total].map(({ region, offset }) => {
    const [base, stride] = places[region] as Place;
    return { ptr: base + offset, next: stride / width };
  }) as [{ ptr: number; next: number }, { ptr: number; next: number }, { ptr: number; next: number }];
  call(add_products, dtype, steps, m, n, k, pa.ptr, a.row, a.column, pa.next, pb.ptr, b.row, b.column, pb.next, pc.ptr, n);
}
