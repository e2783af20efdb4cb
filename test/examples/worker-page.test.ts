import { afterAll, beforeAll, expect, it, vi } from "vitest";

interface Report {
  readonly step: number;
  readonly steps: number;
  readonly chart: string;
  readonly written?: string;
}

const reports: Report[] = [];
let send: (data: unknown) => void;

/** The next report for which this holds. */
const next = (holds: (report: Report) => boolean) => vi.waitUntil(() => reports.find(holds), { timeout: 60_000, interval: 1 });

beforeAll(async () => {
  vi.stubGlobal("addEventListener", (_: string, listener: (event: { data: unknown }) => void) => {
    send = (data) => listener({ data });
  });
  vi.stubGlobal("postMessage", (report: Report) => reports.push(report));
  await import("../../examples/worker-page/worker.ts");
});

afterAll(() => vi.unstubAllGlobals());

it("trains, stops when it is told to, and goes on where it stopped", async () => {
  const text = "the cat sat on the mat, the rat sat on the cat. ".repeat(20);
  send({ text });
  await next(({ step }) => step === 40);
  send("stop");
  const stopped = await next(({ written }) => written !== undefined);
  expect(stopped.step).toBeGreaterThanOrEqual(40);
  expect(stopped.step).toBeLessThan(stopped.steps);
  expect(stopped.chart).toContain("<svg");
  const count = reports.length;
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(reports.length).toBe(count);

  send({ text });
  const done = await next(({ step, steps, written }) => step === steps && written !== undefined);
  const steps = reports.map(({ step }) => step);
  expect(steps).toEqual([...steps].sort((a, b) => a - b));
  expect(steps.filter((step) => step % 20 === 0 && step > stopped.step).length).toBeGreaterThanOrEqual(20);
  expect(done.written?.slice(0, 8)).toBe("the cat ");
  // What it writes is words of the text.
  const words = new Set(text.split(/\W+/));
  const own = done.written?.split(/\W+/).slice(0, -1) ?? [];
  expect(own.filter((word) => words.has(word)).length / own.length).toBeGreaterThan(0.8);
});
