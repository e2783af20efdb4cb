/** A disk in memory, in place of `node:fs/promises`. */

export const files = new Map<string, Uint8Array | string>();

export async function readFile(name: string): Promise<Uint8Array | string> {
  const found = files.get(name);
  if (found === undefined) throw new Error(`expected a file of ${[...files.keys()].join(", ")}, got ${name}`);
  return found;
}

export async function writeFile(name: string, data: Uint8Array | string): Promise<void> {
  files.set(name, data);
}
