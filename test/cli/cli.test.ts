import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { firstSentence } from "../../src/cli/train.ts";
import { serialize } from "../../src/io/safetensors.ts";
import { decodeModel } from "../../src/models/char-model.ts";
import { tensor } from "../../src/tensor/tensor.ts";
import { unsealedParts } from "../unsealed.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = join(root, "build", "test-cli");
const cli = join(folder, "cli.js");
const path = (name: string) => join(folder, name);

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(args: readonly string[], onOutput: (out: string, child: ChildProcess) => void = () => {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [cli, ...args], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    let [out, err] = ["", ""];
    child.stdout.on("data", (data) => {
      out += data;
      onOutput(out, child);
    });
    child.stderr.on("data", (data) => {
      err += data;
    });
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, out, err }));
  });
}

const words = ["whale", "sea", "the", "captain", "of", "and", "a", "ship.\n"];

/** A language of few words: quickly learned. */
function text(length: number, seed = 1): string {
  let s = seed;
  let written = "";
  while (written.length < length) {
    s = (Math.imul(s, 1103515245) + 12345) >>> 0;
    written += `${words[(s >>> 16) % words.length]} `;
  }
  return written.slice(0, length);
}

beforeAll(async () => {
  await rm(folder, { recursive: true, force: true });
  await mkdir(path("folder"), { recursive: true });
  await build({
    entryPoints: [join(root, "src/cli/main.ts")],
    outfile: cli,
    bundle: true,
    format: "esm",
    platform: "node",
    target: "es2022",
    logLevel: "warning",
  });
  await writeFile(path("package.json"), '{"type":"module"}');
  await writeFile(path("book.txt"), text(9000));
  await writeFile(path("other.txt"), text(9000, 2));
  await writeFile(path("short.txt"), text(500));
  await writeFile(path("empty.txt"), "");
  await writeFile(path("blank.txt"), " \n\n \t");
  await writeFile(path("nul.bin"), `${text(9000)}\0`);
  await writeFile(path("latin1.txt"), Buffer.from("caf\u00e9 ".repeat(2000), "latin1"));
  await writeFile(path("garbage.safetensors"), "this is no model");
  await writeFile(path("other.safetensors"), serialize(new Map([["w", tensor([1])]])));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("a mistake is told in one line, with exit code 2", () => {
  const cases: [string, string[], RegExp][] = [
    ["an unknown option", ["--sped", "3"], /Unknown option '--sped'/],
    ["an unknown command", ["trian"], /trian/],
    ["an option without its value", ["--text"], /--text/],
    ["a value for a flag", ["--resume=yes"], /--resume/],
    ["steps that are no number", ["--steps", "many"], /--steps: expected a whole number from 1 to 1000000000, got "many"/],
    ["no steps", ["--steps", "0"], /--steps/],
    ["half a unit", ["--hidden", "1.5"], /--hidden/],
    ["an empty number", ["--seed", ""], /--seed/],
    ["a missing file", ["--text", "missing.txt"], /missing\.txt: there is no such file/],
    ["a folder as text", ["--text", "folder"], /folder: it is a folder/],
    ["an empty file", ["--text", "empty.txt"], /empty\.txt: expected text, got an empty file/],
    ["a blank file", ["--text", "blank.txt"], /blank\.txt: expected text, got an empty file/],
    ["a file with zero bytes", ["--text", "nul.bin"], /nul\.bin: expected a text file, got a binary one/],
    ["a file that is no UTF-8", ["--text", "latin1.txt"], /latin1\.txt: expected a text file in UTF-8/],
    ["a text too short", ["--text", "short.txt"], /short\.txt: expected a text of at least [\d,]+ characters, got 500/],
    ["an output folder that is a file", ["--text", "book.txt", "--out", "book.txt"], /book\.txt: it is not a folder/],
    ["no checkpoint to resume", ["--resume", "--out", "nothing"], /checkpoint\.safetensors: there is no such file/],
    ["an empty prompt", ["--text", "book.txt", "--prompt", ""], /--prompt: expected at least one character/],
    ["an option of the other command", ["generate", "--steps", "3"], /Unknown option '--steps'/],
    ["no model", ["generate", "--model", "missing.safetensors"], /missing\.safetensors: there is no such file/],
    ["a model that is none", ["generate", "--model", "garbage.safetensors"], /garbage\.safetensors: safetensors: expected/],
    ["a file of other tensors", ["generate", "--model", "other.safetensors"], /other\.safetensors: model: expected format/],
    ["info without a file", ["info"], /info: expected FILE, got none/],
    ["info of a file that is not there", ["info", "missing.pt"], /missing\.pt: there is no such file/],
    ["info of a folder", ["info", "folder"], /folder: it is a folder/],
    ["info of garbage", ["info", "garbage.safetensors"], /garbage\.safetensors: safetensors: expected/],
    [
      "convert to a format that is not written",
      ["convert", "other.safetensors", "x.pt"],
      /x\.pt: expected a name that ends in \.safetensors/,
    ],
    ["check with one file", ["check", "other.safetensors"], /check: expected FILE and OTHER, got other\.safetensors/],
    ["a tolerance that is no number", ["check", "a", "b", "--tolerance", "x"], /--tolerance: expected a number/],
    ["a temperature below zero", ["generate", "--temperature", "-1"], /--temperature/],
  ];
  it.each(cases)("%s", async (_, args, message) => {
    const { code, out, err } = await start(args);
    expect(err).toMatch(message);
    expect(err).toMatch(/^tapeloop: [^\n]+\n$/);
    expect(out).toBe("");
    expect(code).toBe(2);
  });

  it("help is no mistake", async () => {
    for (const args of [["--help"], ["generate", "--help"], ["train", "--help"], ["info", "--help"], ["check", "--help"]]) {
      expect(await start(args)).toMatchObject({ code: 0, err: "", out: expect.stringContaining("--resume") });
    }
  });
});

const small = ["--text", "book.txt", "--hidden", "16", "--prompt", "the captain"];

describe("the sentence that a sample begins with", () => {
  it("is the first whole one, on one line; else the last line", () => {
    expect(firstSentence("of it all. The white whale swam\nbefore him. He saw it.")).toBe("The white whale swam before him.");
    expect(firstSentence("no sentence\nonly words here\n")).toBe("only words here");
    expect(firstSentence(" \n ")).toBe("");
  });
});

describe("a small run", () => {
  it("learns, compares, draws, saves, and goes on in a new process", async () => {
    const { code, out, err } = await start([...small, "--steps", "400", "--out", "small"]);
    expect(err).toBe("");
    expect(code).toBe(0);
    const bits = (name: string) => Number(new RegExp(`${name}.* (\\d+\\.\\d+)\\n`).exec(out)?.[1]);
    expect(bits("interpolated trigram")).toBeLessThan(bits("unigram"));
    // The words are drawn at random, 3 bits each: no model can know more, and the trigram knows nearly all.
    const entropy = (3 * 8) / words.join(" ").concat(" ").length;
    expect(bits("interpolated trigram")).toBeGreaterThan(entropy);
    expect(bits("LSTM, 16 units")).toBeGreaterThan(entropy);
    expect(bits("LSTM, 16 units")).toBeLessThan(bits("unigram") / 2);
    for (const control of ["\r", "\x1b"]) expect(out).not.toContain(control);
    expect(out).toContain("LSTM of 16 units.\n400 steps.\n");
    expect(out).toMatch(/A sentence that it has not seen, and what it makes of it:\n[^\n]{10,} …\n… \S/);
    const [, written = ""] = out.split("goes on from the prompt:\n");
    expect(written).toMatch(/^the captain[\s\S]{300}\n$/);
    expect((await readdir(path("small"))).sort()).toEqual(["checkpoint.safetensors", "loss.svg", "model.safetensors"]);
    expect(await readFile(path("small/loss.svg"), "utf8")).toMatch(/^<svg [\s\S]*unigram[\s\S]*<\/svg>\n$/);
    const { model, vocabulary } = decodeModel(await readFile(path("small/model.safetensors")));
    expect(model.hidden).toBe(16);
    expect(vocabulary.decode(vocabulary.encode("whale"))).toBe("whale");
  });

  it("generates the same text from the same seed, another from another, the likeliest at temperature 0", async () => {
    const args = (seed: number, temperature: number) => [
      "generate",
      "--model",
      "small/model.safetensors",
      "--prompt",
      "the sea",
      "--length",
      "80",
      "--seed",
      String(seed),
      "--temperature",
      String(temperature),
    ];
    const run = async (seed: number, temperature: number) => {
      const { code, out } = await start(args(seed, temperature));
      expect(code).toBe(0);
      expect(out).toMatch(/^the sea[\s\S]{80}\n$/);
      return out;
    };
    expect(await run(1, 1)).toBe(await run(1, 1));
    expect(await run(1, 1)).not.toBe(await run(2, 1));
    expect(await run(1, 0)).toBe(await run(2, 0));
  });

  it("a truncated model file is told in one line", async () => {
    const bytes = await readFile(path("small/model.safetensors"));
    for (const length of [0, 7, 100, bytes.length >> 1, bytes.length - 1]) {
      await writeFile(path("cut.safetensors"), bytes.subarray(0, length));
      const { code, err } = await start(["generate", "--model", "cut.safetensors"]);
      expect(err).toMatch(/^tapeloop: cut\.safetensors: safetensors: expected [^\n]+\n$/);
      expect(code).toBe(2);
    }
  });
});

describe("interrupted and resumed", () => {
  it("ends with the very bytes of an uninterrupted run", async () => {
    const args = [...small, "--steps", "200"];
    const whole = await start([...args, "--out", "whole"]);
    expect(whole.code).toBe(0);

    const first = await start([...args, "--out", "parts"], (out, child) => {
      if (out.includes("step 20:") && !child.killed) child.kill("SIGINT");
    });
    expect(first.err).toBe("");
    expect(first.code).toBe(130);
    expect(first.out).toMatch(/Stopped at step \d+ of 200\. Go on with: npm start -- --resume --out parts\n$/);
    expect(await readdir(path("parts"))).toEqual(["checkpoint.safetensors"]);

    const wrong: [string[], RegExp][] = [
      [["--hidden", "17"], /--resume: expected --hidden 16 as in the checkpoint, got 17/],
      [["--seed", "3"], /--resume: expected --seed 1/],
      [["--text", "other.txt"], /--resume: expected the text the checkpoint was trained on, got another/],
    ];
    for (const [extra, message] of wrong) {
      const { code, err } = await start(["--resume", "--out", "parts", ...extra]);
      expect(err).toMatch(message);
      expect(code).toBe(2);
    }

    const second = await start(["--resume", "--out", "parts", "--prompt", "the captain"]);
    expect(second.err).toBe("");
    expect(second.code).toBe(0);
    expect(second.out).toMatch(/from step \d+\./);
    for (const name of ["model.safetensors", "checkpoint.safetensors", "loss.svg"]) {
      expect((await readFile(path(`parts/${name}`))).equals(await readFile(path(`whole/${name}`))), name).toBe(true);
    }
    const ending = (out: string) => out.slice(out.indexOf("Bits per character")).replaceAll("parts", "whole");
    expect(ending(second.out)).toBe(ending(whole.out));
  });

  it("a damaged or foreign checkpoint is told in one line", async () => {
    const bytes = await readFile(path("parts/checkpoint.safetensors"));
    await mkdir(path("damaged"), { recursive: true });
    const { tensors, metadata } = unsealedParts(bytes);
    const changed = (from: RegExp, to: string) =>
      serialize(tensors, Object.fromEntries(Object.entries(metadata).map(([key, value]) => [key, value.replace(from, to)])));
    const contents = [
      bytes.subarray(0, bytes.length - 5),
      await readFile(path("other.safetensors")),
      changed(/"hidden":\d+/, '"hidden":100000000'),
      changed(/"text":"[^"]*"/, '"text":5'),
      changed(/"validBits":\[/, '"validBits":[1,'),
      changed(/"bits":\[/, '"bits":["x",'),
    ];
    for (const content of contents) {
      await writeFile(path("damaged/checkpoint.safetensors"), content);
      const { code, err } = await start(["--resume", "--out", "damaged"]);
      expect(err).toMatch(/^tapeloop: damaged\/checkpoint\.safetensors: [^\n]+\n$/);
      expect(code).toBe(2);
    }
  });
});
