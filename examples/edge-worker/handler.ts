/**
 * The service: a request and a place to keep things, to a response. It knows no host; worker.ts, node.ts, deno.ts and
 * bun.ts hand it requests. Neither clock nor randomness of the host has a part in any answer.
 */

import { ArgumentError, FormatError, MemoryLimitError, noGrad, ShapeError, StateError } from "tapeloop";
import { bitsPerCharacter } from "tapeloop/models";
import { type Bounds, errorResponse, HttpError, numberIn, readBody, readJson, readText, shown, urlOf } from "./http.ts";
import { type Loaded, loadModel } from "./model.ts";
import { hexOf, seal, unseal } from "./record.ts";
import type { Store } from "./store.ts";
import { beginTraining, readCheckpoint, SETTINGS, trainedModel, trainSlice } from "./training.ts";

export interface Limits {
  /** Bytes of a request's body. */
  readonly body: number;
  /** Characters written for one request. */
  readonly characters: number;
  /** Training steps of one request. */
  readonly steps: number;
}

const LIMITS: Limits = { body: 256 * 1024, characters: 10_000, steps: 500 };

export interface HandlerOptions {
  /** Fetches the model file; asked again until it gave a good one. */
  readonly fetchModel: () => Promise<Uint8Array<ArrayBuffer>>;
  readonly limits?: Partial<Limits>;
}

/** @param storeOf where a user's records are */
export type Handler = (request: Request, storeOf: (user: string) => Store) => Promise<Response>;

interface Context {
  readonly request: Request;
  readonly url: URL;
  readonly loaded: Loaded;
  readonly limits: Limits;
}

interface UserContext extends Context {
  readonly user: string;
  readonly store: Store;
}

type Action<C> = (context: C) => Response | Promise<Response>;
type Route<C> = Readonly<Record<string, Action<C>>>;

const ROUTES: Readonly<Record<string, Route<Context>>> = {
  "/": { GET: about },
  "/generate": { POST: generate },
  "/score": { POST: score },
};

/** Below /users/NAME. */
const USER_ROUTES: Readonly<Record<string, Route<UserContext>>> = {
  "/generate": { POST: generateOn },
  "/state": { GET: downloadState, PUT: uploadState, DELETE: (context) => remove(context, "state") },
  "/training": { GET: showTraining, PUT: startTraining, POST: advanceTraining, DELETE: (context) => remove(context, "training") },
  "/training/model": { GET: downloadModel },
};

const USER_PATH = /^\/users\/([\w-]{1,64})(\/.*)$/;

/** The user a request is about; null if it is about none, or has no address. */
export function userOf({ url }: Request): string | null {
  return URL.canParse(url) ? (USER_PATH.exec(new URL(url).pathname)?.[1] ?? null) : null;
}

export function createHandler({ fetchModel, limits }: HandlerOptions): Handler {
  let loaded: Loaded | null = null;
  // What is shared between requests is the model, never the promise of it: Workers tie promises to their request.
  const model = async (): Promise<Loaded> => {
    const own = loaded ?? (await openModel(fetchModel));
    loaded ??= own;
    return loaded;
  };
  const answer = async (request: Request, storeOf: (user: string) => Store): Promise<Response> => {
    const url = urlOf(request);
    const [, user, path] = USER_PATH.exec(url.pathname) ?? [];
    const context = async () => ({ request, url, loaded: await model(), limits: { ...LIMITS, ...limits } });
    if (user === undefined) return actionOf(ROUTES, url.pathname, request.method)(await context());
    const action = actionOf(USER_ROUTES, path as string, request.method);
    return action({ ...(await context()), user, store: storeOf(user) });
  };
  return (request, storeOf) => answer(request, storeOf).catch((error) => errorResponse(asHttpError(error)));
}

function actionOf<C>(routes: Readonly<Record<string, Route<C>>>, path: string, method: string): Action<C> {
  const route = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (route === undefined) throw new HttpError(404, "ERR_ROUTE", `path: expected one of GET /, got ${shown(path)}`);
  const action = Object.hasOwn(route, method) ? route[method] : undefined;
  if (action !== undefined) return action;
  const allow = Object.keys(route).join(", ");
  throw new HttpError(405, "ERR_METHOD", `method: expected ${allow}, got ${method}`, { allow });
}

/** What the library found wrong with a request. */
function asHttpError(error: unknown): unknown {
  if (error instanceof ArgumentError || error instanceof StateError) return new HttpError(422, error.code, error.message);
  if (error instanceof MemoryLimitError) return new HttpError(503, error.code, error.message);
  return error;
}

/** A bad model file is the service's fault, but whoever runs it should read why. */
async function openModel(fetchModel: HandlerOptions["fetchModel"]): Promise<Loaded> {
  const bytes = await fetchModel();
  try {
    return await loadModel(bytes);
  } catch (error) {
    if (error instanceof FormatError || error instanceof ShapeError) {
      throw new HttpError(500, error.code, `model file of ${bytes.length} bytes: ${error.message}`);
    }
    throw error;
  }
}

function about({ loaded, limits }: Context): Response {
  const { model, vocabulary, digest } = loaded;
  const users = Object.entries(USER_ROUTES).map(([path, route]): [string, object] => [`/users/NAME${path}`, route]);
  const routes = [...Object.entries(ROUTES), ...users].flatMap(([path, route]) => Object.keys(route).map((m) => `${m} ${path}`));
  return Response.json({ model: { sha256: hexOf(digest), hidden: model.hidden, symbols: vocabulary.size }, limits, routes });
}

// ---------------------------------------------------------------- writing and scoring

interface Wish {
  readonly prompt: string;
  readonly length: number;
  readonly temperature: number;
  readonly seed: number;
}

const TEMPERATURE: Bounds = { least: 0, most: 10, whole: false };
const SEED: Bounds = { least: 0, most: Number.MAX_SAFE_INTEGER };

async function readWish({ request, limits }: Context): Promise<Wish> {
  const { prompt = "", length, temperature, seed } = await readJson(request, limits.body);
  if (typeof prompt !== "string") throw new HttpError(422, "ERR_ARGUMENT", `prompt: expected text, got ${shown(prompt)}`);
  return {
    prompt,
    length: numberIn("length", length, 200, { least: 1, most: limits.characters }),
    temperature: numberIn("temperature", temperature, 0.7, TEMPERATURE),
    seed: numberIn("seed", seed, 0, SEED),
  };
}

async function generate(context: Context): Promise<Response> {
  const wish = await readWish(context);
  return write(context.loaded, beginText(context.loaded, null, wish), wish);
}

/** The place after the prompt, behind the place before it. @throws FormatError for bytes that are no place */
function beginText({ stream }: Loaded, before: Uint8Array | null, { prompt, seed }: Wish): Uint8Array {
  if (before === null) stream.start(seed);
  else stream.fromBytes(before);
  stream.read(prompt);
  stream.write(0, 1); // refuses to begin with nothing
  return stream.toBytes();
}

/** Characters sent in one piece. */
const PIECE = 64;

/** Lets other requests have their turn, and what was written go out. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 0));

/**
 * Text as it is written. The stream is lent for a piece at a time, so that many texts are written side by side.
 * @param finish is given the last place before the last piece is sent
 */
function write({ stream }: Loaded, start: Uint8Array, wish: Wish, finish = async (_: Uint8Array): Promise<void> => {}): Response {
  const encoder = new TextEncoder();
  let place = start;
  let left = wish.length;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (place !== start) await pause();
      stream.fromBytes(place);
      const text = stream.write(Math.min(PIECE, left), wish.temperature);
      place = stream.toBytes();
      left -= Math.min(PIECE, left);
      if (left === 0) await finish(place);
      controller.enqueue(encoder.encode(text));
      if (left === 0) controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" } });
}

async function score({ request, loaded, limits }: Context): Promise<Response> {
  const ids = loaded.vocabulary.encode(await readText(request, limits.body));
  const bits = noGrad(() => bitsPerCharacter(loaded.model, ids, { batch: 1, window: 256 }));
  return Response.json({ characters: ids.length, bitsPerCharacter: bits });
}

// ---------------------------------------------------------------- what is kept of a user

type RecordName = "state" | "training";

interface Kept {
  readonly record: Uint8Array;
  readonly content: Uint8Array;
}

/** A user's record; null if there is none. @throws HttpError 409 for one that is damaged or belongs to another model */
async function readRecord(context: UserContext, name: RecordName): Promise<Kept | null> {
  const record = await context.store.read(name);
  if (record === null) return null;
  return { record, content: await whole(context, name, () => unseal(context.loaded.digest, record)) };
}

/** Runs what reads a record: a record that cannot be read is left as it is, and the answer says how to be rid of it. */
async function whole<T>({ user }: UserContext, name: RecordName, read: () => T | Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof FormatError || error instanceof ShapeError)) throw error;
    throw new HttpError(409, error.code, `${name}: ${error.message}; DELETE /users/${user}/${name} starts anew`);
  }
}

async function existing(context: UserContext, name: RecordName): Promise<Kept> {
  const kept = await readRecord(context, name);
  if (kept === null) throw new HttpError(404, "ERR_NOTHING", `${name}: expected user ${context.user} to have one, got none`);
  return kept;
}

/** @throws HttpError 409 if another request was faster; its result stays */
async function replaceRecord(
  { store, loaded, user }: UserContext,
  name: RecordName,
  before: Kept | null,
  content: Uint8Array,
): Promise<void> {
  const done = await store.replace(name, before?.record ?? null, await seal(loaded.digest, content));
  if (!done) throw new HttpError(409, "ERR_CONFLICT", `${name}: expected no other request of user ${user} meanwhile; ask again`);
}

/** Needs nothing of the record but that it is there. */
async function remove({ store, user }: UserContext, name: RecordName): Promise<Response> {
  const done = await store.replace(name, await store.read(name), null);
  if (!done) throw new HttpError(409, "ERR_CONFLICT", `${name}: expected no other request of user ${user} meanwhile; ask again`);
  return new Response(null, { status: 204 });
}

/** Goes on where the user's text stopped. The state moves when the whole text was sent; broken off, it stays. */
async function generateOn(context: UserContext): Promise<Response> {
  const wish = await readWish(context);
  const kept = await readRecord(context, "state");
  const start = await whole(context, "state", () => beginText(context.loaded, kept?.content ?? null, wish));
  return write(context.loaded, start, wish, (place) => replaceRecord(context, "state", kept, place));
}

async function downloadState(context: UserContext): Promise<Response> {
  return binary((await existing(context, "state")).content);
}

async function uploadState(context: UserContext): Promise<Response> {
  const place = await readBody(context.request, context.limits.body);
  try {
    context.loaded.stream.fromBytes(place);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new HttpError(422, error.code, `state: ${error.message}`);
  }
  await replaceRecord(context, "state", await readRecord(context, "state"), place);
  return new Response(null, { status: 204 });
}

function binary(bytes: Uint8Array): Response {
  return new Response(bytes.slice(), { headers: { "content-type": "application/octet-stream" } });
}

// ---------------------------------------------------------------- training

async function startTraining(context: UserContext): Promise<Response> {
  const text = await readText(context.request, context.limits.body);
  if ((await context.store.read("training")) !== null) {
    throw new HttpError(409, "ERR_CONFLICT", `training: expected none of user ${context.user}; DELETE it before another is begun`);
  }
  await replaceRecord(context, "training", null, beginTraining(context.loaded, text));
  return Response.json({ step: 0, characters: Array.from(text).length, ...SETTINGS }, { status: 201 });
}

async function showTraining(context: UserContext): Promise<Response> {
  const { content } = await existing(context, "training");
  const { step, text } = await whole(context, "training", () => readCheckpoint(content));
  return Response.json({ step, characters: Array.from(text).length, ...SETTINGS });
}

/** The next slice; if another request has trained meanwhile, its slice counts and this one does not. */
async function advanceTraining(context: UserContext): Promise<Response> {
  const given = context.url.searchParams.get("maxSteps");
  const steps = numberIn("maxSteps", given === null ? null : Number(given), 50, { least: 1, most: context.limits.steps });
  const kept = await existing(context, "training");
  const { step, bits, checkpoint } = await whole(context, "training", () => trainSlice(context.loaded, kept.content, steps));
  await replaceRecord(context, "training", kept, checkpoint);
  return Response.json({ step, bitsPerCharacter: bits });
}

async function downloadModel(context: UserContext): Promise<Response> {
  const { content } = await existing(context, "training");
  return binary(await whole(context, "training", () => trainedModel(context.loaded, content)));
}
