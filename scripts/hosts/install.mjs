// Fills the hosts' own folder, and folders in which the package is installed as its users have it.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { place, root, run } from "./common.mjs";

function npm(args, cwd) {
  return run("npm", [...args, "--no-audit", "--no-fund", "--loglevel=error"], { cwd });
}

/** The hosts, from npm; installed again only when the list of hosts has changed. */
export async function installHosts() {
  await mkdir(place, { recursive: true });
  const manifest = await readFile(join(root, "test/hosts/tools.json"), "utf8");
  const stamp = join(place, "installed.json");
  if ((await readFile(stamp, "utf8").catch(() => "")) === manifest) return;
  await writeFile(join(place, "package.json"), manifest);
  try {
    npm(["install", "--ignore-scripts"], place);
    await writeFile(stamp, manifest);
  } catch (error) {
    console.log(`hosts from npm: not installed\n${error.message}`);
  }
}

/** Builds and packs the package and installs the tarball into an empty folder. */
export async function installPackage(folder) {
  run(process.execPath, [join(root, "scripts/build.mjs")]);
  const [{ filename }] = JSON.parse(npm(["pack", "--json", "--pack-destination", place], root));
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "package.json"), JSON.stringify({ name: "app", private: true, type: "module" }));
  npm(["install", "--offline", join(place, filename)], folder);
}
