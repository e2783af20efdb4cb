/** Tensors and modules in the consoles of browsers. */

/** What the developer tools of browsers ask how to show a value (`window.devtoolsFormatters`). */
interface Formatter {
  header(value: unknown): readonly ["span", { readonly style: string }, string] | null;
  hasBody(): boolean;
}

/** Whether a value is a tensor or a module, of any copy of the library: this file imports neither, to stay small. */
function isOurs(value: unknown): value is object {
  return typeof value === "object" && value !== null && (("storage" in value && "strides" in value) || "namedParameters" in value);
}

const formatter: Formatter = {
  header: (value) => (isOurs(value) ? ["span", { style: "white-space: pre" }, String(value)] : null),
  hasBody: () => false,
};

/**
 * Makes a browser's console show tensors by their values, and modules as trees of their parts, as Node does. Browsers ask custom formatters only
 * where they are allowed in the settings of the developer tools. Calling it twice changes nothing.
 * @example
 * import { showInConsole } from "tapeloop/web";
 * showInConsole();
 * console.log(tensor([1, 2])); // float32[2] [1, 2]
 */
export function showInConsole(): void {
  const page = globalThis as { devtoolsFormatters?: Formatter[] };
  page.devtoolsFormatters ??= [];
  if (!page.devtoolsFormatters.includes(formatter)) page.devtoolsFormatters.push(formatter);
}
