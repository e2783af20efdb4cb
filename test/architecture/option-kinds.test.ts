/** Every option that is true or false refuses a text, every number a text and NaN, every generator a number, before anything is drawn. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import ts from "typescript-5.7";
import { describe, expect, it } from "vitest";
import * as errors from "../../src/base/errors.ts";
import { Linear } from "../../src/nn/layers.ts";
import { Parameter } from "../../src/nn/module.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { defaultGenerator, Generator } from "../../src/tensor/random.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";
import { every, type Make } from "../recurrence/every.ts";

type Kind = "boolean" | "number" | "Generator";

/** What is given in place of each kind. */
const WRONG: Readonly<Record<Kind, readonly unknown[]>> = { boolean: ["false", 0], number: ["0.5", Number.NaN], Generator: [3] };

/** What files that ask for a path, a process or hours do with a wrong value, their own tests say. */
const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => !/^(base|wasm|replay|cli)\/|evolve/.test(file) && !file.endsWith("values-only.ts"));

interface Declared {
  readonly kinds: Readonly<Record<string, Kind>>;
  /** Types whose options these have as well, maybe without some. */
  readonly others: readonly string[];
}

const declared = new Map<string, Declared>();
/** Where a class's constructor or a function takes options: their types, their place, the class's base. */
interface Taker {
  readonly types: readonly string[];
  readonly position: number;
  readonly base: string;
  readonly isAbstract: boolean;
}

const takers = new Map<string, Taker>();

/** The place of the options of a class without a constructor. */
const INHERITED = -2;

const optionTypes = (text: string): string[] => text.match(/\w+Options\b/g) ?? [];

function kindOf(text: string): Kind | null {
  const [, kind = null] = /^(boolean|number|Generator)(?: \| undefined)?$/.exec(text) ?? [];
  return kind as Kind | null;
}

function kindsOf(members: ts.NodeArray<ts.TypeElement>): Record<string, Kind> {
  const found: Record<string, Kind> = {};
  for (const member of members) {
    if (!ts.isPropertySignature(member) || member.type === undefined) continue;
    const kind = kindOf(member.type.getText());
    if (kind !== null) found[member.name.getText()] = kind;
  }
  return found;
}

function readType(node: ts.InterfaceDeclaration | ts.TypeAliasDeclaration): void {
  if (ts.isInterfaceDeclaration(node)) {
    const others = optionTypes((node.heritageClauses ?? []).map((clause) => clause.getText()).join());
    declared.set(node.name.text, { kinds: kindsOf(node.members), others });
    return;
  }
  const literals: ts.TypeLiteralNode[] = [];
  const visit = (type: ts.Node): void => {
    if (ts.isTypeLiteralNode(type)) literals.push(type);
    else ts.forEachChild(type, visit);
  };
  visit(node.type);
  declared.set(node.name.text, {
    kinds: Object.assign({}, ...literals.map((l) => kindsOf(l.members))),
    others: optionTypes(node.type.getText()),
  });
}

function readTaker(node: ts.ClassDeclaration | ts.FunctionDeclaration): void {
  const made = ts.isClassDeclaration(node) ? node.members.find(ts.isConstructorDeclaration) : node;
  const parameters = made?.parameters ?? ([] as readonly ts.ParameterDeclaration[]);
  const position = parameters.findIndex((p) => /options|given/.test(p.name.getText()));
  const types = optionTypes(parameters[position]?.type?.getText() ?? "");
  const base = ts.isClassDeclaration(node) ? (node.heritageClauses?.[0]?.types[0]?.expression.getText() ?? "") : "";
  const isAbstract = node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AbstractKeyword) ?? false;
  if (node.name) takers.set(node.name.text, { types, position: made === undefined ? INHERITED : position, base, isAbstract });
}

for (const file of files) {
  for (const node of ts.createSourceFile(file, readFileSync(`src/${file}`, "utf8"), ts.ScriptTarget.Latest, true).statements) {
    if (ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node)) readType(node);
    else if (ts.isClassDeclaration(node) || ts.isFunctionDeclaration(node)) readTaker(node);
  }
}

/** The options of a type and of those that it is made of, by kind. What a type leaves out, `Omit`, is unknown to its class: an error as well. */
function optionsOfType(name: string): Record<string, Kind> {
  const { kinds, others } = declared.get(name) ?? { kinds: {}, others: [] };
  return Object.assign({}, ...others.filter((other) => other !== name).map(optionsOfType), kinds);
}

/** A class without a constructor has that of its base. */
function takerOf(name: string): Taker | undefined {
  let taker = takers.get(name);
  while (taker?.position === INHERITED) taker = takers.get(taker.base);
  return taker;
}

function optionsOfTaker(name: string): Record<string, Kind> {
  return Object.assign({}, ...(takerOf(name)?.types ?? []).map(optionsOfType));
}

const KNOWN = Object.values(errors);
const statesOf = (...generators: Generator[]) => generators.map(({ state }) => Object.values(state).join()).join(";");
const show = (value: unknown) => (Number.isNaN(value) ? "NaN" : JSON.stringify(value));

/** What is wrong with how a call takes a wrong value; null if nothing is. */
async function complaint(call: (generator: Generator) => unknown): Promise<string | null> {
  const generator = new Generator(7);
  const before = statesOf(generator, defaultGenerator());
  try {
    await call(generator);
    return "accepted";
  } catch (error) {
    if (!KNOWN.some((known) => error instanceof known)) return String(error);
    return statesOf(generator, defaultGenerator()) === before ? null : `a generator that moved: ${(error as Error).message}`;
  }
}

async function complaints(options: Readonly<Record<string, Kind>>, call: (given: object) => unknown): Promise<string[]> {
  const found: string[] = [];
  for (const [name, kind] of Object.entries(options)) {
    for (const wrong of WRONG[kind]) {
      const said = await complaint((generator) => call(name === "generator" ? { [name]: wrong } : { generator, [name]: wrong }));
      if (said !== null) found.push(`${name}: ${show(wrong)}: ${said}`);
    }
  }
  return found;
}

describe("kinds of options", () => {
  it("are read from the sources", () => {
    expect(optionsOfTaker("GRU")).toMatchObject({
      bias: "boolean",
      resetAfter: "boolean",
      bidirectional: "boolean",
      dropout: "number",
      generator: "Generator",
    });
    expect(optionsOfTaker("Adam")).toMatchObject({ amsgrad: "boolean", weightDecay: "number", lr: "number" });
  });

  it.each(Object.keys(every))("of %s are checked", async (name) => {
    const make = every[name] as Make;
    const cell = make({ generator: new Generator(1) });
    const own = optionsOfTaker(cell.constructor.name);
    // Some makers pass on no more than sizes, or a generator.
    const passed = Object.entries(own).filter(([option]) => {
      let read = false;
      try {
        make(Object.defineProperty({ generator: new Generator(1) }, option, { enumerable: true, get: () => { read = true; } })); // biome-ignore format: one line
      } catch {}
      return read;
    });
    expect(await complaints(Object.fromEntries(passed), (given) => make(given))).toEqual([]);
  });
});

const weight = () => new Parameter(tensor([[1, 2], [3, 4]])); // biome-ignore format: a matrix
const withGradient = () => Object.assign(weight(), { grad: tensor([[1, 1], [1, 1]]) }); // biome-ignore format: a matrix
const net = () => new Linear(2, 1, { generator: new Generator(1) });
const cell = () => new RNNCell({ inputSize: 3, hiddenSize: 3, generator: new Generator(1) });

/** What arguments before the options may be. */
const FILLINGS: readonly (() => readonly unknown[])[] = [
  () => [],
  () => [3, 2],
  () => [3],
  () => [2, 2, 1],
  () => [cell()],
  () => [[cell(), cell()]],
  () => [[weight()]],
  () => [tensor([[1, 2], [3, 4]])], // biome-ignore format: a matrix
  () => [tensor([[1, 2], [3, 4]]), tensor([[1, 2], [3, 4]])], // biome-ignore format: matrices
  () => [new SGD([weight()], { lr: 1 })],
  () => [[1, 0, 1, 2, 0, 1, 2, 1]],
  () => [[[1, 0], [1, 2]]], // biome-ignore format: a matrix
  () => ["abc"],
  () => [0.5],
  () => [tensor([[1, 2], [3, 4]]), 0.5], // biome-ignore format: a matrix
  () => [tensor([[1, 2], [3, 4]]), [2]], // biome-ignore format: a matrix
  () => [{ a: 1 }],
  () => [[{ name: "a", x: [1], y: [1] }]],
  () => [new Map([["a", tensor([1])]])],
  () => [{ transitions: [[0]], accepting: [true] }],
  () => [tensor([[[1, 2, 3]]]), tensor([[[1]]])],
  () => [tensor([[[1, 2, 3]]]), tensor([[[1]]]), tensor([1])],
  () => [tensor([[[[1, 2], [3, 4]]]]), tensor([[[[1]]]])], // biome-ignore format: images
  () => [tensor([[[[1, 2], [3, 4]]]]), tensor([[[[1]]]]), tensor([1])], // biome-ignore format: images
  () => [tensor([0, 1], { dtype: "int32" }), tensor([[1, 2], [3, 4]])], // biome-ignore format: a matrix
  () => [[withGradient()], 1],
  () => [tensor([[[1, 2, 3]]]), 2],
  () => [tensor([[[1, 2, 3]], [[1, 2, 3]]]), [[1]]], // biome-ignore format: sequences
  () => [tensor([[[1, 2, 3]], [[1, 2, 3]]]), [[1]], [2]], // biome-ignore format: sequences
  () => [tensor([[1, 2], [3, 4]]), tensor([0, 1], { dtype: "int32" })], // biome-ignore format: a matrix
  () => [[tensor([1, 2])], [tensor([1, 2])]],
  () => [net(), Array.from({ length: 12 }, () => ({}))],
  () => [net(), [{}], () => 1],
  () => [(xs: readonly Tensor[]) => sum(xs[0] as Tensor), [tensor([1])]],
  () => [2, 2, 2],
];

/** What a class or function may need among its options. */
const BASES: readonly object[] = [
  {},
  { lr: 0.1 },
  { inputSize: 3, hiddenSize: 4 },
  { inputSize: 3, outputSize: 4 },
  { inputSize: 3, hiddenSize: 4, outputSize: 4 },
  { inputSize: 3, hiddenSizes: [4, 4] },
  { inputSize: 3, stateSize: 4 },
  { inputSize: 3, size: 4 },
  { inputSize: 3, units: 4 },
  { size: 4 },
  { sizes: [3, 4, 2] },
  { inputs: 2, outputs: 1 },
  { start: [0, 0], sigma: 1 },
  { start: [0, 0] },
  { visible: 3, hidden: 2 },
  { outputSize: 2 },
  { batch: 1, window: 2 },
  { steps: 2 },
  { axis: 0 },
  { axes: 2, inputSize: 3, hiddenSize: 4 },
  { width: 1 },
  { inChannels: 1, outChannels: 1, kernelSize: 1 },
  { optimizer: new SGD([weight()], { lr: 1 }), loss: (m: Linear) => sum(m.forward(tensor([[1, 2]]))) },
  { visibleSize: 3, hiddenSize: 2 },
  { visibleSize: 3 },
  { inputSize: 3, outputSize: 4, rule: "oja" },
  { inputSize: 10, units: 2 },
  { inputSize: 3, outputSize: 2, hiddenSize: 4, memorySize: 4, wordSize: 3 },
  { inputSize: 3, outputSize: 2, hiddenSize: 4, valueSize: 3, capacity: 3 },
  { inputSize: 3, hiddenSize: 2, capacity: 3 },
];

const entries = new Map<string, Readonly<Record<string, unknown>>>();
for (const folder of readdirSync("src").filter((name) => existsSync(`src/${name}/index.ts`))) {
  entries.set(folder, await import(/* @vite-ignore */ `../../src/${folder}/index.ts`));
}

/** Classes and functions that are published under their own name, with options that have kinds. */
const published = [...takers].flatMap(([name, { isAbstract }]) => {
  if (isAbstract) return [];
  const value = [...entries.values()].find((entry) => name in entry)?.[name];
  return typeof value === "function" && Object.keys(optionsOfTaker(name)).length > 0 ? [{ name, value }] : [];
});

/** Calls a class or function with options in their place, after arguments and with others that it takes; null where none are found. */
async function callerOf(name: string, value: (...args: unknown[]) => unknown): Promise<((given: object) => unknown) | null> {
  const isClass = /^class\b/.test(Function.prototype.toString.call(value));
  const { position } = takerOf(name) as { position: number };
  for (const filling of FILLINGS) {
    if (filling().length !== position) continue;
    for (const base of BASES) {
      const call = (given: object) => {
        const args = [...filling(), { ...base, ...given }];
        return isClass ? Reflect.construct(value, args) : value(...args);
      };
      try {
        await call({});
        return call;
      } catch {}
    }
  }
  return null;
}

describe("kinds of options of every class and function", () => {
  it("are checked", { timeout: 300_000 }, async () => {
    const found: string[] = [];
    const checked: string[] = [];
    for (const { name, value } of published) {
      const call = await callerOf(name, value as never);
      if (call === null) continue;
      checked.push(name);
      found.push(...(await complaints(optionsOfTaker(name), call)).map((said) => `${name}, ${said}`));
    }
    expect(found).toEqual([]);
    // The others need more than is tried here; those that are recurrences are above.
    expect(checked.length).toBeGreaterThan(165);
  });
});
