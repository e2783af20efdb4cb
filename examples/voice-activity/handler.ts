/**
 * The service: a WAV file, or a stream of samples, to stretches of speech. It knows no host; worker.ts hands it requests.
 *
 *     POST /segments   a WAV file; { segments, probabilities, frame } in samples
 *     POST /stream     samples of 16 bits, little-endian, one channel, in pieces of any length; a line of JSON for each segment as soon as it is
 *                      certain, and at the end { samples }
 */

import { ArgumentError, FormatError } from "tapeloop/onnx/inference";
import { errorResponse, HttpError, readBody, shown, urlOf } from "../edge-worker/http.ts";
import { probabilitiesOf, RATE, VoiceDetector, VoiceModel } from "./detector.ts";
import { type Segment, Segmenter, segmentsOf } from "./segments.ts";
import { readWav } from "./wav.ts";

export interface Limits {
  /** Bytes of a WAV file. */
  readonly body: number;
}

export interface HandlerOptions {
  /** Fetches the model file; asked again until it gave a good one. */
  readonly fetchModel: () => Promise<Uint8Array<ArrayBuffer>>;
  readonly limits?: Limits;
}

type Action = (request: Request, model: VoiceModel, limits: Limits) => Response | Promise<Response>;

const ROUTES: Readonly<Record<string, Action>> = { "/segments": segments, "/stream": stream };

export function createHandler({ fetchModel, limits = { body: 2 ** 22 } }: HandlerOptions): (request: Request) => Promise<Response> {
  let shared: VoiceModel | null = null;
  const answer = async (request: Request): Promise<Response> => {
    const action = actionOf(request);
    // The model is shared between requests, never the promise of it: Workers tie promises to their request.
    const model = shared ?? openModel(await fetchModel());
    shared ??= model;
    return action(request, model, limits);
  };
  return (request) => answer(request).catch((error) => errorResponse(asHttpError(error)));
}

function actionOf(request: Request): Action {
  const { pathname } = urlOf(request);
  const action = Object.hasOwn(ROUTES, pathname) ? ROUTES[pathname] : undefined;
  if (action === undefined) {
    throw new HttpError(404, "ERR_ROUTE", `path: expected one of ${Object.keys(ROUTES).join(", ")}, got ${shown(pathname)}`);
  }
  if (request.method === "POST") return action;
  throw new HttpError(405, "ERR_METHOD", `method: expected POST, got ${request.method}`, { allow: "POST" });
}

/** A bad model file is the service's fault, but whoever runs it should read why. */
function openModel(bytes: Uint8Array): VoiceModel {
  try {
    return new VoiceModel(bytes);
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    throw new HttpError(500, error.code, `model file of ${bytes.length} bytes: ${error.message}`);
  }
}

/** What the library found wrong with a sound. */
function asHttpError(error: unknown): unknown {
  if (error instanceof FormatError || error instanceof ArgumentError) return new HttpError(422, error.code, error.message);
  return error;
}

async function segments(request: Request, model: VoiceModel, limits: Limits): Promise<Response> {
  const { rate, samples } = readWav(await readBody(request, limits.body));
  if (rate !== RATE) throw new ArgumentError(`wav: expected ${RATE} samples a second, got ${rate}`);
  const probabilities = probabilitiesOf(model, samples);
  const { frame } = model;
  return Response.json({ segments: segmentsOf(probabilities, samples.length, { frame }), probabilities, frame });
}

/** Samples out of bytes that come in pieces, which may end within a sample. */
class Samples {
  #odd: number | null = null;

  take(bytes: Uint8Array): Float32Array {
    const whole = this.#odd === null ? bytes : Uint8Array.of(this.#odd, ...bytes);
    const count = whole.length >> 1;
    this.#odd = whole.length % 2 === 1 ? (whole[2 * count] as number) : null;
    const view = new DataView(whole.buffer, whole.byteOffset, whole.length);
    return Float32Array.from({ length: count }, (_, i) => view.getInt16(2 * i, true) / 2 ** 15);
  }
}

function stream(request: Request, model: VoiceModel): Response {
  const [samples, detector, segmenter] = [new Samples(), new VoiceDetector(model), new Segmenter({ frame: model.frame })];
  const reader = request.body?.getReader();
  const encoder = new TextEncoder();
  const lines = (values: readonly object[]): Uint8Array => encoder.encode(values.map((value) => `${JSON.stringify(value)}\n`).join(""));
  const found = (probabilities: readonly number[]): Segment[] => probabilities.flatMap((p) => segmenter.push(p));
  const body = new ReadableStream<Uint8Array>({
    /** Reads until there is something to say. */
    async pull(controller) {
      for (;;) {
        const { value, done } = (await reader?.read()) ?? { value: undefined, done: true };
        if (done || value === undefined) break;
        const segments = found(detector.push(samples.take(value)));
        if (segments.length > 0) return controller.enqueue(lines(segments));
      }
      const last = [...found(detector.end()), ...segmenter.end(detector.heard), { samples: detector.heard }];
      controller.enqueue(lines(last));
      controller.close();
    },
    cancel: (reason) => reader?.cancel(reason),
  });
  return new Response(body, { headers: { "content-type": "application/x-ndjson", "cache-control": "no-store" } });
}
