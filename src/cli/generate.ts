/** Continues a prompt, character by character. */

import { readFile } from "node:fs/promises";
import { noGrad } from "../autodiff/tape.ts";
import { ArgumentError } from "../base/errors.ts";
import { nextTask } from "../base/next-task.ts";
import type { Vocabulary } from "../data/text.ts";
import { type CharModel, type CharState, decodeModel } from "../models/char-model.ts";
import { drawCharacter } from "../models/char-stream.ts";
import { Generator } from "../tensor/random.ts";
import { scope, tensor } from "../tensor/tensor.ts";
import { fileError, UserError } from "./errors.ts";
import type { GenerateOptions } from "./options.ts";

export interface Sampling {
  readonly prompt: string;
  readonly length: number;
  readonly temperature: number;
  readonly seed: number;
}

/** Yields the model's characters one by one: one step per character, carrying the state along. */
export function* characters(model: CharModel, vocabulary: Vocabulary, { prompt, length, temperature, seed }: Sampling): Iterable<string> {
  const generator = new Generator(seed);
  const ids = vocabulary.encode(prompt);
  let state: CharState | undefined;
  let last: ArrayLike<number> = [];
  const read = (id: number): void => {
    const before = state;
    state = noGrad(() =>
      scope(() => {
        const [logits, next] = model.forward(tensor([id], { shape: [1, 1], dtype: "int32" }), before);
        last = logits.data();
        return next;
      }),
    );
    before?.h.dispose();
    before?.c.dispose();
  };
  for (const id of ids) read(id);
  for (let i = 0; i < length; i++) {
    const id = drawCharacter(last, vocabulary, temperature, generator);
    yield vocabulary.symbolOf(id);
    read(id);
  }
}

/** Checks that need the vocabulary. */
export function checkPrompt(prompt: string, vocabulary: Vocabulary): void {
  if (prompt === "") throw new UserError("--prompt: expected at least one character, got none");
  try {
    vocabulary.encode(prompt);
  } catch (error) {
    if (error instanceof ArgumentError) throw new UserError(`--prompt: ${error.message}`, { cause: error });
    throw error;
  }
}

export async function generate(options: GenerateOptions, out: NodeJS.WriteStream): Promise<void> {
  const bytes = await readFile(options.model).catch((error: unknown) => {
    throw fileError(options.model, error);
  });
  const { model, vocabulary } = openModel(options.model, bytes);
  checkPrompt(options.prompt, vocabulary);
  out.write(options.prompt);
  for (const character of characters(model, vocabulary, options)) {
    out.write(character);
    await nextTask();
  }
  out.write("\n");
}

function openModel(path: string, bytes: Uint8Array): ReturnType<typeof decodeModel> {
  try {
    return decodeModel(bytes);
  } catch (error) {
    throw new UserError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}
