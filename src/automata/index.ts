/** Finite automata: running, minimising and comparing them. */

export { type Automaton, acceptsWord, differingWord, minimizeAutomaton, runAutomaton, tomita } from "./automaton.ts";
