/** How the library starts on hosts that are not this one: each is a realm of its own that has what that host has, and no more. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { createContext, runInContext } from "node:vm";
import { build, type Plugin } from "esbuild";
import { describe, expect, it } from "vitest";
import { INTERFACE_ID } from "../../src/wasm/kernels.gen.ts";

type Library = typeof import("../../src/index.ts");

const path = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));
const bytesOf = (name: string) => new Uint8Array(readFileSync(path(`build/${name}.wasm`)));

async function bundle(entry: string, plugins: Plugin[] = []): Promise<string> {
  const options = { bundle: true, write: false, format: "iife", globalName: "library", logLevel: "error" } as const;
  const { outputFiles } = await build({ ...options, target: "es2022", plugins, entryPoints: [path(entry)] });
  return (outputFiles[0] as { text: string }).text;
}

const code = await bundle("src/index.ts");

/** The library in a realm with nothing of the web but `atob`; `prepare` is run there first. */
function libraryIn(prepare = "", { wasm = true } = {}, globals: object = {}): Library {
  const context = createContext({ atob, ...globals }, { codeGeneration: { wasm } });
  return runInContext(`${prepare};${code};library`, context) as Library;
}

/** What Chromium before 115 does on the main thread of a page, in its words. */
const CHROMIUM_92 = `for (const name of ["Module", "Instance"]) {
  WebAssembly[name] = class extends WebAssembly[name] {
    constructor(source) {
      const large = name === "Instance" || source.byteLength > 4096;
      const what = name === "Module" ? "Compile" : name;
      if (large) throw new RangeError("WebAssembly." + what + " is disallowed on the main thread, if the buffer size is larger than 4KB.");
      super(source);
    }
  };
}`;

/** A host whose WebAssembly has no vectors rejects every binary that has them. */
const NO_SIMD = `WebAssembly.validate = () => false;
WebAssembly.Module = class { constructor() { throw new WebAssembly.CompileError("invalid value type 'v128'"); } };
WebAssembly.compile = async () => new WebAssembly.Module();`;

const errorOf = (fn: () => unknown): unknown => {
  try {
    return fn();
  } catch (error) {
    return error;
  }
};

function expectStart({ tensor, add }: Library): void {
  expect(Array.from(add(tensor([1, 2]), tensor([3, 5])).data())).toEqual([4, 7]);
}

function expectRefused(error: unknown, code: string, message: RegExp): void {
  expect(error).toMatchObject({ code });
  expect((error as Error).message).toMatch(message);
}

/** The binary with another number in the place of what it exports as `interfaceId`. */
function ofAnotherVersion(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const coded: number[] = [];
  for (let rest = INTERFACE_ID; coded.length === 0 || rest > 0 || ((coded.at(-1) as number) & 0x40) !== 0; rest >>>= 7) {
    if (coded.length > 0) coded[coded.length - 1] = (coded.at(-1) as number) | 0x80;
    coded.push(rest & 0x7f);
  }
  const at = bytes.findIndex((_, i) => coded.every((byte, j) => bytes[i + j] === byte));
  expect(at).toBeGreaterThan(0);
  const other = bytes.slice();
  other[at] = (other[at] as number) ^ 1;
  return other;
}

describe("a start", () => {
  it("needs nothing of the host at import: no text coders, no WebAssembly", () => {
    const library = libraryIn("delete globalThis.WebAssembly");
    expect(typeof library.LSTM).toBe("function");
    expectStart(libraryIn());
  });

  it("without WebAssembly is refused with a code, at once and asynchronously", async () => {
    const library = libraryIn("delete globalThis.WebAssembly");
    expectRefused(
      errorOf(() => library.tensor([1])),
      "ERR_STATE",
      /^init: expected a host with WebAssembly, got one without$/,
    );
    expectRefused(await library.ready().catch((e) => e), "ERR_STATE", /^ready: expected a host with WebAssembly, got one without$/);
  });

  it("without 128-bit SIMD is refused with a code that says who has it", async () => {
    const library = libraryIn(NO_SIMD);
    const message = /got one without 128-bit SIMD \(Chrome 91, Firefox 89, Safari 16\.4 and Node 16\.4 have it\)/;
    expectRefused(
      errorOf(() => library.tensor([1])),
      "ERR_STATE",
      message,
    );
    expectRefused(await library.ready().catch((e) => e), "ERR_STATE", message);
  });

  it("under a policy against compiling is refused with a code that says what to allow", async () => {
    const library = libraryIn("", { wasm: false });
    const message = /Wasm code generation disallowed by embedder.*script-src allow 'wasm-unsafe-eval'/;
    const error = errorOf(() => library.tensor([1]));
    expectRefused(error, "ERR_STATE", message);
    expect((error as Error).cause).toMatchObject({ name: "CompileError" });
    expectRefused(await library.ready().catch((e) => e), "ERR_STATE", message);
  });

  it("under a policy against compiling takes a module the host has compiled", () => {
    const module = new WebAssembly.Module(bytesOf("simd"));
    const library = libraryIn("", { wasm: false });
    library.init(module);
    expectStart(library);
  });

  it("on the main thread of an older Chromium names `ready`, which then does it", async () => {
    const library = libraryIn(CHROMIUM_92);
    expectRefused(
      errorOf(() => library.tensor([1])),
      "ERR_STATE",
      /main thread; call `await ready\(\)` first/,
    );
    await library.ready();
    expectStart(library);
  });

  it("on the main thread of an older Chromium refuses a module at once, too, and takes it asynchronously", async () => {
    const module = new WebAssembly.Module(bytesOf("simd"));
    const library = libraryIn(CHROMIUM_92);
    expectRefused(
      errorOf(() => library.init(module)),
      "ERR_STATE",
      /await ready\(\)/,
    );
    await library.ready(module);
    expectStart(library);
  });
});

describe("ready", () => {
  const response = (body: BodyInit, type: string, status = 200) => new Response(body, { status, headers: { "content-type": type } });

  it.each(["application/wasm", "application/wasm; charset=utf-8", "application/octet-stream"])(
    "takes a response of type %s",
    async (type) => {
      const library = libraryIn();
      await library.ready(Promise.resolve(response(bytesOf("simd"), type)));
      expectStart(library);
    },
  );

  it("compiles a response while it arrives where the host can", async () => {
    const library = libraryIn("", {}, { WebAssembly });
    await library.ready(response(bytesOf("simd"), "application/wasm"));
    expectStart(library);
    const other = libraryIn("", {}, { WebAssembly });
    const refused = other.ready(response("no kernels", "application/wasm")).catch((e) => e);
    expectRefused(await refused, "ERR_FORMAT", /^ready: expected kernels that the host accepts, got damaged/);
  });

  it("refuses a response that is not the kernels", async () => {
    const library = libraryIn();
    const missing = library.ready(response("no", "text/html", 404)).catch((e) => e);
    expectRefused(await missing, "ERR_STATE", /^ready: expected the kernels, got a response of status 404/);
    const page = library.ready(response("<!doctype html>", "text/html")).catch((e) => e);
    expectRefused(await page, "ERR_FORMAT", /^ready: expected kernels that the host accepts/);
    expectStart(library);
  });

  it("passes on why a fetch failed", async () => {
    const failure = new TypeError("no network");
    expect(
      await libraryIn()
        .ready(Promise.reject(failure))
        .catch((e) => e),
    ).toBe(failure);
  });

  it("called again, or late, changes nothing", async () => {
    const library = libraryIn();
    const both = [library.ready(), library.ready()];
    await both[0];
    const x = library.tensor([1, 2, 3]);
    await both[1];
    await library.ready();
    expect(Array.from(x.data())).toEqual([1, 2, 3]);
    expect(library.memory().blocks).toBe(1);
  });

  it("does not exchange kernels under tensors, also not under those made while it waited", async () => {
    const library = libraryIn();
    const waiting = library.ready(bytesOf("simd")).catch((e) => e);
    const x = library.tensor([1, 2, 3]);
    expectRefused(await waiting, "ERR_STATE", /^ready: expected to run before the first tensor, got \d+ live bytes$/);
    expect(Array.from(x.data())).toEqual([1, 2, 3]);
  });
});

describe("init", () => {
  it("refuses what is no kernels, and says what came", () => {
    const library = libraryIn();
    const init = library.init as (source: unknown) => void;
    for (const [source, got] of [
      [undefined, /got undefined$/],
      ["kernels.wasm", /got string$/],
      [{}, /got Object$/],
    ] as const) {
      expectRefused(
        errorOf(() => init(source)),
        "ERR_DTYPE",
        got,
      );
    }
    const simd = bytesOf("simd");
    expectRefused(
      errorOf(() => init(simd.subarray(0, 5000))),
      "ERR_FORMAT",
      /damaged/,
    );
    const empty = new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]);
    expectRefused(
      errorOf(() => init(empty)),
      "ERR_FORMAT",
      /exports heapBase, interfaceId, memory, run, got one that exports nothing$/,
    );
    expectRefused(
      errorOf(() => init(ofAnotherVersion(simd))),
      "ERR_FORMAT",
      /expected the kernels of this version/,
    );
    init(simd.buffer);
    expectStart(library);
  });

  it("refuses the small entry's binary, and says whose it is", async () => {
    const library = libraryIn();
    const message =
      /expected kernels\.wasm or kernels-relaxed\.wasm for tapeloop \S+, got kernels-inference\.wasm.*belongs to tapeloop\/inference$/;
    expectRefused(
      errorOf(() => library.init(bytesOf("inference"))),
      "ERR_FORMAT",
      message,
    );
    expectRefused(await library.ready(bytesOf("inference")).catch((e) => e), "ERR_FORMAT", message);
    expectStart(library);
  });
});

describe("the small entry", () => {
  type SmallLibrary = typeof import("../../src/inference.ts");

  /** In a realm without even `atob`. */
  async function smallIn(prepare = ""): Promise<SmallLibrary> {
    const script = (await import(new URL("../../scripts/small-entry.mjs", import.meta.url).href)) as {
      smallEntry(root: string, source: string): Plugin;
    };
    const small = await bundle("src/inference.ts", [script.smallEntry(path(""), "src/inference.ts")]);
    return runInContext(`${prepare};${small};library`, createContext({})) as SmallLibrary;
  }

  it("has the kernels within, and dropout among them", async () => {
    const { GRU, LSTM, RNN, Stream, tensor } = await smallIn();
    for (const Layer of [GRU, LSTM, RNN]) {
      const layer = new Layer({ inputSize: 2, hiddenSize: 3, numLayers: 2, dropout: 0.5 });
      const xs = tensor([[[1, 2]], [[-1, 0.5]]]);
      expect(
        layer
          .forward(xs)
          .output.data()
          .some((v) => v !== 0),
      ).toBe(true);
      const last = layer.eval().forward(xs).output.data().slice(3);
      const stream = new Stream(layer as InstanceType<typeof LSTM>);
      stream.step([1, 2]);
      expect(Array.from(stream.step([-1, 0.5]))).toEqual(Array.from(last));
    }
  });

  it.each(["simd", "inference"])("runs on the %s binary", async (binary) => {
    const library = await smallIn();
    library.init(bytesOf(binary));
    const lstm = new library.LSTM({ inputSize: 2, hiddenSize: 3 });
    expect(new library.Stream(lstm).step([1, 0]).length).toBe(3);
    const other = await smallIn();
    expectRefused(
      errorOf(() => other.init(ofAnotherVersion(bytesOf("simd")))),
      "ERR_FORMAT",
      /expected the kernels of this version/,
    );
  });

  it("starts the same ways", async () => {
    const library = await smallIn(CHROMIUM_92);
    expectRefused(
      errorOf(() => library.tensor([1])),
      "ERR_STATE",
      /await ready\(\)/,
    );
    await library.ready(bytesOf("inference"));
    const lstm = new library.LSTM({ inputSize: 2, hiddenSize: 3 });
    expect(new library.Stream(lstm).step([1, 0]).length).toBe(3);
  });
});
