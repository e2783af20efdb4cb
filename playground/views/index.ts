/** The panels in the order of the page. */

import type { PanelName } from "../panels/index.ts";
import type { View } from "../view.ts";
import { attractor } from "./attractor.ts";
import { machine } from "./machine.ts";
import { memory } from "./memory.ts";
import { pole } from "./pole.ts";
import { writer } from "./writer.ts";

export const VIEWS: Readonly<Record<PanelName, View<never>>> = { writer, attractor, memory, machine, pole };
