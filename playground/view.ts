/** What a panel shows of its worker's work. */

/** What a view asks of its panel. */
export type Use = (name: string, value?: unknown) => void;

/** A panel's own controls and pictures. */
export interface Built<Shown> {
  /** Draws, and says in a few words how things stand. */
  draw(shown: Shown): string;
  /** What Start means where it is more than going on: what is to be used, and its value. */
  start?(): readonly [name: string, value: unknown] | null;
}

export interface View<Shown = never> {
  readonly title: string;
  /** What it is, and what to do with it. */
  readonly about: string;
  build(place: HTMLElement, use: Use): Built<Shown>;
}
