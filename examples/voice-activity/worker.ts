/** Cloudflare Workers: the model file comes from static assets. */

import { createHandler } from "./handler.ts";

interface Env {
  /** Where /silero_vad_v5.onnx is: static assets, or any service that answers GET. */
  readonly ASSETS: { fetch(request: string): Promise<Response> };
}

async function fetchModel({ ASSETS }: Env): Promise<Uint8Array<ArrayBuffer>> {
  const response = await ASSETS.fetch("http://assets/silero_vad_v5.onnx");
  if (!response.ok) throw new Error(`model file: expected status 200, got ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** One an isolate: the model is read once. */
let shared: ((request: Request) => Promise<Response>) | undefined;

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    shared ??= createHandler({ fetchModel: () => fetchModel(env) });
    return shared(request);
  },
};
