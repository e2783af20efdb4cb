// The playground in Chromium: each panel trains, stops, and shows the right answer; it is there again after a reload. Ends with `N passed, N failed`.

import { join } from "node:path";
import { firstThatExists, root, tool } from "./hosts/common.mjs";
import { installHosts } from "./hosts/install.mjs";
import { readOptions } from "./options.mjs";
import { buildPlayground, servePlayground } from "./playground.mjs";

const USAGE = `Usage: npm run test:playground   drives each panel of the playground in Chromium

  --pictures DIR   keeps a picture of each panel
  --help           shows this text
`;

/** Milliseconds within which a panel must come to its answer. */
const PATIENCE = 180_000;
/** What the page may weigh after gzip, in bytes, without data. */
const WEIGHT = 150_000;

function check(what, holds, detail) {
  if (!holds) throw new Error(`${what}: ${detail}`);
}

/** A panel of the page, by its buttons and words as a visitor finds them. */
function panelOf(page, name) {
  const section = page.locator(`section#${name}`);
  return {
    section,
    press: (text) => section.getByRole("button", { name: text, exact: true }).click(),
    status: () => section.locator("output").textContent(),
    /** Waits until the status says something. @returns what it says */
    async until(words) {
      const output = section.locator("output").filter({ hasText: words });
      await output.waitFor({ timeout: PATIENCE });
      return output.textContent();
    },
    /** Waits for the panel to come to rest by itself. */
    ended: () => section.getByRole("button", { name: "Start", exact: true }).waitFor({ timeout: PATIENCE }),
    async open() {
      await section.scrollIntoViewIfNeeded();
      await section.getByRole("button", { name: "Start", exact: true }).waitFor({ timeout: PATIENCE });
    },
  };
}

const numberIn = (text, pattern) => Number(pattern.exec(text)?.[1]);

const DRIVES = {
  async writer(panel, page) {
    const text = "the cat sat on the mat and the dog sat on the log. ".repeat(12);
    await panel.section.getByRole("textbox").fill(text);
    await panel.press("Start");
    const status = await panel.until(/, 0\.[0-6]\d bits/);
    await panel.press("Stop");
    await panel.ended();
    const written = await panel.section.locator("pre").textContent();
    check("what it writes", /the (cat|dog) sat/.test(written), written);
    const step = numberIn(await panel.status(), /step (\d+)/);
    await page.waitForTimeout(500);
    await page.reload();
    await panel.open();
    const after = await panel.until(/step/);
    check("after a reload", numberIn(after, /step (\d+)/) === step, `expected step ${step}, got ${after}`);
    check("its text", (await panel.section.getByRole("textbox").inputValue()) === text, "another text");
    await panel.press("Reset");
    await page.waitForTimeout(200);
    check("after Reset", (await panel.status()) === "", await panel.status());
    return status;
  },
  async attractor(panel) {
    await panel.press("Start");
    const status = await panel.until(/15\d\d steps, parted/);
    await panel.ended();
    check("how long they stay together", numberIn(status, /after ([\d.]+) Lyapunov/) > 2, status);
    return status;
  },
  async memory(panel) {
    await panel.press("Take 2");
    await panel.press("Damage");
    await panel.until("none of the known pictures");
    await panel.press("Start");
    const status = await panel.until(/sweep \d+: picture 2/);
    await panel.ended();
    await panel.press("Clear");
    const point = panel.section.getByRole("button", { name: "row 1, column 1", exact: true });
    await point.focus();
    await point.press("Space");
    check("a point by the keys", (await point.getAttribute("aria-pressed")) === "true", "not pressed");
    return status;
  },
  async machine(panel) {
    await panel.press("Start");
    const status = await panel.until(/loss 0\.[0-8]/);
    await panel.press("Stop");
    await panel.ended();
    return status;
  },
  async pole(panel) {
    await panel.press("Start");
    const status = await panel.until("it balances");
    await panel.ended();
    return status;
  },
};

/** Milliseconds from the request of the page to the first training step. */
async function firstStep(browser, address) {
  const page = await browser.newPage();
  const began = performance.now();
  await page.goto(address);
  const panel = panelOf(page, "writer");
  await panel.open();
  await page.waitForFunction(() => document.querySelector("textarea")?.value !== "");
  await panel.press("Start");
  await panel.until(/step \d/);
  const taken = performance.now() - began;
  await page.close();
  return taken;
}

const { pictures } = readOptions("test-playground", USAGE, { pictures: { type: "string" } });
await installHosts();
const executablePath = await firstThatExists("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome");
const { default: playwright } = await tool("playwright-core/index.js");
const folder = join(root, "build/playground");
const weight = await buildPlayground(folder);
const { address, stop } = await servePlayground(folder);
const browser = await playwright.chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--no-first-run"] });
let [passed, failed] = [0, 0];

async function report(name, run) {
  try {
    process.stdout.write(`${name}: ${await run()}\n`);
    passed++;
  } catch (error) {
    process.stdout.write(`${name}: FAILED ${error.message}\n`);
    failed++;
  }
}

await report("weight", () => {
  check("after gzip", weight <= WEIGHT, `expected at most ${WEIGHT} bytes, got ${weight}`);
  return `${weight} bytes after gzip, without data`;
});
await report("first step", async () => `${Math.round(await firstStep(browser, address))} ms after the page was asked for`);
for (const [name, drive] of Object.entries(DRIVES)) {
  await report(name, async () => {
    const page = await browser.newPage({ viewport: { width: 1100, height: 900 } });
    const errors = [];
    page.on("pageerror", (error) => errors.push(error.message));
    await page.goto(address);
    const panel = panelOf(page, name);
    await panel.open();
    const said = await drive(panel, page);
    if (pictures) await panel.section.screenshot({ path: join(pictures, `${name}.png`) });
    check("errors of the page", errors.length === 0, errors.join("; "));
    await page.close();
    return said;
  });
}
await browser.close();
stop();
process.stdout.write(`${passed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
