/** Bun.serve. */

import { localHandler, settings } from "./local.ts";

interface BunHost {
  readonly env: Record<string, string | undefined>;
  serve(options: { hostname: string; port: number; fetch: (r: Request) => Promise<Response> }): { readonly port: number };
}

const { env, serve } = (globalThis as unknown as { readonly Bun: BunHost }).Bun;
const { port, ...options } = settings(env);
const server = serve({ hostname: "127.0.0.1", port, fetch: localHandler(options) });
console.log(`http://127.0.0.1:${server.port}/`);
