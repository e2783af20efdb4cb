import { describe, expect, it } from "vitest";
import { clock, Progress, thousands } from "../../src/cli/progress.ts";

/** A stream that remembers, and a clock set by hand. */
function stage(isTTY: boolean, columns = 200) {
  const written: string[] = [];
  const time = { now: 0 };
  const out = { isTTY, columns, write: (text: string) => written.push(text) } as unknown as NodeJS.WriteStream;
  return { written, time, out, now: () => time.now };
}

const options = { total: 100, done: 0, seconds: Number.POSITIVE_INFINITY };

describe("clock and thousands", () => {
  it("are as read aloud", () => {
    expect([0, 5, 75.4, 3600, -3].map(clock)).toEqual(["0:00", "0:05", "1:15", "60:00", "0:00"]);
    expect([0, 999, 1000, 1234567.8].map(thousands)).toEqual(["0", "999", "1,000", "1,234,568"]);
  });
});

describe("Progress", () => {
  it("redraws one line on a terminal, not too often and not wider than it", () => {
    const { written, time, out, now } = stage(true, 40);
    const progress = new Progress(out, { ...options, now });
    time.now = 50;
    progress.update(1, 5, 1000);
    expect(written).toEqual([]);
    time.now = 1000;
    progress.update(2, 5, 1000);
    time.now = 2000;
    progress.update(3, 5, 1000);
    expect(written.length).toBe(2);
    for (const text of written) {
      expect(text.startsWith("\r\x1b[K")).toBe(true);
      expect(text).not.toContain("\n");
      expect(text.length - 4).toBe(39);
    }
  });

  it("is 80 columns wide on a terminal that does not know its width, or says 0", () => {
    for (const columns of [null as never, 0]) {
      const { written, time, out, now } = stage(true, columns);
      const progress = new Progress(out, { ...options, now });
      time.now = 3000;
      progress.update(1, 5, 1000);
      expect(written[0]).toContain("step 1/100");
      expect((written[0] as string).length - 4).toBeLessThan(80);
    }
  });

  it("tells loss, rate and time left", () => {
    const { written, time, out, now } = stage(true);
    const progress = new Progress(out, { ...options, now });
    time.now = 30_000;
    progress.update(25, 2.5, 600_000);
    expect(written[0]).toContain("step 25/100  2.500 bits/char  20,000 chars/s  1:30 left");
    expect(written[0]).toContain(`${"█".repeat(6)}░`);
  });

  it("shows a running mean of the loss that follows the newest", () => {
    const { written, time, out, now } = stage(false);
    const progress = new Progress(out, { ...options, total: 1000, now });
    for (let step = 1; step <= 500; step++) progress.update(step, step <= 100 ? 6 : 2, 1);
    time.now = 60_000;
    progress.update(501, 2, 1);
    expect(Number(/ (\d\.\d+) bits/.exec(written[0] as string)?.[1])).toBeCloseTo(2, 2);
  });

  it("counts the time left from where a resumed run began, and up to the time allowed", () => {
    const { written, time, out, now } = stage(true);
    const progress = new Progress(out, { total: 100, done: 50, seconds: 25, now });
    time.now = 10_000;
    progress.update(60, 2, 1);
    expect(written[0]).toContain("0:15 left");
  });

  it("writes plain lines elsewhere, and notes on lines of their own", () => {
    const { written, time, out, now } = stage(false);
    const progress = new Progress(out, { ...options, now });
    for (let step = 1; step <= 30; step++) {
      time.now = step * 1000;
      progress.update(step, 3, 100);
    }
    progress.note("a note");
    progress.finish(30);
    expect(written.length).toBe(5);
    expect(written[3]).toBe("a note\n");
    for (const text of written) expect(text.endsWith("\n") && !text.includes("\r") && !text.includes("\x1b")).toBe(true);
  });
});
