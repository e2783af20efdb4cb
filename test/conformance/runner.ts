/**
 * Runs the cases of a conformance folder: every case its manifests list, whatever its name, size or seed.
 *
 * A group turns a case into outputs and the leaves they were computed from; the rest is the same for all:
 * outputs are compared with `out.`, gradients of sum(output · cot) with `grad.`.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gradients } from "../../src/autodiff/sweep.ts";
import { parse } from "../../src/io/safetensors.ts";
import { zerosLike } from "../../src/tensor/create.ts";
import { requireGrad, scope, type Tensor } from "../../src/tensor/tensor.ts";
import { mismatch, type Precision, type Role } from "./compare.ts";

/** A case as its manifest gives it. */
export interface Case {
  readonly name: string;
  readonly precisions: readonly Precision[];
  /** The stored tensors' names, `ROLE.NAME`. */
  readonly tensors: readonly string[];
  readonly [field: string]: unknown;
}

export type Named = Readonly<Record<string, Tensor>>;

export interface Outcome {
  /** Outputs by name; more than one record where outputs are reached in more than one way. */
  readonly outputs: readonly Named[];
  /** Tensors the gradients are taken for, where they are not the inputs of that name (parameters of a module). */
  readonly leaves?: Named;
  /** Stored gradients that belong to another convention than ours. */
  readonly notOurs?: readonly string[];
  readonly role?: Role;
}

/** Computes a case; inputs whose gradient is stored want it. */
export type Group = (spec: Case, inputs: Named) => Outcome;

/** One case in one precision. */
export interface Check {
  readonly group: string;
  readonly name: string;
  readonly precision: Precision;
  /** What is wrong, a line each; empty when the case passes. */
  run(): string[];
}

/**
 * All checks of a folder of manifests `GROUP.json` and tensors `GROUP.PRECISION.safetensors`.
 * A group without a manifest, a manifest without a group and an empty manifest are failing checks.
 */
export function listChecks(folder: string, groups: Readonly<Record<string, Group>>): Check[] {
  const manifests = readdirSync(folder).flatMap((file) => (file.endsWith(".json") ? [file.slice(0, -5)] : []));
  return [...new Set([...Object.keys(groups), ...manifests])].flatMap((group) => {
    const compute = groups[group];
    if (compute === undefined) return [failing(group, "expected a group this runner knows")];
    if (!manifests.includes(group)) return [failing(group, `expected a manifest ${group}.json, got none`)];
    const checks = checksOf(folder, group, compute);
    return checks.length > 0 ? checks : [failing(group, "expected cases, got none")];
  });
}

function failing(group: string, problem: string): Check {
  return { group, name: "", precision: "f64", run: () => [problem] };
}

function checksOf(folder: string, group: string, compute: Group): Check[] {
  const { cases } = JSON.parse(readFileSync(join(folder, `${group}.json`), "utf8")) as { cases: Case[] };
  const files = new Map<Precision, Named>();
  const stored = (precision: Precision): Named => {
    const known = files.get(precision) ?? readTensors(join(folder, `${group}.${precision}.safetensors`));
    files.set(precision, known);
    return known;
  };
  return cases.flatMap((spec) =>
    spec.precisions.map((precision) => ({
      group,
      name: spec.name,
      precision,
      run: () => problemsOf(spec, precision, compute, stored),
    })),
  );
}

/**
 * Where the data is: the environment's CONFORMANCE_DIR, or shared/conformance beside the repository, or else `cases`, a part of it.
 * @throws Error when the environment names a folder without data
 */
export function conformanceFolder(root: string): string {
  const given = process.env.CONFORMANCE_DIR;
  const folder = given ?? join(root, "../shared/conformance");
  if (existsSync(join(folder, "torch"))) return folder;
  if (given !== undefined) throw new Error(`conformance: expected a folder "torch" in CONFORMANCE_DIR, got none in ${given}`);
  console.warn("conformance: the cases in test/conformance/cases only; CONFORMANCE_DIR names a folder with more");
  return join(root, "test/conformance/cases");
}

function readTensors(file: string): Named {
  return Object.fromEntries(parse(readFileSync(file)).tensors);
}

function problemsOf(spec: Case, precision: Precision, compute: Group, stored: (precision: Precision) => Named): string[] {
  try {
    const tensors = stored(precision);
    return scope(() => check(spec, precision, compute, tensors));
  } catch (error) {
    return [error instanceof Error ? `${error.name}: ${error.message}` : String(error)];
  }
}

function check(spec: Case, precision: Precision, compute: Group, stored: Named): string[] {
  const tensors = (role: string): Named => select(spec, stored, role);
  const wanted = tensors("grad");
  const inputs = mapValues(tensors("in"), (t, name) => (name in wanted ? requireGrad(t.detach()) : t.detach()));
  const outcome = compute(spec, inputs);
  return [
    ...outputProblems(outcome, tensors("out"), precision),
    ...gradientProblems(outcome, { ...inputs, ...outcome.leaves }, tensors("cot"), wanted, precision),
  ];
}

/** A case's tensors of one role, by name. */
function select(spec: Case, stored: Named, role: string): Named {
  const found: Record<string, Tensor> = {};
  for (const name of spec.tensors) {
    if (!name.startsWith(`${role}.`)) continue;
    const tensor = stored[`${spec.name}/${name}`];
    if (tensor === undefined) throw new Error(`expected the tensor ${spec.name}/${name} in the file, got none`);
    found[name.slice(role.length + 1)] = tensor;
  }
  return found;
}

function mapValues(record: Named, fn: (t: Tensor, name: string) => Tensor): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(record).map(([name, t]) => [name, fn(t, name)]));
}

function outputProblems(outcome: Outcome, expected: Named, precision: Precision): string[] {
  const problems: string[] = [];
  for (const outputs of outcome.outputs) {
    for (const [name, actual] of Object.entries(outputs)) {
      const e = expected[name];
      const wrong = e === undefined ? "expected no such output" : mismatch(actual, e, outcome.role ?? "value", precision);
      if (wrong !== null) problems.push(`out.${name}: ${wrong}`);
    }
  }
  for (const name of Object.keys(expected)) {
    if (!outcome.outputs.some((outputs) => name in outputs)) problems.push(`out.${name}: expected this output, got none`);
  }
  return problems;
}

function gradientProblems(outcome: Outcome, leaves: Named, cotangents: Named, wanted: Named, precision: Precision): string[] {
  const names = Object.keys(wanted).filter((name) => !outcome.notOurs?.includes(name));
  if (names.length === 0) return [];
  const targets = names.map((name) => {
    const leaf = leaves[name];
    if (leaf === undefined) throw new Error(`grad.${name}: expected a tensor of this name, got none`);
    return leaf;
  });
  const weighted = outcome.outputs.flatMap((outputs) => Object.entries(outputs).filter(([name]) => name in cotangents));
  const found = gradients(
    weighted.map(([, y]) => y),
    targets,
    weighted.map(([name]) => cotangents[name] as Tensor),
  );
  return names.flatMap((name, i) => {
    const wrong = mismatch(found[i] ?? zerosLike(targets[i] as Tensor), wanted[name] as Tensor, "gradient", precision);
    return wrong === null ? [] : [`grad.${name}: ${wrong}`];
  });
}
