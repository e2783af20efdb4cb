/** Finite automata: running, minimising and comparing them, building them into networks and extracting them from networks. */

export { type Automaton, acceptsWord, differingWord, minimizeAutomaton, runAutomaton, tomita } from "./automaton.ts";
export { type Position, type Positions, positionsOf } from "./expression.ts";
export { type ExtractOptions, extractAutomaton, type LabelledWord } from "./extraction.ts";
export { type InsertOptions, insertAutomaton } from "./insertion.ts";
export { McCullochPittsNetwork, type McCullochPittsOptions, type McCullochPittsUnit } from "./mcculloch-pitts.ts";
export {
  acceptsByStack,
  type ExtractPushdownOptions,
  extractPushdown,
  type PushdownMachine,
  type PushdownMove,
} from "./pushdown.ts";
