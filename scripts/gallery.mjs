// Runs all programs of examples/ from their stored weights and writes docs/gallery.md with its pictures: npm run gallery

import { loadExamples, programs, root } from "./examples.mjs";

const names = await programs();
const { gallery, loaders } = await loadExamples(names);
process.exit((await gallery(root, names, (name) => loaders[name]())) ? 0 : 1);
