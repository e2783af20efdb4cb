/** All programs from their stored weights, on one page. */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { storedWeights, tableOf, writePictures } from "./command.ts";
import type { Result, Run } from "./example.ts";

const INTRODUCTION = `# Gallery

What recurrent networks are used for, as programs that run. \`npm run gallery\` writes this page from the stored weights, with one seed and the data
that each program brings along; \`npm run example -- NN-name --seeds 0..2\` trains again. Baselines are computed in the same run. The programs'
own pages say what the figures mean and what they do not.
`;

const isPicture = (name: string): boolean => /\.(svg|png)$/.test(name);

/** A README's heading and first paragraph. */
function openingOf(readme: string): { title: string; text: string } {
  const [heading = "", paragraph = ""] = readme.split(/\n\n/);
  return { title: heading.replace(/^# /, ""), text: paragraph };
}

function sectionOf(name: string, folder: string, result: Result): string {
  const { title, text } = openingOf(readFileSync(join(folder, "README.md"), "utf8"));
  const gates = result.gates.map(({ what, passed }) => `- ${passed ? "passed" : "**lost**"}: ${what}`);
  const files = Object.keys(result.pictures).map((file) => {
    const path = `pictures/gallery/${name}/${file}`;
    return isPicture(file) ? `![${title}: ${file}](${path})` : `[${file}](${path})`;
  });
  const parts = [
    `## [${title}](../examples/${name}/README.md)`,
    text,
    tableOf([result]),
    gates.join("\n"),
    `Data: ${result.data}`,
    ...files,
  ];
  return parts.join("\n\n");
}

/** Runs all programs and writes the page. @returns whether all models passed their gates */
export async function gallery(root: string, names: readonly string[], load: (name: string) => Promise<{ run: Run }>): Promise<boolean> {
  const sections: string[] = [];
  let passed = true;
  for (const name of names) {
    const folder = join(root, "examples", name);
    const { run } = await load(name);
    const start = performance.now();
    const result = await run({ load: storedWeights(folder) });
    console.log(`${name}: ${result.passed ? "passed" : "LOST"}, ${((performance.now() - start) / 1000).toFixed(1)} s`);
    writePictures(result, join(root, "docs/pictures/gallery", name));
    sections.push(sectionOf(name, folder, result));
    passed &&= result.passed;
  }
  writeFileSync(join(root, "docs/gallery.md"), `${[INTRODUCTION.trimEnd(), ...sections].join("\n\n")}\n`);
  return passed;
}
