/** What requests and responses have in common: errors as JSON, bodies with a limit, numbers within bounds. */

/** An answer other than the wanted one. */
export class HttpError extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, code: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

/** `{ "error": { "code", "message" } }`; what is not an HttpError is the service's own fault, and goes to its log only. */
export function errorResponse(error: unknown): Response {
  if (!(error instanceof HttpError)) console.error(error);
  const known = error instanceof HttpError ? error : new HttpError(500, "ERR_INTERNAL", "the service failed");
  const { code, message, status, headers } = known;
  return Response.json({ error: { code, message } }, { status, headers });
}

/** What came, in a few words: a message is not as long, or as deep, as what it is about. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object" && value !== null) return "an object";
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 80)}…`;
}

/** Where a request goes. Some hosts hand on what is no address, made of a Host header that is none. @throws HttpError 400 */
export function urlOf(request: Request): URL {
  return addressOf(request.url);
}

/** @throws HttpError 400 */
export function addressOf(text: string): URL {
  if (URL.canParse(text)) return new URL(text);
  throw new HttpError(400, "ERR_URL", `url: expected an address, got ${shown(text)}`);
}

/** So many times the limit is read and dropped before the connection is broken off: who is still sending hears no answer. */
const PATIENCE = 16;

/** Reads a body, and keeps nothing above the limit. @throws HttpError 400 for one that breaks off, 413 */
export async function readBody(request: Request, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = [];
  let size = 0;
  const reader = request.body?.getReader();
  while (reader !== undefined && size <= PATIENCE * limit) {
    const { value, done } = await reader.read().catch((error) => {
      throw new HttpError(400, "ERR_BODY", `body: expected all of it, got one that breaks off after ${size} bytes (${error.message})`);
    });
    if (done) break;
    size += value.length;
    if (size <= limit) parts.push(value);
  }
  if (size > PATIENCE * limit) await reader?.cancel();
  if (size > limit) throw new HttpError(413, "ERR_TOO_LARGE", `body: expected at most ${limit} bytes, got more`);
  return joined(parts, size);
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A body as text. @throws HttpError 400 for anything but UTF-8 */
export async function readText(request: Request, limit: number): Promise<string> {
  const bytes = await readBody(request, limit);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new HttpError(400, "ERR_BODY", "body: expected text in UTF-8");
  }
}

/** A body as a JSON object; no body is an empty one. @throws HttpError 400 */
export async function readJson(request: Request, limit: number): Promise<Readonly<Record<string, unknown>>> {
  const text = await readText(request, limit);
  if (text === "") return {};
  const value = parsed(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new HttpError(400, "ERR_BODY", "body: expected a JSON object");
  }
  return value as Record<string, unknown>;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new HttpError(400, "ERR_BODY", `body: expected JSON, got ${(error as Error).message}`);
  }
}

export interface Bounds {
  readonly least: number;
  readonly most: number;
  readonly whole?: boolean;
}

/** A number within bounds, or what stands for none. @throws HttpError 422 */
export function numberIn(name: string, value: unknown, fallback: number, { least, most, whole = true }: Bounds): number {
  if (value === undefined || value === null) return fallback;
  const fits = typeof value === "number" && value >= least && value <= most && (!whole || Number.isInteger(value));
  if (fits) return value;
  const kind = whole ? "a whole number" : "a number";
  throw new HttpError(422, "ERR_ARGUMENT", `${name}: expected ${kind} in [${least}, ${most}], got ${shown(value)}`);
}
