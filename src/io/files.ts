/** Files, for hosts that have them: the one place of the library that touches node:fs. */

import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open, readdir, readFile, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { checkText } from "../base/checks.ts";
import { ArgumentError, DTypeError } from "../base/errors.ts";
import { quote } from "../base/quote.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { ByteRanges } from "./open-safetensors.ts";
import { parse, type Safetensors, serialize } from "./safetensors.ts";

/**
 * Writes a whole file or nothing: a temporary file in the same folder, flushed to disk, then renamed over the old one.
 * Whoever reads meanwhile sees the old file or the new one. A symbolic link stays, and what it leads to is written; permissions
 * of an old file are kept, and its owner where the system allows it.
 *
 * A process that is killed may leave its temporary file, `.NAME.….tmp`; the next to write the same file clears it away.
 * @throws ArgumentError for a path of a device, a pipe or a socket; errors of the file system (with their `code`) otherwise
 */
export async function writeAtomic(path: string, content: Uint8Array | string): Promise<void> {
  checkText("writeAtomic", "a path", path);
  if (typeof content !== "string" && !ArrayBuffer.isView(content)) {
    throw new DTypeError(`writeAtomic: expected bytes or text, got ${quote(content)}`);
  }
  const target = await destination(path);
  const old = await stat(target).catch(ignore("ENOENT"));
  if (old !== null && !old.isFile() && !old.isDirectory()) {
    throw new ArgumentError(`writeAtomic: expected the path of a file, got ${quote(path)}, which is a device, a pipe or a socket`);
  }
  let written = false;
  for (let attempt = 1; !written; attempt++) written = await replace(target, content, old, attempt === ATTEMPTS);
  await syncFolder(dirname(target));
}

/** How often to retry a write whose temporary file was removed by somebody else. */
const ATTEMPTS = 3;

/** What an existing file hands on to the one that takes its place. */
interface Kept {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** One attempt. @returns false when the temporary file vanished before it was renamed */
async function replace(target: string, content: Uint8Array | string, old: Kept | null, last: boolean): Promise<boolean> {
  const uptime = 1000 * process.uptime();
  const { file, temporary } = await createTemporary(target, old?.mode);
  try {
    try {
      await clearAbandoned(target, { time: (await file.stat()).mtimeMs, uptime });
      if (old !== null) await takeOver(file, old);
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, target);
    return true;
  } catch (error) {
    const vanished = (error as NodeJS.ErrnoException).code === "ENOENT";
    await rm(temporary, { force: true });
    if (vanished && !last) return false;
    throw error;
  }
}

async function takeOver(file: FileHandle, { mode, uid, gid }: Kept): Promise<void> {
  // Only the system's administrator gives files away. Changing the owner clears bits of the mode, which therefore comes after it.
  await file.chown(uid, gid).catch(() => undefined);
  await file.chmod(mode & 0o777);
}

/** Where a path leads to, over symbolic links, whether there is a file or not. */
async function destination(path: string): Promise<string> {
  const found = await realpath(path).catch(ignore("ENOENT"));
  if (found !== null) return found;
  const link = await readlink(path).catch(ignore("ENOENT", "EINVAL"));
  return link === null ? path : destination(resolve(dirname(path), link));
}

function ignore(...codes: string[]): (error: NodeJS.ErrnoException) => null {
  return (error) => {
    if (codes.includes(error.code ?? "")) return null;
    throw error;
  };
}

/** Part of a temporary file's name that is the target's: names may be as long as the file system allows. */
const NAME_PART = 48;

/** `.NAME.MACHINE-PROCESS-RANDOM.tmp` */
function temporaryPrefix(target: string): string {
  return `.${basename(target).slice(0, NAME_PART)}.`;
}

async function createTemporary(target: string, mode = 0o666): Promise<{ readonly file: FileHandle; readonly temporary: string }> {
  const owner = `${await machine()}-${process.pid}`;
  for (;;) {
    const temporary = join(dirname(target), `${temporaryPrefix(target)}${owner}-${randomBytes(8).toString("hex")}.tmp`);
    const file = await open(temporary, "wx", mode & 0o777).catch(ignore("EEXIST"));
    if (file !== null) return { file, temporary };
  }
}

let machineKnown: Promise<string> | undefined;

/** Names the numbering of processes that this one's number belongs to: those of two containers mean nothing to each other. */
function machine(): Promise<string> {
  machineKnown ??= (async () => {
    const [boot, space] = await Promise.all([
      readFile("/proc/sys/kernel/random/boot_id", "utf8").catch(() => ""),
      readlink("/proc/self/ns/pid").catch(() => ""),
    ]);
    return createHash("sha256").update([hostname(), boot, space].join("\n")).digest("hex").slice(0, 8);
  })();
  return machineKnown;
}

/** A temporary file that nobody wrote to for so long has no writer any more. */
const ABANDONED_MS = 10 * 60_000;

/** Milliseconds, at a write's beginning. */
interface Now {
  /** By the file system's own clock, which may be another machine's. */
  readonly time: number;
  /** How long this process has been running. */
  readonly uptime: number;
}

/** Removes temporary files of a target whose writers are gone; what cannot be removed stays. */
async function clearAbandoned(target: string, now: Now): Promise<void> {
  const folder = dirname(target);
  const names = await readdir(folder).catch(() => []);
  const prefix = temporaryPrefix(target);
  for (const name of names) {
    const [, place, pid] = (name.startsWith(prefix) && /^([0-9a-f]{8})-(\d+)-[0-9a-f]{16}\.tmp$/.exec(name.slice(prefix.length))) || [];
    if (place === undefined) continue;
    const path = join(folder, name);
    if (await isAbandoned(path, place, Number(pid), now)) await rm(path, { force: true }).catch(() => undefined);
  }
}

async function isAbandoned(path: string, place: string, pid: number, { time, uptime }: Now): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (found === null) return false;
  const age = time - found.mtimeMs;
  if (age > ABANDONED_MS) return true;
  if (place !== (await machine())) return false;
  // A file of this process' number that is older than this process was another's, which had the number before.
  return pid === process.pid ? age > uptime : !isRunning(pid);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Of another user's process one may only know that it is there.
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

/** Flushes the folder's list of names, so that the rename outlives a power cut. Not every system can. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r").catch(() => null);
  if (folder === null) return;
  await folder.sync().catch(() => undefined);
  await folder.close();
}

/** Anything with a state dict, or the tensors themselves. */
export type Savable = ReadonlyMap<string, Tensor> | { stateDict(): ReadonlyMap<string, Tensor> };

/**
 * Saves tensors by name as a safetensors file, atomically.
 * @throws ArgumentError, DTypeError, StateError as `serializeSafetensors` does; nothing is written then
 * @example await save("model.safetensors", model);
 */
export async function save(path: string, source: Savable, metadata?: Readonly<Record<string, string>>): Promise<void> {
  await writeAtomic(path, serialize(hasStateDict(source) ? source.stateDict() : source, metadata));
}

function hasStateDict(source: Savable): source is Exclude<Savable, ReadonlyMap<string, Tensor>> {
  return typeof (source as { stateDict?: unknown } | null)?.stateDict === "function";
}

/**
 * Loads a safetensors file.
 * @throws FormatError when the file is not whole
 * @example model.loadStateDict((await load("model.safetensors")).tensors);
 */
export async function load(path: string): Promise<Safetensors> {
  checkText("load", "a path", path);
  return parse(await readFile(path));
}

/** A file that is open until `close`. */
export interface OpenFile extends ByteRanges {
  read(begin: number, end: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/**
 * Opens a file for `openSafetensors`, which then reads what it is asked for.
 * @throws errors of the file system, with their `code`
 * @example
 * const file = await openFile("large.safetensors");
 * const weight = await (await openSafetensors(file)).tensor("decoder.weight");
 * await file.close();
 */
export async function openFile(path: string): Promise<OpenFile> {
  checkText("openFile", "a path", path);
  const handle = await open(path, "r");
  try {
    const { size } = await handle.stat();
    return { size, read: (begin, end) => readPart(handle, begin, end), close: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Fewer bytes only at the end of the file. */
async function readPart(handle: FileHandle, begin: number, end: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - begin);
  let filled = 0;
  while (filled < bytes.length) {
    const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, begin + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}
