// Runs all programs of examples/ from their stored weights and writes docs/gallery.md with its pictures.

import { loadExamples, programs, root } from "./examples.mjs";
import { readOptions } from "./options.mjs";

const USAGE = `Usage: npm run gallery   runs all programs of examples/ from their stored weights and writes docs/gallery.md

  --help   shows this text
`;
readOptions("gallery", USAGE);

const names = await programs();
const { gallery, loaders } = await loadExamples(names);
process.exit((await gallery(root, names, (name) => loaders[name]())) ? 0 : 1);
