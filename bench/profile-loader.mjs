// The kernels with a clock around each call. Replays are taken apart, so that their calls are timed one by one.

import { replay } from "../dist/wasm/kernels.gen.js";
import { instantiateSync as original } from "../dist/wasm/loader.js";

export { instantiate } from "../dist/wasm/loader.js";

/** By kernel id: calls and milliseconds. */
export const times = new Map();

export function instantiateSync(source) {
  const { run, memory, heapBase, interfaceId } = original(source);
  const timed = (id, args) => {
    const start = performance.now();
    run(id, args);
    const ms = performance.now() - start;
    const entry = times.get(id) ?? { calls: 0, ms: 0 };
    entry.calls++;
    entry.ms += ms;
    times.set(id, entry);
  };
  return { memory, heapBase, interfaceId, run: (id, args) => (id === replay ? takeApart(memory, timed, args) : timed(id, args)) };
}

/** What the replay kernel does (assembly/replay.ts), step by step from here. */
function takeApart(memory, timed, at) {
  const slots = new Float64Array(memory.buffer);
  const [steps, count, program, regions, bases, strides] = slots.slice(at >>> 3, (at >>> 3) + 6);
  for (let t = 0; t < steps; t++) {
    let p = program >>> 3;
    for (let i = 0; i < count; i++) {
      const [id, size, pointers] = [slots[p], slots[p + 1], slots[p + 2]];
      const args = p + 3;
      const end = args + size + 3 * pointers;
      for (let q = args + size; q < end; q += 3) slots[args + slots[q]] = slots[(bases >>> 3) + slots[q + 1]] + slots[q + 2];
      timed(id, 8 * args);
      p = end;
    }
    for (let r = 0; r < regions; r++) slots[(bases >>> 3) + r] += slots[(strides >>> 3) + r];
  }
}
