/** Where the model files are, for programs under Node. */

import { fileURLToPath } from "node:url";

export type Version = "v5" | "v6" | "legacy";

/** In the npm package @ricky0123/vad-web, or in the folder that VAD_MODELS names. */
export function modelPath(version: Version): string {
  const folder = process.env.VAD_MODELS ?? fileURLToPath(new URL("node_modules/@ricky0123/vad-web/dist", import.meta.url));
  return `${folder}/silero_vad_${version}.onnx`;
}
