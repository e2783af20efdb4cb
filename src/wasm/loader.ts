/** From a module or its bytes to running kernels, at once or asynchronously; and in words what a host has against it. */

import { DTypeError, FormatError, StateError } from "../base/errors.ts";
import { INTERFACE_ID } from "./kernels.gen.ts";

export interface KernelExports {
  readonly memory: WebAssembly.Memory;
  run(id: number, args: number): void;
  heapBase(): number;
  /** Of the kernels' ids and arguments. */
  readonly interfaceId: { readonly value: number };
}

/** The kernels as a compiled module, or as bytes. */
export type KernelSource = WebAssembly.Module | BufferSource;

/** Kernels that run, from a module or bytes. @throws StateError where the host does not let them; FormatError for other bytes */
export function instantiateSync(source: KernelSource): KernelExports {
  checkSource("init", source);
  try {
    const module = isModule(source) ? source : new WebAssembly.Module(source as BufferSource);
    return kernelsOf("init", new WebAssembly.Instance(module));
  } catch (cause) {
    throw refusal("init", source, cause);
  }
}

/** The same without holding up the thread; a response is compiled while it arrives. */
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

/** A module where the host compiles what it is sent, else the bytes. */
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

/** What a value says it is; unlike `instanceof`, also for values of another realm. */
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
  const { interfaceId } = exports as unknown as KernelExports;
  if (interfaceId.value === INTERFACE_ID) return exports as unknown as KernelExports;
  throw new FormatError(`${op}: expected the kernels of this version of the library, got those of another one`);
}

/** One function that uses a vector: what a host without 128-bit SIMD rejects. */
const VECTOR = "\0asm\x01\0\0\0\x01\x05\x01\x60\0\x01\x7b\x03\x02\x01\0\x0a\x0a\x01\x08\0\x41\0\xfd\x0f\xfd\x62\x0b";

const hasVectors = (): boolean => WebAssembly.validate(Uint8Array.from(VECTOR, (c) => c.charCodeAt(0)));

/** What engines say when a policy, of the page or of an edge host, is against it. */
const FORBIDDEN = /content security policy|\bCSP\b|unsafe-eval|disallowed by embedder/i;

/** Whether it is the kernels the host finds fault with; of a response's bytes only its words tell. */
function isBroken(source: KernelSource | null, { name, message }: Error): boolean {
  return source !== null && isBytes(source) ? !WebAssembly.validate(source) : name === "CompileError" && !FORBIDDEN.test(message);
}

/** The error for kernels that would not run, with the host's own as its cause. */
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
