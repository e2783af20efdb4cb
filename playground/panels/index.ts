/** What the panels compute, by their names. */

import { openAttractor } from "./attractor.ts";
import { openMachine } from "./machine.ts";
import { openMemory } from "./memory.ts";
import { openPole } from "./pole.ts";
import { openWriter } from "./writer.ts";

export const PANELS = {
  writer: openWriter,
  attractor: openAttractor,
  memory: openMemory,
  machine: openMachine,
  pole: openPole,
};

export type PanelName = keyof typeof PANELS;
