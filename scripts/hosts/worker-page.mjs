// The page of examples/worker-page on the packed package, in Chromium: it trains in a Worker, shows how far it is, stops and goes on.

import { copyFile, mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { withPage } from "./chromium.mjs";
import { place, root, tool } from "./common.mjs";

const example = join(root, "examples/worker-page");
const TIME_LIMIT = 120_000;

/** The example as it is served: files, and bundles in out/. */
async function buildPage(app) {
  const folder = join(place, "worker-page");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  for (const name of ["page.html", "text.txt"]) await copyFile(join(example, name), join(folder, name));
  const { default: esbuild } = await tool("esbuild/lib/main.js");
  await esbuild.build({
    entryPoints: ["page.js", "worker.ts"].map((name) => join(example, name)),
    outdir: join(folder, "out"),
    bundle: true,
    format: "esm",
    target: "es2022",
    logLevel: "error",
    nodePaths: [join(app, "node_modules")],
  });
  return folder;
}

function check(what, holds, detail) {
  if (!holds) throw new Error(`${what}: ${detail}`);
}

/** Clicks once, and reports when the button says something else. */
async function click(page, until) {
  await page.click("#button");
  await page.waitForFunction((text) => document.getElementById("button").textContent === text, until, { timeout: TIME_LIMIT });
}

/** What the page shows. */
const shown = (page) =>
  page.evaluate(() => {
    const [bar, chart, written] = ["bar", "chart", "written"].map((id) => document.getElementById(id));
    return { progress: bar.value, curve: chart.querySelector("svg path") !== null, written: written.textContent };
  });

const waitFor = (page, least) => page.waitForFunction((p) => document.getElementById("bar").value > p, least, { timeout: TIME_LIMIT });

export async function trainOnPage(app) {
  const folder = await buildPage(app);
  return withPage(folder, async (page) => {
    const errors = [];
    page.on("pageerror", (error) => errors.push(String(error)));
    await page.goto(new URL("page.html", page.url()).href);
    await page.waitForSelector("#button:enabled");
    await click(page, "Stop");
    await waitFor(page, 0.05);
    const running = await shown(page);
    check("a curve while it trains", running.curve, JSON.stringify(running));
    await click(page, "Go on");
    const stopped = await shown(page);
    check("stopped before the end", stopped.progress < 1, `${stopped.progress}`);
    await page.waitForTimeout(300);
    const later = await shown(page);
    check("stopped", later.progress === stopped.progress, `expected progress ${stopped.progress}, got ${later.progress}`);
    await click(page, "Stop");
    await waitFor(page, stopped.progress);
    await page.waitForFunction(() => document.getElementById("button").textContent === "Done", undefined, { timeout: TIME_LIMIT });
    const done = await shown(page);
    check("progress", done.progress === 1, `expected 1, got ${done.progress}`);
    check("text", /This is the .*That \w+ the /s.test(done.written), done.written);
    check("errors", errors.length === 0, errors.join("; "));
    return `stopped at ${Math.round(100 * stopped.progress)} %, went on to the end`;
  });
}
