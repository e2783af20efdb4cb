import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  // Programs of test/hosts import the package by its name.
  resolve: { alias: [{ find: /^tapeloop$/, replacement: fileURLToPath(new URL("./src/index.ts", import.meta.url)) }] },
  test: { include: ["test/**/*.test.ts"], testTimeout: 60_000, pool: "forks", execArgv: ["--expose-gc"], setupFiles: ["test/setup.ts"] },
});
