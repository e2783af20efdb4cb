import { afterAll, beforeAll, expect, it } from "vitest";
import { backward } from "../../src/autodiff/backward.ts";
import { MemoryLimitError } from "../../src/base/errors.ts";
import { sum } from "../../src/ops/broadcast.ts";
import { LSTM } from "../../src/recurrence/rnn.ts";
import { zeros } from "../../src/tensor/create.ts";
import { dryRun } from "../../src/tensor/dry-run.ts";
import { scope } from "../../src/tensor/tensor.ts";
import { Heap } from "../../src/wasm/heap.ts";
import { memory, setMemoryLimit } from "../../src/wasm/host.ts";

const LIMIT = 96 * 2 ** 20;

beforeAll(() => setMemoryLimit(LIMIT));
afterAll(() => setMemoryLimit(Number.POSITIVE_INFINITY));

const lstm = new LSTM({ inputSize: 32, hiddenSize: 128 });
const step = (time: number) => () => backward(sum(lstm.forward(zeros([time, 32, 32])).output));

it("a training step beyond the limit is an error that says what was asked and what is live, and takes nothing", () => {
  expect(dryRun(step(2000)).peakBytes).toBeGreaterThan(LIMIT);
  const before = memory().liveBytes;
  let error: unknown;
  try {
    scope(step(2000));
  } catch (e) {
    error = e;
  }
  expect(error).toBeInstanceOf(MemoryLimitError);
  const { message, code } = error as MemoryLimitError;
  expect(code).toBe("ERR_MEMORY_LIMIT");
  const [, limit, asked, live] = /within (\d+) bytes, got a request for (\d+) bytes with (\d+) live/.exec(message) ?? [];
  expect(Number(limit)).toBe(LIMIT);
  expect(Number(asked)).toBeGreaterThan(0);
  expect(Number(live)).toBeGreaterThanOrEqual(before);
  expect(Number(live) + Number(asked)).toBeLessThanOrEqual(dryRun(step(2000)).peakBytes + before);
  expect(memory().liveBytes).toBe(before);
  expect(memory().linearBytes).toBeLessThanOrEqual(LIMIT);
  expect(lstm.parameters().every((p) => p.grad === null)).toBe(true);
});

it("a step that a plan says fits runs, after such an error, too", () => {
  expect(dryRun(step(200)).linearBytes).toBeLessThan(LIMIT - memory().liveBytes);
  scope(step(200));
  expect(lstm.parameters().every((p) => p.grad !== null)).toBe(true);
  expect(memory().linearBytes).toBeLessThanOrEqual(LIMIT);
});

it("a limit that is no whole number of pages is not passed either", () => {
  const page = 65536;
  let end = page;
  const heap = new Heap(0, end, 40 * page - 1, (bytes) => {
    end += Math.ceil(bytes / page) * page;
    return end;
  });
  const fill = () => {
    for (;;) heap.allocate(1024);
  };
  expect(fill).toThrow(MemoryLimitError);
  expect(end).toBe(39 * page);
  expect(heap.liveBytes).toBe(39 * page);
});
