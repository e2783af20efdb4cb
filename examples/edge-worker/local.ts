/** What Node, Deno and Bun have in common: the model is a file, a user is a folder. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { FileStore } from "./file-store.ts";
import { createHandler } from "./handler.ts";

export interface LocalOptions {
  /** Path of the model file. */
  readonly model: string;
  /** Folder of the users' folders. */
  readonly data: string;
}

/** The service on files. */
export function localHandler({ model, data }: LocalOptions): (request: Request) => Promise<Response> {
  const handler = createHandler({ fetchModel: async () => new Uint8Array(await readFile(model)) });
  return (request) => handler(request, (user) => new FileStore(join(data, user)));
}

/** MODEL, DATA and PORT of the environment; port 0 is any free one. */
export function settings(env: Readonly<Record<string, string | undefined>>): LocalOptions & { readonly port: number } {
  return { model: env.MODEL ?? "models/model.safetensors", data: env.DATA ?? "data", port: Number(env.PORT ?? 8787) };
}
