// The system's Chromium, headless, on a page served on loopback: the published files as they are, without a bundler.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { app, firstThatExists, tool } from "./common.mjs";

const CHROMIUM_FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const TYPES = { ".js": "text/javascript", ".html": "text/html", ".wasm": "application/wasm" };
const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>tapeloop</title>
<script type="importmap" nonce="page">{ "imports": { "tapeloop": "/node_modules/tapeloop/dist/index.js", "tapeloop/quantized": "/node_modules/tapeloop/dist/quantized/index.js", "tapeloop/relaxed": "/node_modules/tapeloop/dist/wasm/relaxed.js", "tapeloop/threads": "/node_modules/tapeloop/dist/threads/index.js" } }</script>
`;

/** What makes a page cross-origin isolated, so that it has shared memory. */
const ISOLATED = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };

/** Serves a folder under a policy that allows scripts and files of its own and, if asked, WebAssembly. */
async function withServer(folder, wasm, use) {
  const server = createServer(async ({ url }, response) => {
    const path = normalize(new URL(url, "http://localhost").pathname);
    const body = path === "/" ? PAGE : await readFile(join(folder, path)).catch(() => null);
    if (body === null) return response.writeHead(404).end();
    const policy = `default-src 'none'; connect-src 'self'; script-src 'self' 'nonce-page' ${wasm ? "'wasm-unsafe-eval'" : ""}`;
    const type = TYPES[extname(path)] ?? "text/html";
    response.writeHead(200, { ...ISOLATED, "content-type": type, "content-security-policy": policy }).end(body);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await use(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

/** Hands `use` a page whose server has this folder. */
export async function withPage(folder, use, { wasm = true } = {}) {
  const executablePath = await firstThatExists("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome");
  const { default: playwright } = await tool("playwright-core/index.js");
  const browser = await playwright.chromium.launch({ executablePath, args: CHROMIUM_FLAGS });
  try {
    return await withServer(folder, wasm, async (address) => {
      const page = await browser.newPage();
      await page.goto(address);
      return use(page);
    });
  } finally {
    await browser.close();
  }
}

export const chromium = {
  name: "Chromium",
  relaxed: true,
  run(mode, options) {
    return withPage(app, (page) => page.evaluate((file) => import(file).then((program) => program.exercise()), `/${mode}.js`), options);
  },
};
