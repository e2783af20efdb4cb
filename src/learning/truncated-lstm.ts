/** The gradient with which long short-term memory was first trained. */

import { checkNoMore } from "../base/checks.ts";
import { ArgumentError } from "../base/errors.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reshape } from "../ops/broadcast.ts";
import { linear } from "../ops/linear.ts";
import { sigmoid, tanh } from "../ops/math.ts";
import { select, split } from "../ops/shape.ts";
import type { LstmState } from "../recurrence/kinds.ts";
import { Cell, movesAs, type Recurrence } from "../recurrence/recurrence.ts";
import { LSTM } from "../recurrence/rnn.ts";
import { LSTMCell } from "../recurrence/rnn-cells.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GradientAlgorithm } from "./algorithm.ts";
import { forwardAlgorithm } from "./forward.ts";
import { denseInfluence, unitInfluence } from "./hybrid.ts";
import type { Influence, Setting } from "./influence.ts";

const NAME = "truncatedLstm";

/** An LSTM with the same weights whose errors leave a block only through its cells: inputs of gates and cells that come from blocks are constant. */
class TruncatedView extends Cell<LstmState> {
  readonly inputSize: number;
  readonly outputSize: number;
  /** c sees only its own past, and no error goes through h. */
  readonly independentUnits: number;
  readonly lstm: LSTMCell | LSTM;

  constructor(lstm: LSTMCell | LSTM) {
    super();
    this.lstm = lstm;
    this.inputSize = lstm.inputSize;
    this.outputSize = lstm.outputSize;
    this.independentUnits = lstm.hiddenSize;
  }

  initialState(batch: number): LstmState {
    return this.lstm.initialState(batch);
  }

  step(x: Tensor, state: LstmState): [y: Tensor, next: LstmState] {
    const weight = this.#weights();
    const [B, H] = [x.dim(0), this.independentUnits];
    const c = reshape(state.c, [B, H]);
    const h = reshape(state.h.detach(), [B, this.outputSize]);
    const sums = add(
      linear(x, weight("weight_ih") as Tensor, weight("bias_ih")),
      linear(h, weight("weight_hh") as Tensor, weight("bias_hh")),
    );
    const [i, f, g, o] = split(sums, H, -1) as [Tensor, Tensor, Tensor, Tensor];
    const peepholes = weight("weight_peephole");
    const peep = (sum: Tensor, k: number, from: Tensor): Tensor =>
      peepholes === undefined ? sum : add(sum, mul(select(peepholes, 0, k), from.detach()));
    const next = add(mul(sigmoid(peep(f, 1, c)), c), mul(sigmoid(peep(i, 0, c)), tanh(g)));
    const out = mul(sigmoid(peep(o, 2, next)), tanh(next));
    const projection = weight("weight_hr");
    const y = projection === undefined ? out : linear(out, projection);
    return [y, { h: reshape(y, state.h.shape), c: reshape(next, state.c.shape) }];
  }

  /** The weights by PyTorch's names. */
  #weights(): (name: string) => Tensor | undefined {
    const named = this.lstm.stateDict();
    return (name) => named.get(name) ?? named.get(`${name}_l0`);
  }
}

/** @throws ArgumentError for anything but an LSTM of one layer and one direction */
function viewOf(recurrence: Recurrence): Recurrence {
  const lstm: unknown = recurrence;
  const changed = [LSTM, LSTMCell].some((Class) => lstm instanceof Class && !movesAs(lstm, Class));
  const got = changed
    ? `${recurrence.constructor.name}, which has a step of its own`
    : lstm instanceof LSTM
      ? lstm.bidirectional
        ? "one that reads in both directions"
        : lstm.numLayers > 1
          ? `one of ${lstm.numLayers} layers`
          : null
      : lstm instanceof LSTMCell
        ? null
        : recurrence.constructor.name;
  if (got !== null) throw new ArgumentError(`${NAME}: expected an LSTMCell, or an LSTM of one layer and one direction, got ${got}`);
  return new TruncatedView(lstm as LSTMCell | LSTM) as unknown as Recurrence;
}

/**
 * LSTM's original gradient: errors that reach the net input of a gate or of a cell do not go on to the blocks that feed it. Through time,
 * only the cells carry them. For source m (x, h or 1) and the errors ε of the outputs:
 *
 *   S_g' = f∘S_g + i∘g'·z_m      S_i' = f∘S_i + g∘i'·z_m      S_f' = f∘S_f + c∘f'·z_m
 *   ∂E/∂W_o = ε∘tanh(c')∘o'·z_m      ∂E/∂W_{g,i,f} = ε∘o∘tanh'(c')∘S_{g,i,f}
 *
 * Peepholes are sources too, and truncated alike. O(P) operations per step and O(P) memory, whatever T: it is local in space and time, so it also
 * learns sample by sample. It equals the true gradient only if gates and cells see nothing but inputs. `LSTM1997` with `truncate: "1997"` has
 * the same rule built in.
 * @see Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9, 1997, appendix A.1; Gers, Schmidhuber and Cummins, "Learning
 * to forget", Neural Computation 12, 2000; for peepholes, Gers, Schraudolph and Schmidhuber, "Learning precise timing with LSTM recurrent
 * networks", 2002
 * Deviates: uses `LSTMCell`, whose squashing functions are both tanh.
 * @throws ArgumentError for anything but an `LSTMCell` or an `LSTM` of one layer and one direction
 * @example fit(model, batches, { gradients: truncatedLstm(), … })
 */
export function truncatedLstm(...more: readonly []): GradientAlgorithm {
  checkNoMore("truncatedLstm", more);
  return forwardAlgorithm(NAME, influenceOf, { as: viewOf });
}

/** Traces of the cells; dense if the gradient of a first state is wanted too. */
function influenceOf(setting: Setting): Influence {
  const { lstm, independentUnits } = setting.recurrence as unknown as TruncatedView;
  if (setting.start !== null) return denseInfluence(setting) as Influence;
  const columns = [...lstm.stateDict()].flatMap(([name, t]) => (name.startsWith("weight_peephole") ? [t] : []));
  return unitInfluence(setting, independentUnits, (p) => (columns.includes(p) ? "columns" : "rows")) as Influence;
}
