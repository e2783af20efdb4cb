/** Finite automata: running, minimising and comparing them, building them into networks and reading them out of these. */

export { type Automaton, acceptsWord, differingWord, minimizeAutomaton, runAutomaton, tomita } from "./automaton.ts";
export { type ExtractOptions, extractAutomaton, type LabelledWord } from "./extraction.ts";
export { type InsertOptions, insertAutomaton } from "./insertion.ts";
