/** Elements, in one call each. */

type Attributes = Readonly<Record<string, string | number | boolean | ((event: Event) => void)>>;

/** An element with attributes (functions listen to events) and what it holds. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...held: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name, value);
    else if (typeof value === "boolean") made.toggleAttribute(name, value);
    else made.setAttribute(name, String(value));
  }
  made.append(...held);
  return made;
}

/** A button that says what it does. */
export function button(text: string, press: () => void, attributes: Attributes = {}): HTMLButtonElement {
  return element("button", { type: "button", click: press, ...attributes }, text);
}

/** One of several, by name. */
export function choice(label: string, options: readonly string[], choose: (option: string) => void): HTMLElement & { value: string } {
  const select = element("select", { "aria-label": label, change: () => choose(select.value) });
  select.append(...options.map((option) => element("option", { value: option }, option)));
  return select;
}
