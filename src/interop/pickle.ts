/**
 * Python's pickles as data: a machine of the opcodes that build plain values. It executes nothing. What a pickle wants to import is looked up in a
 * closed list, and every other opcode is refused by its name.
 *
 * @see Python, Lib/pickletools.py, which documents the opcodes of protocols 0 to 5
 */

import { textOf } from "../base/bytes.ts";
import { FormatError } from "../base/errors.ts";
import { quote, shorten } from "../base/quote.ts";

/** A pickled value: dictionaries are Maps, lists and tuples arrays, integers beyond 2^53 bigints. */
export type Pickled = null | boolean | number | bigint | string | Uint8Array | Pickled[] | Map<string | number, Pickled> | object;

/** What a pickle may name, and what becomes of it. */
export interface Names {
  /** What stands for a name: a value, or a function of the arguments that the pickle calls it with; undefined for one that is not known. */
  global(name: string): ((args: readonly Pickled[]) => Pickled) | Pickled | undefined;
  /** What a reference to something outside of the pickle means. */
  persistent(id: Pickled): Pickled;
}

/** Bounds of what one pickle makes: a byte of it may stand for an object of a hundred. */
const MOST_MAPS = 2 ** 17;
const MOST_LISTS = 2 ** 20;
const LONGEST_INTEGER = 64;
const LONGEST_LINE = 256;

/** Names of the opcodes that are refused, for messages. */
const REFUSED: Readonly<Record<number, string>> = Object.fromEntries(
  [
    ["0POP", "1POP_MARK", "2DUP", "FFLOAT", "IINT", "LLONG", "PPERSID", "SSTRING", "VUNICODE"],
    ["dDICT", "gGET", "iINST", "lLIST", "oOBJ", "pPUT", "\x81NEWOBJ", "\x82EXT1", "\x83EXT2", "\x84EXT4"],
    ["\x8dBINUNICODE8", "\x8eBINBYTES8", "\x8fEMPTY_SET", "\x90ADDITEMS", "\x91FROZENSET", "\x92NEWOBJ_EX"],
    ["\x96BYTEARRAY8", "\x97NEXT_BUFFER", "\x98READONLY_BUFFER"],
  ]
    .flat()
    .map((entry) => [entry.charCodeAt(0), entry.slice(1)]),
);

/**
 * Reads one pickle.
 * @param at where it begins
 * @returns its value, and where it ends
 * @throws FormatError for an opcode or a name that is not known, and for bytes that are no whole pickle
 */
export function unpickle(op: string, bytes: Uint8Array, at: number, names: Names): { readonly value: Pickled; readonly end: number } {
  const machine = new Machine(op, bytes, at, names);
  return { value: machine.run(), end: machine.at };
}

class Machine {
  at: number;
  readonly #op: string;
  readonly #bytes: Uint8Array;
  readonly #data: DataView;
  readonly #names: Names;
  readonly #stack: Pickled[] = [];
  /** Where on the stack the open groups begin. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, Pickled>();
  #maps = 0;
  #lists = 0;

  constructor(op: string, bytes: Uint8Array, at: number, names: Names) {
    this.#op = op;
    this.#bytes = bytes;
    this.#data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#names = names;
    this.at = at;
  }

  run(): Pickled {
    for (;;) {
      const code = this.#uint(1);
      if (code === 0x2e) return this.#pop();
      const act = ACTS[code];
      if (act === undefined)
        this.#fail("opcodes of plain data", `${REFUSED[code] ?? "none"} (0x${code.toString(16)}) at byte ${this.at - 1}`);
      act(this);
    }
  }

  #fail(expected: string, got: string): never {
    throw new FormatError(`${this.#op}: expected a pickle of ${expected}, got ${got}`);
  }

  /** The place of the next n bytes, which are passed. */
  #pass(n: number): number {
    const at = this.at;
    if (!(at + n <= this.#bytes.length)) this.#fail(`${n} more bytes at byte ${at}`, `${this.#bytes.length - at}`);
    this.at = at + n;
    return at;
  }

  #uint(width: 1 | 2 | 4): number {
    const at = this.#pass(width);
    if (width === 1) return this.#data.getUint8(at);
    return width === 2 ? this.#data.getUint16(at, true) : this.#data.getUint32(at, true);
  }

  #text(n: number): string {
    const at = this.#pass(n);
    return textOf(this.#bytes.subarray(at, at + n));
  }

  #line(): string {
    const start = this.at;
    const length = this.#bytes.subarray(start, start + LONGEST_LINE).indexOf(10);
    if (length === -1) this.#fail(`a line of at most ${LONGEST_LINE} bytes at byte ${start}`, "a longer one");
    const line = this.#text(length);
    this.#pass(1);
    return line;
  }

  #pop(): Pickled {
    const least = this.#marks.at(-1) ?? 0;
    if (this.#stack.length <= least) this.#fail("a value for each opcode that takes one", `none at byte ${this.at - 1}`);
    return this.#stack.pop() as Pickled;
  }

  #top<T>(what: string, is: (value: Pickled) => value is T & Pickled): T {
    const value = this.#stack.at(-1);
    if (value !== undefined && is(value)) return value;
    return this.#fail(`${what} at byte ${this.at - 1}`, quote(value));
  }

  #popGroup(): Pickled[] {
    const mark = this.#marks.pop();
    if (mark === undefined) this.#fail("groups that begin", `an end without one at byte ${this.at - 1}`);
    return this.#stack.splice(mark);
  }

  push(value: Pickled): void {
    this.#stack.push(value);
  }

  pushUint(width: 1 | 2 | 4): void {
    this.push(this.#uint(width));
  }

  pushInt(): void {
    this.push(this.#data.getInt32(this.#pass(4), true));
  }

  pushFloat(): void {
    this.push(this.#data.getFloat64(this.#pass(8)));
  }

  /** Two's complement of any length. */
  pushLong(width: 1 | 4): void {
    const n = this.#uint(width);
    if (n > LONGEST_INTEGER) this.#fail(`integers of at most ${LONGEST_INTEGER} bytes`, `${n}`);
    const at = this.#pass(n);
    let value = 0n;
    for (let i = n - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#data.getUint8(at + i));
    value = BigInt.asIntN(8 * n, value);
    this.push(Number.isSafeInteger(Number(value)) ? Number(value) : value);
  }

  pushText(width: 1 | 4): void {
    this.push(this.#text(this.#uint(width)));
  }

  pushBytes(width: 1 | 4): void {
    const n = this.#uint(width);
    const at = this.#pass(n);
    this.push(this.#bytes.slice(at, at + n));
  }

  pushMap(): void {
    this.push(this.#counted(new Map()));
  }

  pushList(values: Pickled[]): void {
    if (++this.#lists > MOST_LISTS) this.#fail(`at most ${MOST_LISTS} lists and tuples`, "more");
    this.push(values);
  }

  #counted<T>(value: T): T {
    if (value instanceof Map && ++this.#maps > MOST_MAPS) this.#fail(`at most ${MOST_MAPS} dictionaries`, "more");
    return value;
  }

  mark(): void {
    this.#marks.push(this.#stack.length);
  }

  tupleOf(n: number): void {
    const values: Pickled[] = [];
    for (let i = 0; i < n; i++) values.unshift(this.#pop());
    this.pushList(values);
  }

  tuple(): void {
    this.pushList(this.#popGroup());
  }

  append(): void {
    const value = this.#pop();
    this.#top("a list", Array.isArray).push(value);
  }

  appends(): void {
    const values = this.#popGroup();
    const list = this.#top<Pickled[]>("a list", Array.isArray);
    for (const value of values) list.push(value);
  }

  setItem(): void {
    const value = this.#pop();
    this.#set([this.#pop(), value]);
  }

  setItems(): void {
    this.#set(this.#popGroup());
  }

  #set(pairs: readonly Pickled[]): void {
    const map = this.#top<Map<string | number, Pickled>>("a dictionary", isMap);
    if (pairs.length % 2 === 1) this.#fail("a value for each key", `a key without one at byte ${this.at - 1}`);
    for (let i = 0; i < pairs.length; i += 2) {
      const key = pairs[i];
      if (typeof key !== "string" && typeof key !== "number") this.#fail("keys that are text or numbers", quote(key));
      map.set(key, pairs[i + 1] as Pickled);
    }
  }

  put(key: number): void {
    const value = this.#stack.at(-1);
    if (value === undefined) this.#fail("something to remember", `nothing at byte ${this.at - 1}`);
    this.#memo.set(key, value);
  }

  putNext(): void {
    this.put(this.#memo.size);
  }

  putAt(width: 1 | 4): void {
    this.put(this.#uint(width));
  }

  getAt(width: 1 | 4): void {
    const key = this.#uint(width);
    const value = this.#memo.get(key);
    if (value === undefined) this.#fail("what was remembered", `number ${key}, which was not`);
    this.push(value);
  }

  globalOfLines(): void {
    this.#global(`${this.#line()}.${this.#line()}`);
  }

  globalOfStack(): void {
    const [name, module] = [this.#pop(), this.#pop()];
    this.#global(`${String(module)}.${String(name)}`);
  }

  #global(name: string): void {
    const found = this.#names.global(name);
    if (found === undefined) {
      const saved = "tensors and plain data, as torch.save(model.state_dict(), …) writes,";
      throw new FormatError(`${this.#op}: expected ${saved} got the name ${shorten(name)}, which is not one of these`);
    }
    this.push(found as Pickled);
  }

  reduce(): void {
    const args = this.#pop();
    const called = this.#pop();
    if (typeof called !== "function" || !Array.isArray(args)) this.#fail("calls of what it names", quote(called));
    this.push(this.#counted((called as (args: readonly Pickled[]) => Pickled)(args)));
  }

  persistent(): void {
    this.push(this.#names.persistent(this.#pop()));
  }

  /** Attributes, which plain data have no use for: of a state dict its metadata. */
  build(): void {
    const state = this.#pop();
    if (!isMap(state)) this.#fail("attributes in a dictionary", quote(state));
    this.#top("a dictionary with attributes", isMap);
  }

  skip(n: number): void {
    this.#pass(n);
  }
}

function isMap(value: Pickled): value is Map<string | number, Pickled> {
  return value instanceof Map;
}

/** What each opcode does. */
const ACTS: Readonly<Record<number, (m: Machine) => void>> = {
  128: (m) => m.skip(1), // PROTO
  149: (m) => m.skip(8), // FRAME
  78: (m) => m.push(null), // NONE
  136: (m) => m.push(true), // NEWTRUE
  137: (m) => m.push(false), // NEWFALSE
  75: (m) => m.pushUint(1), // BININT1
  77: (m) => m.pushUint(2), // BININT2
  74: (m) => m.pushInt(), // BININT
  138: (m) => m.pushLong(1), // LONG1
  139: (m) => m.pushLong(4), // LONG4
  71: (m) => m.pushFloat(), // BINFLOAT
  88: (m) => m.pushText(4), // BINUNICODE
  140: (m) => m.pushText(1), // SHORT_BINUNICODE
  84: (m) => m.pushText(4), // BINSTRING
  85: (m) => m.pushText(1), // SHORT_BINSTRING
  66: (m) => m.pushBytes(4), // BINBYTES
  67: (m) => m.pushBytes(1), // SHORT_BINBYTES
  125: (m) => m.pushMap(), // EMPTY_DICT
  93: (m) => m.pushList([]), // EMPTY_LIST
  41: (m) => m.pushList([]), // EMPTY_TUPLE
  40: (m) => m.mark(), // MARK
  116: (m) => m.tuple(), // TUPLE
  133: (m) => m.tupleOf(1), // TUPLE1
  134: (m) => m.tupleOf(2), // TUPLE2
  135: (m) => m.tupleOf(3), // TUPLE3
  97: (m) => m.append(), // APPEND
  101: (m) => m.appends(), // APPENDS
  115: (m) => m.setItem(), // SETITEM
  117: (m) => m.setItems(), // SETITEMS
  113: (m) => m.putAt(1), // BINPUT
  114: (m) => m.putAt(4), // LONG_BINPUT
  148: (m) => m.putNext(), // MEMOIZE
  104: (m) => m.getAt(1), // BINGET
  106: (m) => m.getAt(4), // LONG_BINGET
  99: (m) => m.globalOfLines(), // GLOBAL
  147: (m) => m.globalOfStack(), // STACK_GLOBAL
  82: (m) => m.reduce(), // REDUCE
  81: (m) => m.persistent(), // BINPERSID
  98: (m) => m.build(), // BUILD
};
