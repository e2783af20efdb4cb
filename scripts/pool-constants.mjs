// Moves the vector constants of a compiled module into memory.
//
// V8 (Node 22 to 24) builds a v128.const anew wherever it stands, also inside loops, at three instructions each: they were
// half of the time of exp, tanh and sigmoid. A load from memory is one instruction, and half as long in the binary.
// The pool lies where the static data ended; `heapBase` moves up behind it.

import binaryen from "assemblyscript/binaryen";

const CONSTANT = /\(v128\.const i32x4 (0x[0-9a-f]{8}) (0x[0-9a-f]{8}) (0x[0-9a-f]{8}) (0x[0-9a-f]{8})\)/g;
/** Where the heap begins is a multiple of this, so that builds whose constants differ a little have the same heap. */
const HEAP_UNIT = 4096;

/** The function exported as `heapBase`, up to the constant it returns. */
const heapBaseOf = (text) => {
  const [, name] = /\(export "heapBase" \(func (\S+)\)\)/.exec(text) ?? [];
  return new RegExp(`(\\(func \\${name} [^;]*?\\(i32\\.const )(\\d+)\\)`);
};

/** Arguments are whole numbers in range, so the dispatcher converts them by the instruction that saves a byte and would trap. */
function plainConversions(text) {
  const [, name] = /\(export "run" \(func (\S+)\)\)/.exec(text) ?? [];
  const start = text.indexOf(`(func ${name} `);
  const end = text.indexOf("\n (func ", start + 1);
  const body = text
    .slice(start, end)
    .replace(/i32\.trunc_sat_f64_([su])(\s+\(f64\.load (?:offset=\d+)?\s*\(local\.get \$1\))/g, "i32.trunc_f64_$1$2");
  return text.slice(0, start) + body + text.slice(end);
}

/** @param {Uint8Array} bytes a module that exports `heapBase` @returns {Uint8Array} the same module with its constants in memory */
export function poolConstants(bytes) {
  const source = binaryen.readBinary(bytes);
  source.setFeatures(binaryen.Features.All);
  const text = source.emitText();
  source.dispose();
  const heapBase = heapBaseOf(text);
  const found = heapBase.exec(text);
  if (found === null) throw new Error("poolConstants: expected a function heapBase that returns a constant, got none");
  const start = (Number(found[2]) + 15) & ~15;
  const words = [];
  const places = new Map();

  /** Address of a run of words, put at a multiple of its size. */
  const place = (run) => {
    const key = run.join();
    if (!places.has(key)) {
      while (words.length % run.length !== 0) words.push("0x00000000");
      places.set(key, start + 4 * words.length);
      words.push(...run);
    }
    return places.get(key);
  };

  const replaced = plainConversions(text)
    .replace(CONSTANT, (whole, a, b, c, d) => {
      if (a === b && c === d && a === c && (a === "0x00000000" || a === "0xffffffff")) return whole;
      if (a === b && b === c && c === d) return `(v128.load32_splat offset=${place([a])} (i32.const 0))`;
      if (a === c && b === d) return `(v128.load64_splat offset=${place([a, b])} (i32.const 0))`;
      return `(v128.load offset=${place([a, b, c, d])} (i32.const 0))`;
    })
    .replace(heapBase, (_, before) => `${before}${(start + 4 * words.length + HEAP_UNIT - 1) & -HEAP_UNIT})`);
  const data = words.flatMap((w) => [0, 8, 16, 24].map((shift) => `\\${((Number(w) >>> shift) & 255).toString(16).padStart(2, "0")}`));
  const pooled = binaryen.parseText(replaced.replace(/\)\s*$/, `(data (i32.const ${start}) "${data.join("")}"))`));
  pooled.setFeatures(binaryen.Features.All);
  const out = pooled.emitBinary();
  pooled.dispose();
  return out;
}
