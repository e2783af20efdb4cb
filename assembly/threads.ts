// Several threads at one kernel call, in the build with THREADS. Each thread has an instance of the module over the same
// memory. A kernel that can be shared is called by all of them with the same arguments and computes its own part of the
// output: whole elements, never a part of a sum, so the bits do not depend on the number of threads.
//
// Every other build is one thread: a part is all there is, and nothing here remains.

import { run } from "./index.gen";
import { LEAST_WORK } from "./work";

/** Where this instance's static memory lies, counted from the first one's. */
// @ts-ignore: decorator
@external("env", "region")
declare const region: usize;

/** Sleeps while the i32 at an address has a value, at most for a while; throws if the other threads are lost. */
// @ts-ignore: decorator
@external("env", "pause")
declare function pause(address: usize, value: i32): void;

/** Static memory that kernels write to: every thread has its own. */
// @ts-ignore: decorator
@inline
export function own(place: usize): usize {
  return isDefined(THREADS) ? place + region : place;
}

/** Number of threads, this one's index, and how many are at the present call. */
let members: i32 = 1;
let me: i32 = 0;
let team: i32 = 1;

/** Where a part of `total` things begins, cut at multiples of `unit`. */
// @ts-ignore: decorator
@inline
export function partStart(total: i32, unit: i32): i32 {
  return isDefined(THREADS) ? bound(me, total, unit) : 0;
}

/** Where it ends. */
// @ts-ignore: decorator
@inline
export function partEnd(total: i32, unit: i32): i32 {
  return isDefined(THREADS) ? bound(me + 1, total, unit) : total;
}

function bound(part: i32, total: i32, unit: i32): i32 {
  if (part == 0) return 0;
  if (part == team) return total;
  // In 64 bits: units times threads may be more than an i32 holds.
  return unit * <i32>((<i64>((total + unit - 1) / unit) * part) / team);
}

/** Whether more than one thread is at the present call. */
// @ts-ignore: decorator
@inline
export function isShared(): bool {
  return isDefined(THREADS) && team > 1;
}

/** Waits until every thread is here: all that they have written can be read behind it. */
// @ts-ignore: decorator
@inline
export function meet(): void {
  if (isShared()) meetOthers();
}

/** The words that threads share, each in a line of the cache of its own. */
const WORDS = memory.data(384, 64);
/** Number of calls so far, and the last one's kernel and arguments. */
const CALLS: usize = 0;
const KERNEL: usize = 4;
const ARGUMENTS: usize = 8;
/** Threads that are done with it. */
const DONE: usize = 64;
/** Threads that have come to a meeting, and the number of meetings so far. */
const ARRIVED: usize = 128;
const MEETINGS: usize = 192;
/** Threads that sleep and need to be woken. */
const SLEEPERS: usize = 256;
// Behind them JavaScript notes that a thread has failed: see src/threads/serve.ts.

/** Looks at a word before a thread goes to sleep. */
let looks: i32 = 0;

function waitWhile(word: usize, value: i32): void {
  for (let i = 0; i < looks; i++) {
    if (atomic.load<i32>(word) != value) return;
  }
  // Who changes the word looks for sleepers afterwards, and who sleeps looks at the word again: one of the two sees the other.
  atomic.add<i32>(WORDS + SLEEPERS, 1);
  while (atomic.load<i32>(word) == value) pause(word, value);
  atomic.sub<i32>(WORDS + SLEEPERS, 1);
}

function wake(word: usize): void {
  if (atomic.load<i32>(WORDS + SLEEPERS) > 0) atomic.notify(word, -1);
}

function meetOthers(): void {
  const meetings = atomic.load<i32>(WORDS + MEETINGS);
  if (atomic.add<i32>(WORDS + ARRIVED, 1) < team - 1) {
    waitWhile(WORDS + MEETINGS, meetings);
    return;
  }
  atomic.store<i32>(WORDS + ARRIVED, 0);
  atomic.add<i32>(WORDS + MEETINGS, 1);
  wake(WORDS + MEETINGS);
}

/** Whether there are other threads, and the present call is not shared yet. */
// @ts-ignore: decorator
@inline
export function mayShare(): bool {
  return members > 1 && team == 1;
}

/** Work for which it pays to wake sleepers, and what has gone by since they fell asleep. */
let wakingWork: f64 = 0;
let missedWork: f64 = 0;

/**
 * Whether a call of so much work is worth sharing. Where the others sleep, only if it, with those before it, would have been worth waking them:
 * so a stream with pauses between its steps does not wait for them at every step.
 */
export function isWorth(work: f64): bool {
  if (!(work >= LEAST_WORK)) return false;
  if (atomic.load<i32>(WORDS + SLEEPERS) == 0) return true;
  missedWork += work;
  if (missedWork < wakingWork) return false;
  missedWork = 0;
  return true;
}

/** Runs a kernel on all threads. */
export function share(id: i32, p: usize): void {
  store<i32>(WORDS + KERNEL, id);
  store<usize>(WORDS + ARGUMENTS, p);
  atomic.store<i32>(WORDS + DONE, 0);
  atomic.add<i32>(WORDS + CALLS, 1);
  wake(WORDS + CALLS);
  team = members;
  run(id, p);
  for (;;) {
    const done = atomic.load<i32>(WORDS + DONE);
    if (done == members - 1) break;
    waitWhile(WORDS + DONE, done);
  }
  team = 1;
}

/** Says which thread this is, and of how many; when it goes to sleep, and for how much work it wakes others. Returns where the shared words are. */
export function enlist(index: i32, count: i32, patience: i32, waking: f64): usize {
  me = index;
  members = count;
  looks = patience;
  wakingWork = waking;
  return WORDS;
}

/** The program of every thread but the first: takes part in call after call, and returns when one has no kernel (-1). */
export function serve(): void {
  let calls = 0;
  for (;;) {
    waitWhile(WORDS + CALLS, calls);
    calls = atomic.load<i32>(WORDS + CALLS);
    const id = load<i32>(WORDS + KERNEL);
    if (id < 0) return;
    team = members;
    run(id, load<usize>(WORDS + ARGUMENTS));
    team = 1;
    atomic.add<i32>(WORDS + DONE, 1);
    wake(WORDS + DONE);
  }
}
