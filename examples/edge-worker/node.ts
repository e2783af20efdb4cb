/** Node's http: requests and responses are turned into the web's and back. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { pathToFileURL } from "node:url";
import { localHandler, settings } from "./local.ts";

function toRequest(message: IncomingMessage): Request {
  const { method = "GET", url = "/", headers } = message;
  const lines = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? { body: Readable.toWeb(message) as globalThis.ReadableStream, duplex: "half" as const } : {};
  return new Request(new URL(url, "http://localhost"), { method, headers: lines, ...body });
}

async function send(response: Response, to: ServerResponse): Promise<void> {
  to.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null) return void to.end();
  await pipeline(Readable.fromWeb(response.body as ReadableStream), to);
}

export function serve(handle: (request: Request) => Promise<Response>): Server {
  return createServer((message, to) => {
    // Once headers are out, a text that cannot be ended is told by the broken connection.
    const broken = () => to.destroy();
    Promise.resolve()
      .then(() => handle(toRequest(message)))
      .then((response) => send(response, to))
      .catch(broken);
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { port, ...options } = settings(process.env);
  const server = serve(localHandler(options)).listen(port, "127.0.0.1", () => {
    const address = server.address();
    console.log(`http://127.0.0.1:${typeof address === "object" ? address?.port : port}/`);
  });
}
