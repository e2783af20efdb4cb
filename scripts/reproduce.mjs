// Repeats results of the literature: bundles reproduce/ and runs it in this process (see reproduce/main.ts for the options).

import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { bundleForNode } from "./bundle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
// A file of its own for each run: threads load it as their turn comes, and another run must not change it under them.
const outfile = join(root, `build/reproduce-${process.pid}.mjs`);
process.on("exit", () => rmSync(outfile, { force: true }));
process.on("SIGINT", () => process.exit(130));

await bundleForNode(join(root, "reproduce/main.ts"), outfile);
process.chdir(root);
await import(pathToFileURL(outfile).href);
