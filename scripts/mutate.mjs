// Changes a source file in one place after another and asks its tests whether they notice.
//
// All mutants are built into one bundle behind a switch. The quick tests meet many of them in one process; who survives meets all tests in a
// process of its own. Constructors are left alone but for options and branches, since initial values have tests of their own, and so are
// errors. A survivor that does not change what is computed is nobody's fault.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import ts from "typescript-5.7";
import { readOptions, refuse } from "./options.mjs";

const USAGE = `Usage: npm run mutate -- [options] FILE ... [TEST ...]   small faults in source files, and those that their tests do not notice

  FILE           src/cells/gated/mut.ts, say; several with the same tests cost little more than one
  TEST           the files of tests (test/...); those of the same places under test/ unless given
  --skip=WORDS   leaves out tests whose names have one of these words, with commas between (default learn)
  --grep=WORD    only faults in expressions with this word
  --lines=A-B    only faults in these lines
  --quick=MS     leaves out tests that take longer on a processor, whatever they might notice
  --sample=N     at most N faults a file, the same at every call
  --help         shows this text
`;
const options = readOptions(
  "mutate",
  USAGE,
  {
    skip: { type: "string", default: "learn" },
    grep: { type: "string" },
    lines: { type: "string" },
    quick: { type: "string" },
    sample: { type: "string" },
  },
  { named: true },
);

const root = fileURLToPath(new URL("..", import.meta.url));

/** Functions that stand in for one another. */
const SWAPPED = {
  add: "sub",
  sub: "add",
  mul: "add",
  sigmoid: "tanh",
  tanh: "sigmoid",
  relu: "tanh",
  exp: "sigmoid",
  less: "greater",
  greater: "less",
  lessEqual: "less",
  greaterEqual: "greater",
  maximum: "minimum",
  minimum: "maximum",
};
const OPERATORS = { "+": "-", "-": "+", "*": "/", "/": "*", "<": "<=", ">": ">=", "<=": "<", ">=": ">", "===": "!==", "!==": "===" };
/** Functions of one tensor, and of two, that may be left out. */
const UNARY = new Set([
  "sigmoid",
  "tanh",
  "relu",
  "exp",
  "log",
  "neg",
  "softplus",
  "silu",
  "logSigmoid",
  "complement",
  "softmax",
  "square",
]);
const BINARY = new Set(["add", "sub", "mul", "div"]);
/** Their initial values are tested elsewhere. */
const INITIAL = new Set(["uniformParameter", "draw", "checkSizes", "checkDelays"]);

/** The texts that may stand in place of a node. */
function mutantsOf(node, text, inConstructor) {
  const found = [];
  if (ts.isConditionalExpression(node)) found.push(text(node.whenTrue), text(node.whenFalse));
  if (ts.isBinaryExpression(node)) {
    const operator = node.operatorToken.getText();
    if (operator === "??" && node.right.kind !== ts.SyntaxKind.ThrowKeyword) found.push(text(node.right));
    if (operator === "&&" || operator === "||") found.push(text(node.left), text(node.right));
    if (OPERATORS[operator] && !inConstructor) found.push(`${text(node.left)} ${OPERATORS[operator]} ${text(node.right)}`);
  }
  if (ts.isPrefixUnaryExpression(node) && node.operator === ts.SyntaxKind.ExclamationToken) found.push(text(node.operand));
  if (ts.isIfStatement(node.parent) && node.parent.expression === node) found.push(throws(node.parent) ? "false" : `!(${text(node)})`);
  if (ts.isCallExpression(node) && !inConstructor) found.push(...mutantsOfCall(node, text));
  if (ts.isIdentifier(node) && UNARY.has(node.text) && !ts.isCallExpression(node.parent)) found.push("((x) => x)");
  return found;
}

/** Whether a statement does nothing but throw where its condition holds. */
function throws({ thenStatement }) {
  return ts.isThrowStatement(thenStatement) || (ts.isBlock(thenStatement) && thenStatement.statements.some(ts.isThrowStatement));
}

function mutantsOfCall(node, text) {
  const found = [];
  const args = node.arguments.map(text);
  const call = (name, list) => `${name}(${list.join(", ")})`;
  const name = text(node.expression);
  const local = name.split(".").at(-1);
  const plain = !node.arguments.some(ts.isSpreadElement);
  if (!plain) return found;
  if (SWAPPED[name]) found.push(call(`globalThis.__ops.${SWAPPED[name]}`, args));
  if (UNARY.has(name) && args.length >= 1) found.push(args[0]);
  if (BINARY.has(name)) found.push(args[0], args[1]);
  if (name === "sub" || name === "div") found.push(call(name, [args[1], args[0]]));
  if (local === "linear" && args.length === 3) found.push(call(name, args.slice(0, 2)));
  if (local === "mix") found.push(call(name, [args[0], args[2], args[1]]));
  if (local === "where") found.push(call(name, [args[0], args[2], args[1]]));
  if (local === "cat") found.push(call(name, [`[...${args[0]}].reverse()`, ...args.slice(1)]));
  if (local === "flip") found.push(args[0]);
  if (local === "reverse" || local === "toReversed") found.push(args[0] ?? text(node.expression.expression));
  if (local === "detach") found.push(text(node.expression.expression));
  for (const [i, argument] of node.arguments.entries()) {
    if (!ts.isNumericLiteral(argument)) continue;
    for (const by of [1, -1]) found.push(call(name, args.with(i, String(Number(argument.text) + by))));
  }
  return found;
}

/** A source with every mutant behind a switch; the mutants, and where each is, are added to those of other files. */
function switched(given, mutants) {
  const file = resolve(root, given);
  const code = readFileSync(file, "utf8");
  const source = ts.createSourceFile(file, code, ts.ScriptTarget.Latest, true);
  const text = (node) => code.slice(node.getStart(source), node.end);
  const place = (node) => source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
  const choose = (node, list, original) =>
    list.reduceRight((rest, mutant) => {
      mutants.push({ file: given, line: place(node), from: text(node), to: mutant });
      return `(globalThis.__mutant === ${mutants.length} ? (${mutant}) : ${rest})`;
    }, `(${original})`);
  const emit = (node, inConstructor) => {
    if (ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isExportDeclaration(node) || ts.isThrowStatement(node)) return text(node);
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node) || ts.isTemplateExpression(node)) return text(node);
    if (ts.isCallExpression(node) && INITIAL.has(text(node.expression).split(".").at(-1))) return text(node);
    if (ts.isBinaryExpression(node) && node.operatorToken.getText() === "=") return assignment(node, inConstructor);
    const inside = inConstructor || ts.isConstructorDeclaration(node);
    if (ts.isVariableDeclaration(node) && ts.isArrayBindingPattern(node.name) && node.initializer && !inside) return unpacked(node, inside);
    const original = childrenOf(node, inside);
    if (!ts.isExpression(node) || ts.isSpreadElement(node) || (ts.isPropertyAccessExpression(node.parent) && node.parent.name === node))
      return original;
    const isName = node.parent.name === node || ts.isBindingElement(node.parent) || ts.isImportSpecifier(node.parent);
    if (ts.isIdentifier(node) && isName) return original;
    const list = mutantsOf(node, text, inside);
    return list.length === 0 ? original : choose(node, list, original);
  };
  const childrenOf = (node, inside) => {
    let [result, at] = ["", node.getStart(source)];
    ts.forEachChild(node, (child) => {
      if (child.getStart(source) < at) return;
      result += code.slice(at, child.getStart(source)) + emit(child, inside);
      at = child.end;
    });
    return result + code.slice(at, node.end);
  };
  const assignment = (node, inside) => `${text(node.left)} = ${emit(node.right, inside)}`;
  /** [a, b, …] = parts: neighbours change places. */
  const unpacked = (node, inside) => {
    const names = node.name.elements.length;
    const swaps = Array.from({ length: names - 1 }, (_, i) => `globalThis.__swap(${text(node.initializer)}, ${i})`);
    const type = node.type ? `: ${text(node.type)}` : "";
    return `${text(node.name)}${type} = ${choose(node.initializer, swaps, emit(node.initializer, inside))}`;
  };
  return code.slice(0, source.getStart(source)) + emit(source, false);
}

/** At most n of a list, spread over it in steps that fall out of its rhythm. */
function sample(list, n) {
  const golden = (Math.sqrt(5) - 1) / 2;
  const place = new Map(list.map((item, i) => [item, (i * golden) % 1]));
  return list
    .toSorted((a, b) => place.get(a) - place.get(b))
    .slice(0, n)
    .toSorted((a, b) => a - b);
}

/** What stands in place of vitest: runs until the first failure. */
const SHIM = `
import assert from "node:assert";
import fs from "node:fs";
globalThis.__mutant = 0;
globalThis.__swap = (list, i) => { const l = [...list]; [l[i], l[i + 1]] = [l[i + 1], l[i]]; return l; };
const skipped = (process.env.MUTANT_SKIP ?? "learn").split(",");
const tests = [];
const named = (name, fn) => { if (!skipped.some((word) => word && name.includes(word))) tests.push({ name, fn }); };
const callback = (args) => args.find((a) => typeof a === "function");
let prefix = "";
export const it = (name, ...args) => named(prefix + name, callback(args));
it.each = (table) => (name, ...args) => table.forEach((row, i) => it(name + " #" + i, () => callback(args)(...(Array.isArray(row) ? row : [row]))));
export const test = it;
export const describe = (name, fn) => { const before = prefix; prefix += name + " "; fn(); prefix = before; };
describe.each = (table) => (name, fn) => table.forEach((row, i) => describe(name + " #" + i, () => fn(...(Array.isArray(row) ? row : [row]))));
const matchers = {
  toBe: (a, b) => Object.is(a, b),
  toEqual: (a, b) => { try { assert.deepEqual(a, b); return true; } catch { return false; } },
  toMatchObject: (a, b) => {
    const matches = (x, y) => (y !== null && typeof y === "object" && !Array.isArray(y)
      ? typeof x === "object" && x !== null && Object.keys(y).every((name) => matches(x[name], y[name]))
      : matchers.toEqual(x, y));
    return matches(a, b);
  },
  toBeLessThan: (a, b) => a < b, toBeGreaterThan: (a, b) => a > b, toBeLessThanOrEqual: (a, b) => a <= b, toBeGreaterThanOrEqual: (a, b) => a >= b,
  toBeCloseTo: (a, b, digits = 2) => Math.abs(a - b) < 10 ** -digits / 2,
  toBeNull: (a) => a === null, toBeUndefined: (a) => a === undefined, toBeDefined: (a) => a !== undefined,
  toContain: (a, b) => a.includes(b), toHaveLength: (a, n) => a.length === n, toBeInstanceOf: (a, c) => a instanceof c,
  toMatch: (a, b) => (b instanceof RegExp ? b.test(a) : a.includes(b)),
  toThrow: (f, what) => { try { f(); return false; } catch (e) {
    return what === undefined || (typeof what === "string" ? e.message.includes(what) : what instanceof RegExp ? what.test(e.message) : e instanceof what);
  } },
};
const wrap = (value, wanted) => Object.fromEntries(Object.entries(matchers).map(([name, f]) => [name, (...args) => {
  if (f(value, ...args) !== wanted) throw new Error(name + ": " + String(value).slice(0, 200) + " " + args.map(String).join(" ").slice(0, 200));
}]));
export const expect = (value) => ({ ...wrap(value, true), not: wrap(value, false) });
const attempt = async (k) => {
  const { name, fn } = tests[k];
  try { await fn(); return null; } catch (error) { return name + ": " + String(error.message).split("\\n")[0].slice(0, 160); }
};
/** The first of some tests that fails; null where all pass. */
const firstToFail = async (order) => {
  for (const k of order) if ((await attempt(k)) !== null) return k;
  return null;
};
const rest = () => new Promise((done) => { globalThis.gc(); setImmediate(done); });
export const run = async () => {
  let { mutants, order } = JSON.parse(process.env.MUTANT_RUN);
  if (mutants === null) {
    for (const k of tests.keys()) {
      const begin = process.cpuUsage();
      const failure = await attempt(k);
      if (failure !== null) { console.log("FAIL " + failure); process.exit(1); }
      const { user, system } = process.cpuUsage(begin);
      console.log(k + " " + ((user + system) / 1000).toFixed(0) + " ms " + tests[k].name);
    }
    process.exit(tests.length === 0 ? 2 : 0);
  }
  // Many in one process, each followed by rest; the tests that failed pass with the sound program unless one has left damage behind.
  const failed = new Set();
  for (const [n, mutant] of mutants.entries()) {
    if (n % 10 === 9 && (await firstToFail(failed)) !== null) process.exit(3);
    fs.writeSync(1, "try " + mutant + "\\n");
    globalThis.__mutant = mutant;
    const failure = await firstToFail(order);
    globalThis.__mutant = 0;
    if (failure !== null) {
      failed.add(failure);
      // What notices one fault is likely to notice the next.
      order = [failure, ...order.filter((k) => k !== failure)];
    }
    fs.writeSync(1, (failure === null ? "survives " : "dies ") + mutant + "\\n");
    await rest();
  }
  process.exit(0);
};
`;

async function main({ names, skip, grep, lines, quick: limit = "Infinity", sample: most = "Infinity" }) {
  const files = names.filter((name) => !name.startsWith("test/"));
  const named = names.filter((name) => name.startsWith("test/"));
  if (files.length === 0) refuse("mutate", "expected a source file");
  const tests = named.length > 0 ? named : files.map((file) => file.replace(/^src/, "test").replace(/\.ts$/, ".test.ts"));
  for (const path of [...files, ...tests]) if (!existsSync(resolve(root, path))) refuse("mutate", `expected a file at ${path}`);
  const mutants = [];
  const sources = new Map(files.map((file) => [resolve(root, file), switched(file, mutants)]));
  const folder = mkdtempSync(join(tmpdir(), "mutate-"));
  const bundle = join(folder, "bundle.mjs");
  const entry = [
    'import { run } from "vitest";',
    `import * as ops from ${JSON.stringify(resolve(root, "src/ops/index.ts"))}; globalThis.__ops = ops;`,
    ...tests.map((test) => `import ${JSON.stringify(resolve(root, test))};`),
    "await run();",
  ];
  await build({
    stdin: { contents: entry.join("\n"), resolveDir: root, loader: "ts" },
    bundle: true,
    platform: "node",
    format: "esm",
    outfile: bundle,
    logLevel: "error",
    target: "esnext",
    ignoreAnnotations: true,
    plugins: [
      {
        name: "mutants",
        setup(builder) {
          builder.onResolve({ filter: /^vitest$/ }, () => ({ path: "vitest", namespace: "shim" }));
          builder.onLoad({ filter: /.*/, namespace: "shim" }, () => ({ contents: SHIM, loader: "js" }));
          builder.onLoad({ filter: /\.ts$/ }, ({ path }) =>
            sources.has(path) ? { contents: sources.get(path), loader: "ts" } : undefined,
          );
        },
      },
    ],
  });
  const run = (mutants, order, timeout) => {
    const env = { ...process.env, MUTANT_SKIP: skip, MUTANT_RUN: JSON.stringify({ mutants, order }) };
    return spawnSync(process.execPath, ["--expose-gc", bundle], { env, encoding: "utf8", timeout: Math.ceil(timeout) });
  };
  const begin = performance.now();
  const sound = run(null, null, 600_000);
  const time = performance.now() - begin;
  if (sound.status !== 0)
    throw new Error(`mutate: expected tests that pass, got status ${sound.status}\n${sound.stdout}${sound.stderr.slice(-2000)}`);
  const timed = [...sound.stdout.matchAll(/^(\d+) (\d+) ms /gm)].map(([, k, ms]) => [Number(k), Number(ms)]);
  const order = timed.filter(([, ms]) => ms < Number(limit)).sort((a, b) => a[1] - b[1]);
  const quick = order.filter(([, ms]) => ms < 2000).map(([k]) => k);
  const all = order.map(([k]) => k);
  const [first, last] = lines === undefined ? [1, Infinity] : lines.split("-").map(Number);
  const isChosen = ({ line, from, to }) => line >= first && line <= last && (!grep || `${from} ${to}`.includes(grep));
  const chosen = files.flatMap((file) => {
    const own = mutants.map((_, k) => k + 1).filter((k) => mutants[k - 1].file === file && isChosen(mutants[k - 1]));
    return sample(own, Number(most));
  });
  const tell = (what, k) => {
    const { file, line, from, to } = mutants[k - 1];
    const short = (text) => text.replace(/\s+/g, " ").slice(0, 100);
    console.log(`  ${what} ${file}:${line}: ${short(from)}  ->  ${short(to)}`);
  };
  const doubtful = [];
  let left = chosen;
  while (left.length > 0) {
    const { stdout, status } = run(left, quick, 20_000 + time * 2 + left.length * 1000);
    const outcome = new Map([...stdout.matchAll(/(dies|survives) (\d+)/g)].map(([, word, k]) => [Number(k), word]));
    for (const [k, word] of outcome) if (word === "survives") doubtful.push(k);
    const tried = [...stdout.matchAll(/try (\d+)/g)].map(([, k]) => Number(k));
    // One that did not come back is as good as dead, on a machine that is not too busy.
    const lost = tried.filter((k) => !outcome.has(k));
    for (const k of lost) tell("does not come back", k);
    left = left.filter((k) => !outcome.has(k) && !lost.includes(k));
    if (status === 3) console.log(`  damage after ${tried.at(-1)}`);
    if (tried.length === 0) break;
  }
  // Who survives the quick tests meets the others, alone.
  const others = all.slice(quick.length);
  const outlives = (k) => run([k], others, 10_000 + 10 * time).stdout.includes("survives");
  const survivors = others.length === 0 ? doubtful : doubtful.filter(outlives);
  for (const k of survivors) tell("survives", k);
  for (const file of files) {
    const count = (list) => list.filter((k) => mutants[k - 1].file === file).length;
    console.log(`${file}: ${count(chosen)} mutants, ${count(survivors)} survive`);
  }
  rmSync(folder, { recursive: true });
}

await main(options);
