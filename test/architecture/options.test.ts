/** Everything public that takes options refuses names it does not know, before it changes anything. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import ts from "typescript-5.7";
import { describe, expect, it } from "vitest";
import { ArgumentError } from "../../src/base/errors.ts";
import { Parameter } from "../../src/nn/module.ts";
import { SGD } from "../../src/optim/sgd.ts";
import { type ScanOptions, scanSteps } from "../../src/recurrence/recurrence.ts";
import { RNNCell } from "../../src/recurrence/rnn-cells.ts";
import { zeros } from "../../src/tensor/create.ts";
import { defaultGenerator, Generator } from "../../src/tensor/random.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { every, type Make } from "../recurrence/every.ts";
import { thrown } from "../thrown.ts";

/** What has options, and which of its parameters they are. */
interface Taker {
  readonly name: string;
  readonly file: string;
  readonly position: number;
}

/** A parameter of options by its type: `LayerOptions`, `Omit<BeamOptions, "end">`, `{ readonly axis: number }`. */
const TYPE = /Options\b|^\{ readonly/;

function takerOf(file: string, node: ts.Statement): Taker[] {
  const isClass = ts.isClassDeclaration(node);
  if (!(isClass || ts.isFunctionDeclaration(node)) || !node.name) return [];
  // What is abstract leaves the names to its classes.
  if (node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AbstractKeyword)) return [];
  const made = isClass ? node.members.find(ts.isConstructorDeclaration) : node;
  const parameters = made?.parameters ?? [];
  const position = parameters.findIndex((p) => TYPE.test(p.type?.getText() ?? "") && /options|given/.test(p.name.getText()));
  return position < 0 ? [] : [{ name: node.name.text, file, position }];
}

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => !/^(base|wasm|replay|cli)\//.test(file) && !file.endsWith("values-only.ts"));

const takers = files.flatMap((file) => {
  const source = ts.createSourceFile(file, readFileSync(`src/${file}`, "utf8"), ts.ScriptTarget.Latest, true);
  return source.statements.flatMap((node) => takerOf(file, node));
});

/** The entries by folder: here, since a test has only so much time. */
const entries = new Map<string, Readonly<Record<string, unknown>>>();
for (const folder of readdirSync("src").filter((name) => existsSync(`src/${name}/index.ts`))) {
  entries.set(folder, await import(/* @vite-ignore */ `../../src/${folder}/index.ts`));
}

/** What a file's folder publishes of that name, maybe under another, or else any folder. */
function published({ name, file }: Taker): unknown {
  const own = Object.values(entries.get(file.split("/")[0] as string) ?? {}).find((value) => (value as { name?: unknown })?.name === name);
  return own ?? [...entries.values()].find((entry) => name in entry)?.[name];
}

const weight = () => new Parameter(tensor([[1, 2]]));
/** What the other arguments may be: one of these fits, or none is looked at before the options. */
const FILLINGS: readonly (() => unknown)[] = [
  () => undefined,
  () => 3,
  () => tensor([[1, 2]]),
  () => new RNNCell({ inputSize: 3, hiddenSize: 3, generator: new Generator(1) }),
  () => [weight()],
  () => (x: unknown) => x,
  () => new SGD([weight()], { lr: 1 }),
  () => "abc",
];

const statesOf = (...generators: Generator[]) => generators.map(({ state }) => Object.values(state).join()).join(";");

async function refusal(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return null;
}

/** What came instead of the refusal, for the first other argument with which none came; null where one did. */
async function missing(value: (...args: unknown[]) => unknown, position: number): Promise<string | null> {
  const isClass = /^class\b/.test(Function.prototype.toString.call(value));
  const seen: string[] = [];
  for (const filling of FILLINGS) {
    const generator = new Generator(7);
    const before = statesOf(generator, defaultGenerator());
    const args = [...Array.from({ length: position }, filling), { notAnOption: 1, generator }];
    const error = await refusal(() => (isClass ? Reflect.construct(value, args) : value(...args)));
    if (error instanceof ArgumentError && error.message.includes('got "notAnOption"')) {
      return statesOf(generator, defaultGenerator()) === before ? null : "a generator that moved";
    }
    seen.push(String((error as Error | null)?.message ?? "no error"));
  }
  return seen.join(" | ");
}

describe("options of a name that is not known", () => {
  it("are found in the sources", () => {
    expect(takers.length).toBeGreaterThan(150);
    expect(takers.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["Linear", "LSTM", "mseLoss", "fit", "CMAES", "beamSearch", "sum"]),
    );
  });

  it("are refused by every public function and class, before a generator is moved", { timeout: 300_000 }, async () => {
    const found: string[] = [];
    for (const taker of takers) {
      const value = published(taker);
      // `scanSteps` looks at its options as scans do: below.
      if (value === undefined || value === scanSteps) continue;
      const said = await missing(value as never, taker.position);
      if (said !== null) found.push(`${taker.name} (${taker.file}): ${said}`);
    }
    expect(found).toEqual([]);
  });

  it.each(Object.keys(every))("are refused by %s, whatever it wraps, and by its scans", (name) => {
    const make = every[name] as Make;
    const generator = new Generator(3);
    const cell = make({ generator });
    const xs = zeros([2, 1, cell.inputSize]);
    const scanning = { lengths: [2], revers: true } as ScanOptions;
    for (const scan of [() => cell.scan(xs, undefined, scanning), () => scanSteps(cell, xs, undefined, scanning)]) {
      expect(scan).toThrow('scan: expected options among lengths, reverse, got "revers": did you mean reverse?');
    }
    // What takes no options of its own has nothing to refuse.
    let read = false;
    const options = { generator, get hiden() { read = true; return 1; } }; // biome-ignore format: one line
    const error = thrown(() => make(options));
    if (read) expect(String(error)).toMatch(/expected options among .*, got "hiden"/);
  });
});
