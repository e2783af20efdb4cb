/** Models in files, for Node, Deno and Bun: the one entry that touches the file system. */

export { load, type Savable, save, writeAtomic } from "./io/files.ts";
