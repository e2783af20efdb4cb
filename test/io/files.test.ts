import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ArgumentError, DTypeError, FormatError } from "../../src/base/errors.ts";
import { load, save, writeAtomic } from "../../src/io/files.ts";
import { type Tensor, tensor } from "../../src/tensor/tensor.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tapeloop-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** An empty folder of its own. */
async function place(name: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(path);
  return path;
}

describe("writeAtomic", () => {
  it("writes and overwrites, and leaves no other file", async () => {
    const here = await place("plain");
    const path = join(here, "a.bin");
    await writeAtomic(path, new Uint8Array([1, 2, 3]));
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
    await writeAtomic(path, "text");
    expect(await readFile(path, "utf8")).toBe("text");
    expect(await readdir(here)).toEqual(["a.bin"]);
  });

  it("keeps the old file whole for whoever reads while it is written", async () => {
    const path = join(await place("read"), "b.bin");
    const size = 1 << 20;
    await writeAtomic(path, new Uint8Array(size).fill(1));
    const writes = (async () => {
      for (let value = 2; value < 12; value++) await writeAtomic(path, new Uint8Array(size).fill(value));
    })();
    let done = false;
    void writes.then(() => {
      done = true;
    });
    while (!done) {
      const seen = await readFile(path);
      expect(seen.length).toBe(size);
      expect(seen.every((b) => b === seen[0])).toBe(true);
    }
    await writes;
  });

  it("failing, leaves neither a new file nor a temporary one", async () => {
    const here = await place("failing");
    await expect(writeAtomic(join(here, "missing", "a"), "x")).rejects.toThrow("ENOENT");
    const path = join(here, "full");
    await mkdir(path);
    await writeFile(join(path, "inside"), "");
    await expect(writeAtomic(path, "x")).rejects.toMatchObject({ code: "EISDIR" });
    await expect(writeAtomic(join(here, "n"), 5 as unknown as string)).rejects.toThrow();
    expect(await readdir(here)).toEqual(["full"]);
  });

  it.skipIf(process.getuid?.() === 0)("in a folder that cannot be written, says so", async () => {
    const here = await place("read-only");
    await chmod(here, 0o500);
    await expect(writeAtomic(join(here, "a"), "x")).rejects.toMatchObject({ code: "EACCES" });
    await chmod(here, 0o700);
  });

  it("takes several writers at once: each succeeds, the file is one of theirs", async () => {
    const here = await place("several");
    const path = join(here, "a");
    await Promise.all(Array.from({ length: 12 }, (_, i) => writeAtomic(path, String.fromCharCode(97 + i).repeat(100_000))));
    const text = await readFile(path, "utf8");
    expect(text).toBe((text[0] as string).repeat(100_000));
    expect(await readdir(here)).toEqual(["a"]);
  });

  it("keeps the permissions of the old file; a new one's are the system's", async () => {
    const path = join(await place("modes"), "a");
    await writeAtomic(path, "old");
    expect((await stat(path)).mode & 0o777).toBe(0o666 & ~process.umask());
    for (const mode of [0o600, 0o640, 0o755, 0o444]) {
      await chmod(path, mode);
      await writeAtomic(path, `${mode}`);
      expect((await stat(path)).mode & 0o777).toBe(mode);
      expect(await readFile(path, "utf8")).toBe(`${mode}`);
    }
  });

  it("writes through symbolic links, also where they lead to nothing yet", async () => {
    const here = await place("links");
    await mkdir(join(here, "data"));
    for (const [name, target] of [
      ["link", "data/real"],
      ["chain", "link"],
      ["absolute", join(here, "data", "other")],
    ] as const) {
      await symlink(target, join(here, name));
      await writeAtomic(join(here, name), name);
      expect((await lstat(join(here, name))).isSymbolicLink()).toBe(true);
      expect(await readFile(join(here, name), "utf8")).toBe(name);
    }
    expect((await readdir(join(here, "data"))).sort()).toEqual(["other", "real"]);
    await symlink("round", join(here, "round"));
    await expect(writeAtomic(join(here, "round"), "x")).rejects.toMatchObject({ code: "ELOOP" });
  });

  it("does not put a file in the place of a socket, as it would of a device", async () => {
    const path = join(await place("socket"), "s");
    const server = createServer().listen(path);
    await once(server, "listening");
    await expect(writeAtomic(path, "x")).rejects.toThrow(ArgumentError);
    expect((await stat(path)).isSocket()).toBe(true);
    server.close();
  });

  it("takes names as long as the file system does", async () => {
    const here = await place("long");
    const name = `${"n".repeat(240)}.safetensors`.slice(-255);
    await writeAtomic(join(here, name), "x");
    await writeAtomic(join(here, "\u00e9".repeat(120)), "x");
    expect((await readdir(here)).length).toBe(2);
  });

  it("begins anew when its temporary file is taken away", async () => {
    const here = await place("taken");
    const path = join(here, "a");
    const writing = writeAtomic(path, new Uint8Array(64e6).fill(7));
    let taken: string | undefined;
    while (taken === undefined) taken = (await readdir(here)).find((name) => name.endsWith(".tmp"));
    await rm(join(here, taken), { force: true });
    await writing;
    expect((await stat(path)).size).toBe(64e6);
    expect(await readdir(here)).toEqual(["a"]);
  });
});

/** Processes that write the file over and over, or once, as a process of some number. */
const WRITER = `
import { writeAtomic } from ${JSON.stringify(fileURLToPath(new URL("../../src/io/files.ts", import.meta.url)))};
const [path, times, pid] = process.argv.slice(2);
if (pid) Object.defineProperty(process, "pid", { value: Number(pid) });
process.stdout.write("ready");
for (let i = 0; i < Number(times); i++) await writeAtomic(path, new Uint8Array(4e6).fill(i % 256));
`;

describe("a writer that is killed", () => {
  const kills = Number(process.env.TAPELOOP_FUZZ ?? 0) > 0 ? 200 : 8;
  vi.setConfig({ testTimeout: 600_000 });
  let script: string;
  beforeAll(async () => {
    script = join(folder, "writer.mjs");
    const source = { contents: WRITER, resolveDir: folder, loader: "ts" } as const;
    await build({ stdin: source, outfile: script, bundle: true, format: "esm", platform: "node", target: "es2022", logLevel: "warning" });
  });

  /** Kills writers in the midst of it. */
  async function kill(path: string, pid: string): Promise<void> {
    for (let i = 0; i < kills; i++) {
      const child = spawn(process.execPath, [script, path, "1000000", pid], { stdio: ["ignore", "pipe", "inherit"] });
      await once(child.stdout, "data");
      await new Promise((resolve) => setTimeout(resolve, 5 + ((i * 37) % 60)));
      child.kill("SIGKILL");
      await once(child, "close");
    }
  }

  async function writeOnce(path: string, pid: string): Promise<void> {
    const child = spawn(process.execPath, [script, path, "1", pid], { stdio: ["ignore", "ignore", "inherit"] });
    const [code] = await once(child, "close");
    expect(code).toBe(0);
  }

  it("leaves nothing that the next one does not clear away, and the file is whole", async () => {
    const here = await place("killed");
    const path = join(here, "a.bin");
    await writeAtomic(path, new Uint8Array(4e6).fill(3));
    await kill(path, "");
    const seen = await readFile(path);
    expect(seen.length).toBe(4e6);
    expect(seen.every((b) => b === seen[0])).toBe(true);
    await writeAtomic(path, "after");
    expect(await readdir(here)).toEqual(["a.bin"]);
  });

  it("is cleared away by one of the same number too, as where every process is number 1", async () => {
    const here = await place("number-1");
    const path = join(here, "a.bin");
    await kill(path, "1");
    await writeOnce(path, "1");
    expect(await readdir(here)).toEqual(["a.bin"]);
  });

  it("of another machine is given time; what is no such file stays", async () => {
    const here = await place("elsewhere");
    const others = [".a.0000000f-1-0123456789abcdef.tmp", ".a.notes.tmp", ".b.0000000f-1-0123456789abcdef.tmp", "a.tmp", ".a.1-2.tmp"];
    for (const name of others) await writeFile(join(here, name), "");
    await writeAtomic(join(here, "a"), "x");
    expect((await readdir(here)).sort()).toEqual([...others, "a"].sort());
    const before = new Date(Date.now() - 11 * 60_000);
    for (const name of others) await utimes(join(here, name), before, before);
    await writeAtomic(join(here, "a"), "y");
    expect((await readdir(here)).sort()).toEqual([...others.slice(1), "a"].sort());
  });
});

describe("save and load", () => {
  it("go round for maps and for what has a state dict", async () => {
    const path = join(folder, "w.safetensors");
    const weights = new Map([["w", tensor([[1, 2]])]]);
    await save(path, { stateDict: () => weights }, { note: "n" });
    const { tensors, metadata } = await load(path);
    expect(tensors.get("w")?.toArray()).toEqual([[1, 2]]);
    expect(metadata.note).toBe("n");
    await save(path, weights);
    expect((await load(path)).tensors.size).toBe(1);
    await writeFile(path, "no tensors");
    await expect(load(path)).rejects.toThrow(FormatError);
    await rm(path);
  });

  it("of anything else is a typed error, and nothing is written", async () => {
    const path = join(folder, "none.safetensors");
    for (const source of [null, undefined, { w: tensor([1]) }, [tensor([1])], "w"]) {
      await expect(save(path, source as unknown as Map<string, Tensor>)).rejects.toThrow(DTypeError);
    }
    await expect(stat(path)).rejects.toMatchObject({ code: "ENOENT" });
  });
});
