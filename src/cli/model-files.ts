/** Model files of all formats that are read: what is inside, and its tensors. */

import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseTfjs } from "../interop/tfjs.ts";
import { parseTorch } from "../interop/torch.ts";
import { openFile } from "../io/files.ts";
import { openSafetensors } from "../io/open-safetensors.ts";
import { parse } from "../io/safetensors.ts";
import { type Graph, parseModel } from "../onnx/model.ts";
import { loadModel } from "../onnx/session.ts";
import { asTensor, HostArray, typeOf, type Value } from "../onnx/values.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { fileError, UserError } from "./errors.ts";

export interface Part {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
}

/** What a file holds. */
export interface Contents {
  readonly format: string;
  readonly bytes: number;
  readonly parts: readonly Part[];
  /** Tensors that cannot be read, and why. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** What else is to be told: metadata, inputs, operators. */
  readonly notes: readonly string[];
}

/** A file with its tensors. */
export interface ModelFile extends Contents {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

type Format = "safetensors" | "torch" | "tfjs" | "onnx";

/** By a file's first bytes; ONNX has none that tell. */
function formatOf(path: string, start: Uint8Array): Format {
  if (path.endsWith(".onnx")) return "onnx";
  if (start[0] === 0x7b) return "tfjs";
  return (start[0] === 0x50 && start[1] === 0x4b) || start[0] === 0x80 ? "torch" : "safetensors";
}

/** What is wrong with a file, in one line. */
function told(path: string, error: unknown): UserError {
  if (error instanceof UserError) return error;
  const { code, message } = error as { code?: string; message: string };
  return code?.startsWith("ERR_") ? new UserError(`${path}: ${message}`, { cause: error }) : fileError(path, error);
}

const partsOf = (tensors: ReadonlyMap<string, Omit<Part, "name">>): Part[] =>
  Array.from(tensors, ([name, { dtype, shape }]) => ({ name, dtype, shape }));

const metadataNotes = (metadata: Readonly<Record<string, string>>): string[] =>
  Object.entries(metadata).map(
    ([key, value]) => `metadata ${JSON.stringify(key)}: ${JSON.stringify(value.slice(0, 200))}${value.length > 200 ? "…" : ""}`,
  );

/** What a file holds; of safetensors nothing but the header is read. @throws UserError */
export async function inspect(path: string): Promise<Contents> {
  try {
    const file = await openFile(path);
    try {
      const start = await file.read(0, Math.min(file.size, 16));
      if (formatOf(path, start) !== "safetensors") return await readModel(path);
      const { info, metadata } = await openSafetensors(file);
      return { format: "safetensors", bytes: file.size, parts: partsOf(info), unreadable: new Map(), notes: metadataNotes(metadata) };
    } finally {
      await file.close();
    }
  } catch (error) {
    throw told(path, error);
  }
}

/** A file with its tensors. @throws UserError */
export async function readModel(path: string): Promise<ModelFile> {
  try {
    const bytes = await readFile(path);
    return await READERS[formatOf(path, bytes)](path, bytes);
  } catch (error) {
    throw told(path, error);
  }
}

const READERS: Readonly<Record<Format, (path: string, bytes: Uint8Array) => ModelFile | Promise<ModelFile>>> = {
  safetensors(_path, bytes) {
    const { tensors, unreadable, metadata } = parse(bytes);
    return {
      format: "safetensors",
      bytes: bytes.length,
      parts: partsOf(tensors),
      unreadable,
      notes: metadataNotes(metadata),
      tensors,
      metadata,
    };
  },
  torch(_path, bytes) {
    const { tensors, unreadable } = parseTorch(bytes);
    return { format: "PyTorch", bytes: bytes.length, parts: partsOf(tensors), unreadable, notes: [], tensors, metadata: { format: "pt" } };
  },
  async tfjs(path, bytes) {
    const json = JSON.parse(new TextDecoder().decode(bytes)) as { weightsManifest?: { paths?: string[] }[] };
    const names = (json.weightsManifest ?? []).flatMap(({ paths = [] }) => paths);
    const shards = await Promise.all(names.map((name) => readShard(dirname(path), name)));
    const { tensors } = parseTfjs(bytes, shards);
    const size = shards.reduce((sum, shard) => sum + shard.length, bytes.length);
    return { format: "TensorFlow.js", bytes: size, parts: partsOf(tensors), unreadable: new Map(), notes: [], tensors, metadata: {} };
  },
  onnx(_path, bytes) {
    const graph = parseModel(bytes);
    const { values, operators } = contentsOf(graph);
    const { tensors, unreadable } = readable(values);
    const parts = Array.from(tensors, ([name, { shape }]) => ({ name, dtype: typeOf(values.get(name) as Value), shape }));
    const sides = [...graph.inputs.map((v) => ["input", v] as const), ...graph.outputs.map((v) => ["output", v] as const)];
    const notes = [
      ...sides.map(
        ([side, { name, shape }]) => `${side} ${name} ${shape === null ? "of any shape" : `[${shape.map((d) => d ?? "?").join(",")}]`}`,
      ),
      `operators: ${Array.from(operators, ([name, n]) => (n === 1 ? name : `${name} ×${n}`)).join(", ")}`,
    ];
    return { format: "ONNX", bytes: bytes.length, parts, unreadable, notes, tensors, metadata: {} };
  },
};

/** Whole numbers as int32 where they fit. */
function readable(values: ReadonlyMap<string, Value>): Pick<ModelFile, "tensors" | "unreadable"> {
  const [tensors, unreadable] = [new Map<string, Tensor>(), new Map<string, string>()];
  for (const [name, value] of values) {
    try {
      tensors.set(name, asTensor(value, name));
    } catch (error) {
      unreadable.set(name, (error as Error).message.slice(name.length + 2));
    }
  }
  return { tensors, unreadable };
}

interface GraphContents {
  readonly values: Map<string, Value>;
  /** How often each stands there. */
  readonly operators: Map<string, number>;
}

/**
 * The constants and operators of a graph and of the graphs within its nodes, whose names begin with their place: `y.then_branch.w`. Constants that
 * nodes hold count where they are weights: floats with axes.
 */
function contentsOf(graph: Graph, prefix = "", contents: GraphContents = { values: new Map(), operators: new Map() }): GraphContents {
  const { values, operators } = contents;
  for (const [name, value] of graph.constants) values.set(prefix + name, value);
  for (const { domain, op, outputs, attributes } of graph.nodes) {
    const name = domain === "" ? op : `${domain}.${op}`;
    operators.set(name, (operators.get(name) ?? 0) + 1);
    const value = op === "Constant" ? attributes.tensor("value") : undefined;
    if (value !== undefined && !(value instanceof HostArray) && value.rank > 0) values.set(`${prefix}${outputs[0]}`, value);
    for (const [branch, body] of attributes.graphs) contentsOf(body, `${prefix}${outputs.find((o) => o !== "")}.${branch}.`, contents);
  }
  return contents;
}

/**
 * Runs a model on the inputs among some tensors.
 * @returns its outputs, by name; null for a file that is no whole model, or where an input is missing
 * @throws UserError
 */
export async function outputsOf(path: string, given: ReadonlyMap<string, Tensor>): Promise<ReadonlyMap<string, Tensor> | null> {
  if (!path.endsWith(".onnx")) return null;
  try {
    const session = loadModel(await readFile(path));
    const names = session.inputs.map(({ name }) => name);
    if (!names.every((name) => given.has(name))) return null;
    const outputs = session.run(Object.fromEntries(names.map((name) => [name, given.get(name) as Tensor])));
    return new Map([...Object.entries(outputs), ...names.map((name) => [name, given.get(name) as Tensor] as const)]);
  } catch (error) {
    throw told(path, error);
  }
}

/** A shard lies beside its model. */
async function readShard(folder: string, name: string): Promise<Uint8Array> {
  const path = join(folder, name);
  return readFile(path).catch((error: unknown) => {
    throw fileError(path, error);
  });
}
