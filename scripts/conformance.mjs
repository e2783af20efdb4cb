// Compares the library with the reference values in CONFORMANCE_DIR; ends with `N passed, N failed`.

import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { bundleForNode } from "./bundle.mjs";
import { readOptions } from "./options.mjs";

const USAGE = `Usage: npm run conformance   compares the library with the reference values in the folder CONFORMANCE_DIR

Ends with "N passed, N failed".
`;
readOptions("conformance", USAGE);

const root = fileURLToPath(new URL("..", import.meta.url));
const outfile = join(root, "build/conformance.mjs");

await bundleForNode(join(root, "test/conformance/main.ts"), outfile);
const { main } = await import(pathToFileURL(outfile).href);
process.exit(main(root));
