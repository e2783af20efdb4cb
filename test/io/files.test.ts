import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FormatError } from "../../src/base/errors.ts";
import { load, save, writeAtomic } from "../../src/io/files.ts";
import { tensor } from "../../src/tensor/tensor.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tapeloop-files-"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("writeAtomic", () => {
  it("writes and overwrites, and leaves no other file", async () => {
    const path = join(folder, "a.bin");
    await writeAtomic(path, new Uint8Array([1, 2, 3]));
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
    await writeAtomic(path, "text");
    expect(await readFile(path, "utf8")).toBe("text");
    expect(await readdir(folder)).toEqual(["a.bin"]);
    await rm(path);
  });

  it("keeps the old file whole for whoever reads while it is written", async () => {
    const path = join(folder, "b.bin");
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
    await rm(path);
  });

  it("failing, leaves neither a new file nor a temporary one", async () => {
    await expect(writeAtomic(join(folder, "missing", "a"), "x")).rejects.toThrow("ENOENT");
    const path = join(folder, "full");
    await mkdir(path);
    await writeFile(join(path, "inside"), "");
    await expect(writeAtomic(path, "x")).rejects.toThrow();
    expect(await readdir(folder)).toEqual(["full"]);
    await rm(path, { recursive: true });
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
});
