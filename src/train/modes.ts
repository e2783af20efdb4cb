/** Remembers which modules train, so that a failing step changes nothing. */

import type { Module } from "../nn/module.ts";

/** Which modules train and which evaluate. */
export type Modes = ReadonlyMap<Module, boolean>;

export function modesOf(model: Module): Modes {
  return new Map(Array.from(model.modules(), (m) => [m, m.training]));
}

export function setModes(modes: Modes): void {
  for (const [m, training] of modes) m.training = training;
}
