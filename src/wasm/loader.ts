/** Instantiates kernels from a module or its bytes, synchronously or not, and explains why a host refuses. */

import { DTypeError, FormatError, StateError } from "../base/errors.ts";
import { HAS_FLOAT64, LIBRARY } from "../base/library.ts";
import { INTERFACE_ID, SMALL_INTERFACE_ID } from "./kernels.gen.ts";

export interface KernelExports {
  readonly memory: WebAssembly.Memory;
  run(id: number, args: number): void;
  heapBase(): number;
  /** Stands for the ids and arguments of its kernels. */
  readonly interfaceId: { readonly value: number };
}

/** The kernels as a compiled module, or as bytes. */
export type KernelSource = WebAssembly.Module | BufferSource;

/** Instantiates a module or bytes. @throws StateError if the host does not let the kernels run; FormatError for other bytes */
export function instantiateSync(source: KernelSource): KernelExports {
  checkSource("init", source);
  try {
    const module = isModule(source) ? source : new WebAssembly.Module(source as BufferSource);
    return kernelsOf("init", new WebAssembly.Instance(module));
  } catch (cause) {
    throw refusal("init", source, cause);
  }
}

/** The same without blocking the thread; compiles a response while it downloads. */
export async function instantiate(source: KernelSource | Response): Promise<KernelExports> {
  const given = isResponse(source) ? await compileResponse(source) : source;
  checkSource("ready", given);
  try {
    const module = isModule(given) ? given : await WebAssembly.compile(given as BufferSource);
    return kernelsOf("ready", await WebAssembly.instantiate(module));
  } catch (cause) {
    throw refusal("ready", given, cause);
  }
}

/** The module if the host compiles responses of this type, else the bytes. */
async function compileResponse(response: Response): Promise<KernelSource> {
  if (!response.ok) throw new StateError(`ready: expected the kernels, got a response of status ${response.status} from ${response.url}`);
  const type = response.headers.get("content-type")?.trim().toLowerCase();
  const streams = hasWebAssembly() && "compileStreaming" in WebAssembly && type === "application/wasm";
  if (!streams) return response.arrayBuffer();
  return WebAssembly.compileStreaming(response).catch((cause) => {
    throw refusal("ready", null, cause);
  });
}

const hasWebAssembly = (): boolean => typeof WebAssembly === "object";

/** A value's own tag, which unlike `instanceof` also works for values of another realm. */
const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);
const isModule = (value: unknown): value is WebAssembly.Module => tagOf(value) === "WebAssembly.Module";
const isResponse = (value: unknown): value is Response => tagOf(value) === "Response";
const isBytes = (value: unknown): value is BufferSource => ArrayBuffer.isView(value) || /^(Shared)?ArrayBuffer$/.test(tagOf(value));

function checkSource(op: string, source: unknown): void {
  if (!hasWebAssembly()) throw new StateError(`${op}: expected a host with WebAssembly, got one without`);
  if (isModule(source) || isBytes(source)) return;
  throw new DTypeError(
    `${op}: expected a WebAssembly.Module or its bytes, got ${typeof source === "object" ? tagOf(source) : typeof source}`,
  );
}

function kernelsOf(op: string, { exports }: WebAssembly.Instance): KernelExports {
  const names = Object.keys(exports).sort().join(", ");
  if (names !== "heapBase, interfaceId, memory, run")
    throw new FormatError(
      `${op}: expected a module that exports heapBase, interfaceId, memory, run, got one that exports ${names || "nothing"}`,
    );
  checkInterface(op, (exports as unknown as KernelExports).interfaceId.value);
  return exports as unknown as KernelExports;
}

/** The small entry runs on every binary of its version. Other entries refuse the small binary, which lacks kernels that they call. */
function checkInterface(op: string, id: number): void {
  if (id === INTERFACE_ID || (id === SMALL_INTERFACE_ID && !HAS_FLOAT64)) return;
  if (id !== SMALL_INTERFACE_ID)
    throw new FormatError(`${op}: expected the kernels of this version of the library, got those of another one`);
  const missing = "kernels-inference.wasm, which has no training and no float64 and belongs to tapeloop/inference";
  throw new FormatError(`${op}: expected kernels.wasm or kernels-relaxed.wasm for ${LIBRARY}, got ${missing}`);
}

/** A module with one function that uses a vector: a host without 128-bit SIMD rejects it. */
const VECTOR = "\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7b\x03\x02\x01\0\x0a\x0a\x01\x08\0\x41\0\xfd\x0f\xfd\x62\x0b";

const hasVectors = (): boolean => WebAssembly.validate(Uint8Array.from(VECTOR, (c) => c.charCodeAt(0)));

/** What engines say when a policy of the page or of an edge host forbids compiling. */
const FORBIDDEN = /content security policy|\bCSP\b|unsafe-eval|disallowed by embedder/i;

/** Whether the host rejects the kernels themselves. A response's bytes are gone, so there only the error's words tell. */
function isBroken(source: KernelSource | null, { name, message }: Error): boolean {
  return source !== null && isBytes(source) ? !WebAssembly.validate(source) : name === "CompileError" && !FORBIDDEN.test(message);
}

/** The error for kernels that do not run, with the host's own error as its cause. */
function refusal(op: string, source: KernelSource | null, cause: unknown): Error {
  if (cause instanceof FormatError) return cause;
  const { name, message } = cause as Error;
  const no = (why: string): StateError => new StateError(`${op}: expected a host that runs the kernels, got ${why}`, { cause });
  if (/main thread/.test(message))
    return no("one that compiles nothing of their size at once on its main thread; call `await ready()` first");
  if (!hasVectors()) return no("one without 128-bit SIMD (Chrome 91, Firefox 89, Safari 16.4 and Node 16.4 have it)");
  if (isBroken(source, cause as Error)) {
    const which = "damaged, or relaxed ones on a host without relaxed SIMD";
    return new FormatError(`${op}: expected kernels that the host accepts, got ${which} (${message})`, { cause });
  }
  if (name !== "CompileError" && name !== "EvalError") return no(`one that does not (${message})`);
  const page = "in a page, let the Content-Security-Policy's script-src allow 'wasm-unsafe-eval'";
  return no(`one that forbids it (${message}); ${page}; on an edge host, import the binary as a module and give it to \`init\``);
}
