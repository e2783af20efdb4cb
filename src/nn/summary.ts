/** What a model is made of, as a table. */

import { BYTES } from "../base/dtype.ts";
import { show } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { checkModule, type Module, Parameter } from "./module.ts";

/** A module with tensors of its own. */
export interface SummaryRow {
  /** As in the state dict; "" for the model itself. */
  readonly name: string;
  /** The module's class. */
  readonly module: string;
  /** Its own tensors, by the last part of their names. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Numbers in its own parameters. */
  readonly parameters: number;
  /** Of these, how many are trained. */
  readonly trainable: number;
}

/** A model's modules and sums over them. As text it is a table. */
export interface Summary {
  readonly rows: readonly SummaryRow[];
  readonly parameters: number;
  readonly trainable: number;
  /** Numbers in buffers: tensors that are saved and not trained. */
  readonly buffers: number;
  /** Memory of parameters and buffers. */
  readonly bytes: number;
  toString(): string;
}

/**
 * A model's modules, with the shapes of their weights, and how many numbers and bytes these are. A tensor that is shared counts once, where its
 * first name is.
 * @example console.log(String(summary(model)));
 */
export function summary(model: Module): Summary {
  checkModule("summary", model);
  const classes = new Map(Array.from(model.namedModules(), ([name, module]) => [name, module.constructor.name]));
  const held = new Map<string, [string, Tensor][]>();
  const seen = new Set<Tensor>();
  for (const [path, t] of model.stateDict()) {
    if (seen.has(t)) continue;
    seen.add(t);
    const owner = ownerOf(path, classes);
    const own = held.get(owner) ?? [];
    own.push([owner === "" ? path : path.slice(owner.length + 1), t]);
    held.set(owner, own);
  }
  const rows = Array.from(held, ([name, own]): SummaryRow => {
    const parameters = own.filter(([, t]) => t instanceof Parameter).map(([, t]) => t);
    return {
      name,
      module: classes.get(name) as string,
      shapes: Object.fromEntries(own.map(([part, t]) => [part, t.shape])),
      parameters: sizeOfAll(parameters),
      trainable: sizeOfAll(parameters.filter((t) => t.requiresGrad)),
    };
  });
  const sum = (name: "parameters" | "trainable") => rows.reduce((total, row) => total + row[name], 0);
  const all = [...seen];
  const result = {
    rows,
    parameters: sum("parameters"),
    trainable: sum("trainable"),
    buffers: sizeOfAll(all) - sum("parameters"),
    bytes: all.reduce((total, t) => total + t.size * BYTES[t.dtype], 0),
  };
  return { ...result, toString: () => tableOf(model.constructor.name, result) };
}

/** The innermost module that a tensor's name lies in. */
function ownerOf(path: string, modules: ReadonlyMap<string, unknown>): string {
  let owner = path;
  while (owner !== "" && !modules.has(owner)) owner = owner.slice(0, Math.max(0, owner.lastIndexOf(".")));
  return owner;
}

const sizeOfAll = (tensors: readonly Tensor[]): number => tensors.reduce((total, t) => total + t.size, 0);

/** 1234567 as 1,234,567. */
const withCommas = (n: number): string => String(n).replace(/\B(?=(\d{3})+$)/g, ",");

function bytesText(bytes: number): string {
  if (bytes < 2 ** 10) return `${bytes} B`;
  return bytes < 2 ** 20 ? `${(bytes / 2 ** 10).toFixed(1)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

function tableOf(name: string, { rows, parameters, trainable, buffers, bytes }: Omit<Summary, "toString">): string {
  const lines = rows.map((row) => [
    row.name === "" ? name : row.name,
    row.module,
    Object.entries(row.shapes)
      .map(([part, shape]) => `${part} ${show(shape)}`)
      .join(", "),
    withCommas(row.parameters),
  ]);
  const head = ["module", "class", "tensors", "parameters"];
  const widths = head.map((title, i) => Math.max(title.length, ...lines.map((line) => (line[i] as string).length)));
  const text = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (i === cells.length - 1 ? cell.padStart(widths[i] as number) : cell.padEnd(widths[i] as number)))
      .join("  ")
      .trimEnd();
  const frozen = trainable === parameters ? "" : `, ${withCommas(parameters - trainable)} of them frozen`;
  const more = buffers === 0 ? "" : `; ${withCommas(buffers)} numbers in buffers`;
  return [text(head), ...lines.map(text), `${withCommas(parameters)} parameters${frozen}${more}; ${bytesText(bytes)}`].join("\n");
}
