/** Training in slices: between two requests there is nothing but a checkpoint, which holds the text, too. */

import { Adam, decodeCheckpoint, FormatError, fit, Generator, type SymbolWindow, scope, type Training, WindowBatches } from "tapeloop";
import { type CharModel, type CharState, decodeModel, encodeModel } from "tapeloop/models";
import type { Loaded } from "./model.ts";

export const SETTINGS = { batch: 4, window: 32, lr: 2e-3, clipNorm: 1 };

interface Run {
  readonly model: CharModel;
  readonly training: Training<CharModel, SymbolWindow, CharState>;
  /** Releases what the run holds. */
  readonly end: () => void;
}

export interface Slice {
  readonly step: number;
  /** Loss of each step, in bits per character. */
  readonly bits: readonly number[];
  readonly checkpoint: Uint8Array<ArrayBuffer>;
}

function startRun({ bytes, vocabulary }: Loaded, text: string, maxSteps: number, resume?: Uint8Array): Run {
  const { model } = decodeModel(bytes);
  const { lr, clipNorm, ...windows } = SETTINGS;
  const optimizer = new Adam(model.parameters(), { lr });
  const end = () => {
    for (const t of [...model.stateDict().values(), ...Object.values(optimizer.stateDict().tensors)]) t.dispose();
  };
  try {
    const training = fit(model, new WindowBatches(vocabulary.encode(text), { ...windows, dropLast: true }), {
      optimizer,
      loss: (m, window, state: CharState | undefined) => m.loss(window, state),
      maxSteps,
      clipNorm,
      generator: new Generator(),
      resume,
    });
    return { model, training, end };
  } catch (error) {
    end();
    throw error;
  }
}

/** The checkpoint before the first step. @throws ArgumentError for a text that is too short or has unknown characters */
export function beginTraining(loaded: Loaded, text: string): Uint8Array<ArrayBuffer> {
  const { training, end } = startRun(loaded, text, 0);
  const checkpoint = training.checkpoint({ text });
  end();
  return checkpoint;
}

/** Steps done, and the text. @throws FormatError */
export function readCheckpoint(checkpoint: Uint8Array): { readonly step: number; readonly text: string } {
  return scope(() => {
    const { step, extra } = decodeCheckpoint(checkpoint);
    const { text } = (extra ?? {}) as { readonly text?: unknown };
    if (typeof text !== "string") throw new FormatError("checkpoint: expected a text in it, got none");
    return { step, text };
  });
}

/** Goes on from a checkpoint for some steps: the same bits as if they had followed without a pause. @throws FormatError */
export async function trainSlice(loaded: Loaded, checkpoint: Uint8Array, steps: number): Promise<Slice> {
  const { step, text } = readCheckpoint(checkpoint);
  const { training, end } = startRun(loaded, text, step + steps, checkpoint);
  try {
    const bits: number[] = [];
    for await (const { loss } of training) bits.push(loss / Math.LN2);
    return { step: training.step, bits, checkpoint: training.checkpoint({ text }) };
  } finally {
    end();
  }
}

/** The trained model as a model file. @throws FormatError */
export function trainedModel(loaded: Loaded, checkpoint: Uint8Array): Uint8Array<ArrayBuffer> {
  const { step, text } = readCheckpoint(checkpoint);
  const { model, end } = startRun(loaded, text, step, checkpoint);
  const bytes = encodeModel(model, loaded.vocabulary);
  end();
  return bytes;
}
