/** Models run frame by frame, with a state that their outputs hand to their inputs. */

import { checkObject } from "../base/checks.ts";
import type { TypedArray } from "../base/dtype.ts";
import { ArgumentError, ShapeError } from "../base/errors.ts";
import { list, quote, shorten } from "../base/quote.ts";
import { checkForm, tensorsLike } from "../recurrence/state.ts";
import { stateFromBytes, stateToBytes } from "../recurrence/state-bytes.ts";
import { zeros } from "../tensor/create.ts";
import { copyInto, copyOf } from "../tensor/strided.ts";
import { checkTensor, keep, scope, Tensor, tensor } from "../tensor/tensor.ts";
import type { ModelValue, NamedTensors, Session } from "./session.ts";

/** The values of an input: a tensor, or numbers in row-major order. */
export type Frame = ArrayLike<number> | Tensor;

/** Copies that outlive every scope. */
function kept(tensors: NamedTensors): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, keep(copyOf(t))]));
}

/** The zeros that a state begins with. */
function blank({ name, dtype, shape }: ModelValue): Tensor {
  if (shape !== null && dtype !== null) {
    return zeros(
      shape.map((d) => (typeof d === "number" ? d : 1)),
      dtype,
    );
  }
  throw new ArgumentError(`stream: expected a tensor as the first ${shorten(name)}, whose form the model does not say, got none`);
}

/** @throws ArgumentError for links that are none of the model's */
function checkLinks({ inputs, overridable, outputs }: Session, links: Readonly<Record<string, string>>): void {
  const [takes, gives] = [[...inputs, ...overridable], outputs].map((values) => values.map(({ name }) => name)) as [string[], string[]];
  for (const [input, output] of Object.entries(links)) {
    if (!takes.includes(input)) throw new ArgumentError(`stream: expected links from inputs ${list(takes)}, got ${quote(input)}`);
    if (gives.includes(output)) continue;
    throw new ArgumentError(`stream: expected ${quote(input)} linked to one of ${list(gives)}, got ${quote(output)}`);
  }
}

/** The values of an input as a tensor of its form. @throws ShapeError, DTypeError */
function asForm(name: string, values: Frame, form: Tensor): Tensor {
  if (values instanceof Tensor) {
    checkForm("step", shorten(name), values, form);
    return values;
  }
  if (values?.length !== form.size) throw new ShapeError(`step: expected ${form.size} values for ${shorten(name)}, got ${quote(values)}`);
  return tensor(values as number[], { shape: form.shape, dtype: form.dtype });
}

/** A model that is run frame by frame; made by `Session.stream`. */
export class ModelStream {
  readonly #session: Session;
  readonly #links: readonly (readonly [input: string, output: string])[];
  /** The names of the outputs that are not of the state. */
  readonly #results: readonly string[];
  readonly #initial: NamedTensors;
  readonly #state: NamedTensors;
  /** What the next frame is where the caller does not say. */
  readonly #frame: NamedTensors;
  #whyEager: string | null = null;

  /** @internal */
  constructor(session: Session, links: Readonly<Record<string, string>>, inputs: NamedTensors) {
    checkLinks(session, links);
    for (const [name, t] of Object.entries(inputs)) checkTensor(`stream: input ${shorten(name)}`, t);
    const isState = (name: string): boolean => Object.hasOwn(links, name);
    this.#session = session;
    this.#links = Object.entries(links);
    const states = new Set(Object.values(links));
    this.#results = session.outputs.map(({ name }) => name).filter((name) => !states.has(name));
    this.#frame = kept(Object.fromEntries(Object.entries(inputs).filter(([name]) => !isState(name))));
    const begun = [...session.inputs, ...session.overridable].filter(({ name }) => isState(name));
    const first = (info: ModelValue): Tensor => inputs[info.name] ?? session.ownValue(info.name) ?? blank(info);
    this.#initial = scope(() => kept(Object.fromEntries(begun.map((info) => [info.name, first(info)]))));
    this.#state = kept(this.#initial);
    scope(() => this.#next());
  }

  /** The outputs for the present frame and state, of which those of the state have its form. */
  #next(): NamedTensors {
    const outputs = this.#session.run({ ...this.#frame, ...this.#state });
    this.#whyEager = this.#session.whyEager;
    for (const [input, output] of this.#links) {
      checkForm("stream", `${shorten(output)} for ${shorten(input)}`, outputs[output] as Tensor, this.#state[input] as Tensor);
    }
    return outputs;
  }

  /** Why the latest frame was run call by call; null if it was replayed, as frames are from the third on where that can be. */
  get whyEager(): string | null {
    return this.#whyEager;
  }

  /**
   * Runs the model on the next frame.
   * @param inputs the values of inputs that differ from those of the frame before
   * @returns the values of the outputs but those of the state, by name
   * @throws ArgumentError, DTypeError, ShapeError for what does not fit; the state stays as it was
   */
  step(inputs: Readonly<Record<string, Frame>>): Record<string, TypedArray> {
    checkObject("step", "inputs", inputs);
    return scope(() => {
      const given = Object.entries(inputs).map(([name, values]) => {
        const form = this.#formOf(name);
        return [form, asForm(name, values, form)] as const;
      });
      for (const [form, t] of given) copyInto(form, t);
      const outputs = this.#next();
      for (const [input, output] of this.#links) copyInto(this.#state[input] as Tensor, outputs[output] as Tensor);
      return Object.fromEntries(this.#results.map((name) => [name, (outputs[name] as Tensor).data()]));
    });
  }

  #formOf(name: string): Tensor {
    if (Object.hasOwn(this.#frame, name)) return this.#frame[name] as Tensor;
    throw new ArgumentError(`step: expected inputs ${list(Object.keys(this.#frame))}, got ${quote(name)}`);
  }

  /** The state, by the names of the inputs that take it; copies. */
  get state(): NamedTensors {
    return Object.fromEntries(Object.entries(this.#state).map(([name, t]) => [name, copyOf(t)]));
  }

  /** @throws ShapeError, DTypeError where a tensor is missing or of another form; the state stays as it was then */
  set state(state: NamedTensors) {
    const given = tensorsLike(this.#state, state);
    scope(() => {
      const values = given.map(copyOf);
      for (const [i, t] of Object.values(this.#state).entries()) copyInto(t, values[i] as Tensor);
    });
  }

  /** Back to the state it began with. */
  reset(): void {
    this.state = this.#initial;
  }

  /** The state as bytes: versioned, with a checksum. */
  toBytes(): Uint8Array<ArrayBuffer> {
    return stateToBytes(this.#state);
  }

  /** Continues from bytes. @throws FormatError, and the state stays as it was */
  fromBytes(bytes: Uint8Array): void {
    scope(() => {
      this.state = stateFromBytes(bytes, this.#state);
    });
  }
}
