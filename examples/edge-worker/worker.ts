/** Cloudflare Workers: a user is a Durable Object; the model file comes from static assets. */

import { createHandler, type Handler, userOf } from "./handler.ts";
import { type KeyValueStorage, KeyValueStore } from "./store.ts";

interface Fetcher {
  fetch(request: Request | string): Promise<Response>;
}

interface Env {
  /** Where /model.safetensors is: static assets, or any service that answers GET. */
  readonly ASSETS: Fetcher;
  readonly USERS: { idFromName(name: string): unknown; get(id: unknown): Fetcher };
}

async function fetchModel({ ASSETS }: Env): Promise<Uint8Array<ArrayBuffer>> {
  const response = await ASSETS.fetch("http://assets/model.safetensors");
  if (!response.ok) throw new Error(`model file: expected status 200, got ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** One an isolate, so that the Worker and its Durable Objects share the model. */
let shared: Handler | undefined;

function handlerOf(env: Env): Handler {
  shared ??= createHandler({ fetchModel: () => fetchModel(env) });
  return shared;
}

/** What is kept of one user. */
export class User {
  readonly #store: KeyValueStore;
  readonly #env: Env;

  constructor(state: { readonly storage: KeyValueStorage }, env: Env) {
    this.#store = new KeyValueStore(state.storage);
    this.#env = env;
  }

  fetch(request: Request): Promise<Response> {
    return handlerOf(this.#env)(request, () => this.#store);
  }
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const user = userOf(request);
    if (user !== null) return env.USERS.get(env.USERS.idFromName(user)).fetch(request);
    return handlerOf(env)(request, () => {
      throw new Error("expected a user");
    });
  },
};
