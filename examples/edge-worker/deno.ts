/** Deno.serve. */

import { localHandler, settings } from "./local.ts";

interface DenoHost {
  readonly env: { toObject(): Record<string, string> };
  serve(options: { hostname: string; port: number; onListen(at: { port: number }): void }, handle: (r: Request) => Promise<Response>): void;
}

const { env, serve } = (globalThis as unknown as { readonly Deno: DenoHost }).Deno;
const { port, ...options } = settings(env.toObject());
serve({ hostname: "127.0.0.1", port, onListen: (at) => console.log(`http://127.0.0.1:${at.port}/`) }, localHandler(options));
