/** Every experiment there is; each file of reproduce/experiments adds its own. */

import type { Experiment } from "./experiment.ts";
import { approximations } from "./experiments/approximations.ts";
import { bidirectional } from "./experiments/bidirectional.ts";
import { boltzmann } from "./experiments/boltzmann.ts";
import { continuousMemories } from "./experiments/continuous-memories.ts";
import { continuousTime } from "./experiments/continuous-time.ts";
import { convLstm } from "./experiments/conv-lstm.ts";
import { ctc } from "./experiments/ctc.ts";
import { ctrnn } from "./experiments/ctrnn.ts";
import { earlyNets } from "./experiments/early-nets.ts";
import { echoState } from "./experiments/echo-state.ts";
import { elman } from "./experiments/elman.ts";
import { elmo } from "./experiments/elmo.ts";
import { encoderDecoder } from "./experiments/encoder-decoder.ts";
import { energy } from "./experiments/energy.ts";
import { fixedPointExperiments } from "./experiments/fixed-point.ts";
import { fullyRecurrent } from "./experiments/fully-recurrent.ts";
import { gatedStore } from "./experiments/gated-store.ts";
import { gradientAlgorithms } from "./experiments/gradient-algorithms.ts";
import { gradientExperiments } from "./experiments/gradients.ts";
import { gruFamily } from "./experiments/gru-family.ts";
import { hebbianExperiments } from "./experiments/hebbian.ts";
import { hierarchical } from "./experiments/hierarchical.ts";
import { historyCompressor } from "./experiments/history-compressor.ts";
import { indRNN } from "./experiments/ind-rnn.ts";
import { jordan } from "./experiments/jordan.ts";
import { linearAdding } from "./experiments/linear-adding.ts";
import { liquid } from "./experiments/liquid.ts";
import { localFeedback } from "./experiments/local-feedback.ts";
import { lstm1997 } from "./experiments/lstm-1997.ts";
import { lstmCounting } from "./experiments/lstm-counting.ts";
import { lstmForget } from "./experiments/lstm-forget.ts";
import { lstmOdyssey } from "./experiments/lstm-odyssey.ts";
import { memoryMachines } from "./experiments/memory-machines.ts";
import { memristive } from "./experiments/memristive.ts";
import { mtrnn } from "./experiments/mtrnn.ts";
import { multiDimensional } from "./experiments/multi-dimensional.ts";
import { narx } from "./experiments/narx.ts";
import { neuralLists } from "./experiments/neural-lists.ts";
import { parity } from "./experiments/parity.ts";
import { pearlmutter } from "./experiments/pearlmutter.ts";
import { pixelRnn } from "./experiments/pixel-rnn.ts";
import { recall } from "./experiments/recall.ts";
import { recursive } from "./experiments/recursive.ts";
import { recursiveBackprop } from "./experiments/recursive-backprop.ts";
import { reinforce } from "./experiments/reinforce.ts";
import { rmlp } from "./experiments/rmlp.ts";
import { rwkv } from "./experiments/rwkv.ts";
import { search } from "./experiments/search.ts";
import { secondOrder } from "./experiments/second-order.ts";
import { selectiveCopying } from "./experiments/selective-copying.ts";
import { spiking } from "./experiments/spiking.ts";
import { stackLanguages } from "./experiments/stack-languages.ts";
import { stacked } from "./experiments/stacked.ts";
import { standard } from "./experiments/standard.ts";
import { teacherForcing } from "./experiments/teacher-forcing.ts";

export const experiments: readonly Experiment[] = [
  // One line each.
  approximations,
  bidirectional,
  boltzmann,
  continuousMemories,
  continuousTime,
  convLstm,
  ctc,
  ctrnn,
  earlyNets,
  echoState,
  elman,
  elmo,
  encoderDecoder,
  energy,
  fixedPointExperiments,
  hebbianExperiments,
  fullyRecurrent,
  gatedStore,
  gradientAlgorithms,
  gradientExperiments,
  gruFamily,
  hierarchical,
  historyCompressor,
  indRNN,
  jordan,
  linearAdding,
  liquid,
  localFeedback,
  lstm1997,
  lstmCounting,
  lstmForget,
  lstmOdyssey,
  memoryMachines,
  memristive,
  mtrnn,
  multiDimensional,
  narx,
  neuralLists,
  parity,
  pearlmutter,
  pixelRnn,
  recall,
  recursive,
  reinforce,
  recursiveBackprop,
  rmlp,
  rwkv,
  search,
  secondOrder,
  selectiveCopying,
  spiking,
  stackLanguages,
  stacked,
  standard,
  teacherForcing,
].flat();
