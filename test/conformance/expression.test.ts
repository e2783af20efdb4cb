import { describe, expect, test } from "vitest";
import { evaluate, type Language, type Value } from "./expression.ts";

/** Writes an expression back with all parentheses, instead of computing it. */
const writer: Language = {
  variables: new Map<string, Value>([
    ["a", "a"],
    ["b", "b"],
  ]),
  call: (path, { positional, named }) =>
    `${path}(${[...positional.map(write), ...[...named].map(([k, v]) => `${k}=${write(v)}`)].join(" ")})`,
  operate: (operator, x, y) => `(${write(x)}${operator}${write(y)})`,
  negate: (x) => `(-${write(x)})`,
  subscript: (x, parts) => `${write(x)}[${parts.map(write).join(" ")}]`,
};

function write(value: Value): string {
  if (Array.isArray(value)) return `<${value.map(write).join(" ")}>`;
  if (value !== null && typeof value === "object" && "kind" in value)
    return [value.start, value.stop, value.step].map((n) => n ?? "").join(":");
  return String(value);
}

describe("expressions", () => {
  test.each([
    ["a + b * a - b", "((a+(b*a))-b)"],
    ["a / b / a", "((a/b)/a)"],
    ["-a ** b", "(-(a**b))"],
    ["a ** -b ** 2", "(a**(-(b**2)))"],
    ["(a + b) @ b", "((a+b)@b)"],
    ["a * 1.5e-3", "(a*0.0015)"],
    ["torch.linalg.vector_norm(a, ord=1, dim=-1)", "torch.linalg.vector_norm(a ord=1 dim=(-1))"],
    ["a.t().reshape(-1, 6)", ".reshape(.t(a) (-1) 6)"],
    ["torch.sum(a, dim=(0, 1), keepdim=True)", "torch.sum(a dim=<0 1> keepdim=true)"],
    ["torch.cat([a, b], dim=0)", "torch.cat(<a b> dim=0)"],
    ["torch.f((a,), [], None, inf)", "torch.f(<a> <> null Infinity)"],
    ["F.gelu(a, approximate='tanh')", "F.gelu(a approximate=tanh)"],
    ["a[1:, ::2, b]", "a[1:: ::2 b]"],
    ["a[2:2].t()[:, 0]", ".t(a[2:2:])[:: 0]"],
    ["(torch.tanh(a @ b) * a).sum(0)", ".sum((torch.tanh((a@b))*a) 0)"],
  ])("%s", (text, written) => {
    expect(write(evaluate(text, writer))).toBe(written);
  });

  test.each(["a +", "a b", "a # b", "(a", "a[1", "a()", "torch.tanh", "torch.tanh + a", "f(a b)"])("%s is rejected", (text) => {
    expect(() => evaluate(text, writer)).toThrow(SyntaxError);
  });
});
