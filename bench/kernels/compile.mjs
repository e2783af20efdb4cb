// Compiles the bench-only AssemblyScript beside it, once a source and target.

import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

const OPTIONS = "-O3 --converge --noAssert --runtime stub --use abort= --enable simd --initialMemory 1024".split(" ");
const RELAXED = "--enable relaxed-simd --use RELAXED=1".split(" ");

/** bench/kernels/assembly/NAME.ts as the library's target of that name ("simd" or "relaxed"); returns the binary's path. */
export async function compileBenchKernel(name, target) {
  const source = join(root, "bench/kernels/assembly", `${name}.ts`);
  const folder = join(root, "build/bench");
  const out = join(folder, `${name}-${target}.wasm`);
  await mkdir(folder, { recursive: true });
  const modified = async (path) => (await stat(path).catch(() => ({ mtimeMs: 0 }))).mtimeMs;
  if ((await modified(out)) > (await modified(source))) return out;
  const { main: asc } = await import("assemblyscript/asc");
  const { error, stderr } = await asc([source, ...OPTIONS, ...(target === "relaxed" ? RELAXED : []), "--outFile", out]);
  if (error) throw new Error(`asc ${name} ${target}: ${stderr.toString()}`);
  return out;
}
