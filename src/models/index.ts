/** Whole models, ready to be loaded: the character model that the command line trains. */

export {
  bitsPerCharacter,
  CharModel,
  type CharModelOptions,
  type CharState,
  type CharWindow,
  decodeModel,
  encodeModel,
} from "./char-model.ts";
export { CharStream, drawCharacter } from "./char-stream.ts";
