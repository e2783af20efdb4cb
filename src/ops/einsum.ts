/** Sums of products by index letters. */

import { checkText } from "../base/checks.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { show, sizeOf } from "../tensor/shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { reshape, sum } from "./broadcast.ts";
import { checkOperands, matmul } from "./linear.ts";
import { diagonal, permute } from "./shape.ts";

/** A tensor with a label for each axis. */
interface Term {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

const ELLIPSIS = "...";

/** "ij...k" as tokens. @throws ArgumentError for anything but letters and one ellipsis */
function tokens(equation: string, text: string): string[] {
  const parts = text.match(/\.\.\.|[A-Za-z]/g) ?? [];
  if (parts.join("") !== text || parts.filter((p) => p === ELLIPSIS).length > 1) {
    throw new ArgumentError(`einsum: expected letters and at most one "..." a term, got "${text}" in "${equation}"`);
  }
  return parts;
}

/** Axes under an ellipsis are labelled from the right: ".0" is the last. */
function ellipsisLabels(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `.${count - 1 - i}`);
}

function expanded(parts: readonly string[], hidden: number): string[] {
  return parts.flatMap((p) => (p === ELLIPSIS ? ellipsisLabels(hidden) : [p]));
}

function termOf(equation: string, parts: readonly string[], x: Tensor): Term {
  const hidden = x.rank - parts.filter((p) => p !== ELLIPSIS).length;
  if (hidden < 0 || (hidden > 0 && !parts.includes(ELLIPSIS))) {
    throw new ShapeError(`einsum: expected an operand with axes "${parts.join("")}" in "${equation}", got ${show(x.shape)}`);
  }
  return { x, labels: expanded(parts, hidden) };
}

/** The output of an equation without one: the ellipsis, then the letters that occur once, in alphabetical order. */
function implicitOutput(inputs: readonly (readonly string[])[]): string[] {
  const letters = inputs.flat().filter((p) => p !== ELLIPSIS);
  const once = letters.filter((p) => letters.indexOf(p) === letters.lastIndexOf(p));
  return [ELLIPSIS, ...once.sort()];
}

/** Replaces axes of the same label by their diagonal. */
function withoutRepeats({ x, labels }: Term): Term {
  const second = labels.findIndex((l, i) => labels.indexOf(l) < i);
  if (second < 0) return { x, labels };
  const label = labels[second] as string;
  const first = labels.indexOf(label);
  if (x.shape[first] !== x.shape[second]) {
    throw new ShapeError(`einsum: expected axes of equal size for "${label}", got ${show(x.shape)}`);
  }
  const rest = labels.filter((_, i) => i !== first && i !== second);
  return withoutRepeats({ x: diagonal(x, 0, first, second), labels: [...rest, label] });
}

/** The size of every label: that of its axes, which may also be 1. */
function labelSizes(terms: readonly Term[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { x, labels } of terms) {
    for (const [i, label] of labels.entries()) {
      const size = x.shape[i] as number;
      const known = sizes.get(label) ?? 1;
      if (known !== 1 && size !== 1 && known !== size) {
        throw new ShapeError(`einsum: expected one size for "${label}", got ${known} and ${size} (operand ${show(x.shape)})`);
      }
      sizes.set(label, known === 1 ? size : known);
    }
  }
  return sizes;
}

/** Drops axes of length one if the label is longer elsewhere, since the product repeats them anyway. */
function withoutOnes({ x, labels }: Term, sizes: ReadonlyMap<string, number>): Term {
  const kept = labels.map((label, i) => x.shape[i] === sizes.get(label));
  if (kept.every((k) => k)) return { x, labels };
  const only = <V>(list: readonly V[]) => list.filter((_, i) => kept[i]);
  return { x: reshape(x, only(x.shape)), labels: only(labels) };
}

/** Sums over axes whose label occurs nowhere else. */
function summed({ x, labels }: Term, needed: ReadonlySet<string>): Term {
  const axis = labels.flatMap((label, i) => (needed.has(label) ? [] : [i]));
  return axis.length === 0 ? { x, labels } : { x: sum(x, { axis }), labels: labels.filter((l) => needed.has(l)) };
}

function arranged({ x, labels }: Term, order: readonly string[]): Tensor {
  return permute(
    x,
    order.map((label) => labels.indexOf(label)),
  );
}

/** The product of two terms, summed over labels that occur only in them: one batched matrix product. */
function contracted(first: Term, second: Term, later: ReadonlySet<string>): Term {
  const a = summed(first, new Set([...later, ...second.labels]));
  const b = summed(second, new Set([...later, ...first.labels]));
  const shared = a.labels.filter((l) => b.labels.includes(l));
  const batch = shared.filter((l) => later.has(l));
  const inner = shared.filter((l) => !later.has(l));
  const left = a.labels.filter((l) => !shared.includes(l));
  const right = b.labels.filter((l) => !shared.includes(l));
  const sizesOf = ({ x, labels }: Term, list: readonly string[]) => list.map((l) => x.shape[labels.indexOf(l)] as number);
  const sizes = { batch: sizesOf(a, batch), left: sizesOf(a, left), right: sizesOf(b, right) };
  const depth = sizeOf(sizesOf(a, inner));
  const x = matmul(
    reshape(arranged(a, [...batch, ...left, ...inner]), [...sizes.batch, sizeOf(sizes.left), depth]),
    reshape(arranged(b, [...batch, ...inner, ...right]), [...sizes.batch, depth, sizeOf(sizes.right)]),
  );
  return { x: reshape(x, [...sizes.batch, ...sizes.left, ...sizes.right]), labels: [...batch, ...left, ...right] };
}

function checkOutput(equation: string, output: readonly string[], terms: readonly Term[]): void {
  const known = new Set(terms.flatMap((t) => t.labels));
  if (output.some((l, i) => !known.has(l) || output.indexOf(l) < i)) {
    throw new ArgumentError(`einsum: expected an output of different letters of the inputs, got "${equation}"`);
  }
}

/**
 * A sum of products, written with one letter per axis: letters missing in the output are summed over.
 *
 * Without "->", the output has the letters that occur once, in alphabetical order. "..." stands for any further axes,
 * which broadcast. A letter twice in one operand means its diagonal. Operands are contracted from left to right.
 * @throws ArgumentError for an equation that cannot be read; ShapeError for sizes that differ
 * @example einsum("bij,bjk->bik", a, b) // bmm; einsum("ii", a) // trace; einsum("...i,i", x, w)
 */
export function einsum(equation: string, ...operands: readonly Tensor[]): Tensor {
  checkText("einsum", "an equation", equation);
  const [inputText = "", outputText, ...more] = equation.replaceAll(" ", "").split("->");
  const inputs = inputText.split(",").map((text) => tokens(equation, text));
  if (more.length > 0 || inputs.length !== operands.length) {
    throw new ArgumentError(`einsum: expected one term for each of ${operands.length} operands, got "${equation}"`);
  }
  checkOperands("einsum", Object.fromEntries(operands.map((x, i) => [`operand ${i}`, x])));
  const raw = inputs.map((parts, i) => withoutRepeats(termOf(equation, parts, operands[i] as Tensor)));
  const sizes = labelSizes(raw);
  const hidden = [...sizes.keys()].filter((l) => l.startsWith(".")).length;
  const output = expanded(outputText === undefined ? implicitOutput(inputs) : tokens(equation, outputText), hidden);
  checkOutput(equation, output, raw);
  const terms = raw.map((t) => withoutOnes(t, sizes));
  const product = terms.reduce((done, term, i) => {
    const later = new Set([...output, ...terms.slice(i + 1).flatMap((t) => t.labels)]);
    return contracted(done, term, later);
  });
  return arranged(summed(product, new Set(output)), output);
}
