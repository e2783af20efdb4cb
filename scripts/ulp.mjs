// Measures the vector functions of assembly/math.
//
// pow is measured on random pairs: 4 million in float32, 8,192 in float64.
//
// The error is |computed - true| in units of the last place of the true value, so a correctly rounded function has ½.
// float32 is compared with the host's double functions (themselves within a unit of double, 2^-29 of float32's).

import { readFile } from "node:fs/promises";
import { setFlagsFromString } from "node:v8";
import { scanKernels } from "./build-kernels.mjs";
import * as exact from "./exact.mjs";
import { checkNames, readOptions } from "./options.mjs";

const USAGE = `Usage: npm run ulp -- [options] [NAME ...]   errors of the vector functions, of all or of these names

  --quick        float32: every 1009th argument instead of every one of the 2^32
  --float64      float64: 40,000 arguments of every size, against big integers
  --no-simd      leaves the deterministic build out
  --no-relaxed   leaves the relaxed build out
  --help         shows this text
`;

const flag = { type: "boolean", default: false };
const options = readOptions("ulp", USAGE, { quick: flag, float64: flag, "no-simd": flag, "no-relaxed": flag }, { named: true });
const { names } = options;

const root = new URL("..", import.meta.url);
const BATCH = 1 << 16;

/** Name → code of the kernel, true value in double, true value in fixed point, range. */
const FUNCTIONS = {
  exp: { code: "EXP", double: Math.exp, exact: exact.exp, min: 0 },
  expm1: { code: "EXPM1", double: Math.expm1, exact: exact.expm1, min: -1 },
  log: { code: "LOG", double: Math.log, exact: exact.log },
  log1p: { code: "LOG1P", double: Math.log1p, exact: exact.log1p },
  tanh: { code: "TANH", double: Math.tanh, exact: exact.tanh, min: -1, max: 1 },
  sigmoid: {
    code: "SIGMOID",
    double: (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x))),
    exact: exact.sigmoid,
    min: 0,
    max: 1,
  },
  erf: { code: "ERF", double: exact.erfDouble, exact: exact.erf, min: -1, max: 1 },
  sin: { code: "SIN", double: Math.sin, exact: exact.sin, min: -1, max: 1 },
  cos: { code: "COS", double: Math.cos, exact: exact.cos, min: -1, max: 1 },
  pow: { code: "POW" },
};

checkNames("ulp", "functions", names, Object.keys(FUNCTIONS));

async function loadCodes() {
  const text = await readFile(new URL("assembly/codes.ts", root), "utf8");
  return Object.fromEntries([...text.matchAll(/export const (\w+) = (\d+);/g)].map(([, name, value]) => [name, Number(value)]));
}

/** A function that fills y with code(x) for whole batches, in the given build. */
async function openKernels(build) {
  const bytes = await readFile(new URL(`build/${build}.wasm`, root));
  // Node 20 has relaxed SIMD behind a flag.
  if (!WebAssembly.validate(bytes)) setFlagsFromString("--experimental-wasm-relaxed-simd");
  if (!WebAssembly.validate(bytes)) return null;
  const { memory, run, heapBase } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
  const id = 2 * (await scanKernels()).findIndex((k) => k.name === "elementwise");
  const slots = (heapBase() + 63) & ~63;
  const x = slots + 512;
  const exponents = x + 8 * BATCH;
  const y = exponents + 8 * BATCH;
  memory.grow(Math.ceil((24 * BATCH + 1024) / 65536));
  const f64 = new Float64Array(memory.buffer);
  const apply = (code, float64) => {
    f64.set([code, x, exponents, 0, 0, 0, y, 1, BATCH, 1, 1, 0], slots / 8);
    run(id + (float64 ? 1 : 0), slots);
  };
  const over = (at) => ({
    f32: new Float32Array(memory.buffer, at, BATCH),
    u32: new Uint32Array(memory.buffer, at, BATCH),
    f64: new Float64Array(memory.buffer, at, BATCH),
  });
  return { apply, x: over(x), exponents: over(exponents), y: over(y) };
}

/** Unit of the last place of a float32 around v. */
function unit32(v) {
  const a = Math.abs(v);
  if (a < 2 ** -126) return 2 ** -149;
  if (a >= 2 ** 127) return 2 ** 104;
  const e = Math.floor(Math.log2(a));
  const power = 2 ** e;
  return (power > a ? power / 2 : power * 2 <= a ? power * 2 : power) * 2 ** -23;
}

class Worst {
  error = 0;
  at = Number.NaN;
  wrong = 0;
  firstWrong = Number.NaN;

  see(x, error) {
    if (error === Infinity) {
      if (this.wrong++ === 0) this.firstWrong = x;
    } else if (error > this.error) {
      this.error = error;
      this.at = x;
    }
  }
}

/** What units cannot say: NaN, the sign of zero, values out of the function's range. */
function isWrong(got, want, { min = -Infinity, max = Infinity }) {
  if (Number.isNaN(want)) return !Number.isNaN(got);
  return !(got >= min && got <= max) || (want === 0 && !Object.is(got, want));
}

/** Infinity counts as the number that follows the largest one. */
const bounded = (v) => Math.max(-(2 ** 128), Math.min(2 ** 128, v));

function error32(got, want, fn) {
  // By far the most: rounded correctly.
  if (got === Math.fround(want) && got !== 0) return 0.5;
  if (isWrong(got, want, fn)) return Infinity;
  if (Number.isNaN(want)) return 0;
  return Math.abs(bounded(got) - bounded(want)) / unit32(want);
}

/** Where a build gives the bits that another one gave, the error is known to be at most that one's. */
function measure32(kernels, code, fn, step, known) {
  const worst = new Worst();
  const { x, y } = kernels;
  for (let start = 0; start < 2 ** 32; start += BATCH * step) {
    for (let i = 0; i < BATCH; i++) x.u32[i] = start + i * step;
    kernels.apply(code, false);
    const other = known && valuesOf(known.kernels, code, x.u32);
    for (let i = 0; i < BATCH; i++) {
      if (other && other[i] === y.u32[i]) continue;
      worst.see(x.f32[i], error32(y.f32[i], fn.double(x.f32[i]), fn));
    }
  }
  return known && known.worst.error > worst.error ? known.worst : worst;
}

function valuesOf(kernels, code, bits) {
  kernels.x.u32.set(bits);
  kernels.apply(code, false);
  return kernels.y.u32;
}

/** Random numbers in [0, 1), the same ones every time. */
function randomNumbers() {
  let state = 1n;
  return () => {
    state = (state * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    return Number(state >> 11n) / 2 ** 53;
  };
}

/** Doubles of every size, most of them where the functions do something. */
function* arguments64(count) {
  const random = randomNumbers();
  for (let i = 0; i < count; i++) {
    const sign = i % 2 === 0 ? 1 : -1;
    const u = random();
    if (i % 8 < 2) yield sign * u * 2;
    else if (i % 8 < 4) yield sign * u * 40;
    else if (i % 8 < 6) yield sign * u * 750;
    else yield sign * (1 + u) * 2 ** (Math.floor(random() * 2040) - 1021);
  }
}

function measure64(kernels, code, fn, count) {
  const worst = new Worst();
  const list = [...arguments64(count)].filter((v) => !Number.isNaN(fn.double(v)) && Math.abs(fn.double(v)) !== Infinity);
  for (let start = 0; start < list.length; start += BATCH) {
    const part = list.slice(start, start + BATCH);
    kernels.x.f64.set(part);
    kernels.apply(code, true);
    part.forEach((v, i) => {
      const got = kernels.y.f64[i];
      worst.see(v, isWrong(got, fn.double(v), fn) ? Infinity : exact.errorInUnits(got, fn.exact(v)));
    });
  }
  return worst;
}

/** Powers x^y of random numbers whose results spread over the whole range of the type. */
function measurePow(kernels, code, float64, batches) {
  const worst = new Worst();
  const random = randomNumbers();
  const { x, exponents, y } = kernels;
  const kind = float64 ? "f64" : "f32";
  const reach = float64 ? 700 : 85;
  for (let batch = 0; batch < batches; batch++) {
    for (let i = 0; i < BATCH; i++) {
      x[kind][i] = 2 ** ((random() - 0.5) * (i % 2 === 0 ? 2 : 200));
      exponents[kind][i] = ((random() - 0.5) * 2 * reach) / Math.log(x[kind][i]);
    }
    kernels.apply(code, float64);
    for (let i = 0; i < BATCH; i += float64 ? 16 : 1) {
      const [base, exponent, got] = [x[kind][i], exponents[kind][i], y[kind][i]];
      if (float64) worst.see(base, exact.errorInUnits(got, exact.pow(base, exponent)));
      else worst.see(base, error32(got, base ** exponent, {}));
    }
  }
  return worst;
}

function measure(kernels, code, fn, known) {
  const float64 = options.float64;
  if (fn.code === "POW") return measurePow(kernels, code, float64, float64 ? 2 : 64);
  if (float64) return measure64(kernels, code, fn, 40_000);
  return measure32(kernels, code, fn, options.quick ? 1009 : 1, known);
}

const codes = await loadCodes();
const known = new Map();
let failed = false;
for (const build of ["simd", "relaxed"]) {
  if (options[`no-${build}`]) continue;
  const kernels = await openKernels(build);
  if (kernels === null) {
    console.log(`${build}: this host cannot run it`);
    continue;
  }
  for (const [name, fn] of Object.entries(FUNCTIONS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const worst = measure(kernels, codes[fn.code], fn, known.get(name));
    known.set(name, { kernels, worst });
    const verdict = worst.wrong > 0 ? `  ${worst.wrong} wrong, first at ${worst.firstWrong}` : "";
    console.log(`${build.padEnd(8)} ${name.padEnd(8)} ${worst.error.toFixed(3)} ULP at ${worst.at}${verdict}`);
    failed ||= worst.wrong > 0 || !(worst.error <= 2);
  }
}
process.exitCode = failed ? 1 : 0;
