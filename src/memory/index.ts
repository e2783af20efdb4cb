/** Networks with an external memory, which they learn to use: machines with heads, and stacks and queues that are differentiable. */

export { type ControllerSizes, FeedforwardController, type MemoryOptions } from "./controller.ts";
export { DNC, type DNCOptions, type DNCState } from "./dnc.ts";
export {
  NeuralDeque,
  type NeuralListOptions,
  type NeuralListState,
  NeuralQueue,
  NeuralStack,
} from "./neural-stack.ts";
export { NTM, type NTMOptions, type NTMState } from "./ntm.ts";
export { PushdownAutomaton, type PushdownAutomatonOptions, type PushdownState, pushdownLoss } from "./pushdown-automaton.ts";
export { StackRNN, type StackRNNOptions, type StackRNNState } from "./stack-rnn.ts";
