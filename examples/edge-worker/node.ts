/** Node's http: requests and responses are turned into the web's and back. */

import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream } from "node:stream/web";
import { pathToFileURL } from "node:url";
import { addressOf, errorResponse, HttpError } from "./http.ts";
import { localHandler, settings } from "./local.ts";

/** What the web's Request does not take. */
const UNKNOWN_METHODS = ["CONNECT", "TRACE", "TRACK"];
const METHODS = "GET, POST, PUT, DELETE";

const wrongMethod = (method: string | undefined): HttpError =>
  new HttpError(405, "ERR_METHOD", `method: expected ${METHODS}, got ${method}`, { allow: METHODS });

function toRequest(message: IncomingMessage): Request {
  const { method = "GET", url = "/", headers } = message;
  if (UNKNOWN_METHODS.includes(method)) throw wrongMethod(method);
  const lines = Object.entries(headers).map(([name, value]): [string, string] => [name, String(value)]);
  const hasBody = method !== "GET" && method !== "HEAD";
  const body = hasBody ? { body: Readable.toWeb(message) as globalThis.ReadableStream, duplex: "half" as const } : {};
  const address = addressOf(url.startsWith("/") || url === "*" ? `http://localhost/${url.slice(1)}` : url);
  return new Request(address, { method, headers: lines, ...body });
}

/** Connections on which an answer is under way: another one has no place there. */
const answering = new WeakSet<object>();

async function send(response: Response, to: ServerResponse): Promise<void> {
  const { socket } = to;
  if (socket !== null) answering.add(socket);
  to.writeHead(response.status, Object.fromEntries(response.headers));
  if (response.body === null) to.end();
  else await pipeline(Readable.fromWeb(response.body as ReadableStream), to);
  if (socket !== null) answering.delete(socket);
}

/** The status of what Node's parser refuses, by its code; 400 for all else. */
const STATUS: Readonly<Record<string, number>> = { HPE_HEADER_OVERFLOW: 431, ERR_HTTP_REQUEST_TIMEOUT: 408 };

const notHttp = ({ code = "", message }: NodeJS.ErrnoException): HttpError =>
  new HttpError(STATUS[code] ?? 400, "ERR_HTTP", `request: expected HTTP, got ${message}`);

/** An answer to what never became a request. */
async function sendRaw(error: HttpError, socket: Duplex): Promise<void> {
  const body = await errorResponse(error).text();
  if (!socket.writable || answering.has(socket)) return void socket.destroy();
  const allow = Object.entries(error.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\ncontent-type: application/json\r\n${allow.join("")}`;
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`);
}

export function serve(handle: (request: Request) => Promise<Response>): Server {
  const server = createServer((message, to) => {
    // Once headers are out, a text that cannot be ended is told by the broken connection.
    const broken = () => to.destroy();
    Promise.resolve()
      .then(() => toRequest(message))
      .then(handle, errorResponse)
      .then((response) => send(response, to))
      .catch(broken);
  });
  server.on("clientError", (error, socket) => void sendRaw(notHttp(error), socket));
  server.on("connect", ({ method }, socket) => void sendRaw(wrongMethod(method), socket));
  return server;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { port, ...options } = settings(process.env);
  const server = serve(localHandler(options)).listen(port, "127.0.0.1", () => {
    const address = server.address();
    console.log(`http://127.0.0.1:${typeof address === "object" ? address?.port : port}/`);
  });
}
