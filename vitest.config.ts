import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const src = fileURLToPath(new URL("./src/", import.meta.url));

export default defineConfig({
  // What is written as a user writes it imports the package by its name.
  resolve: {
    alias: [
      { find: /^tapeloop$/, replacement: `${src}index.ts` },
      { find: /^tapeloop\/node$/, replacement: `${src}node.ts` },
      { find: /^tapeloop\/inference$/, replacement: `${src}inference.ts` },
      { find: /^tapeloop\/onnx\/inference$/, replacement: `${src}onnx/inference.ts` },
      { find: /^tapeloop\/([\w-]+)$/, replacement: `${src}$1/index.ts` },
    ],
  },
  test: { include: ["test/**/*.test.ts"], testTimeout: 60_000, pool: "forks", execArgv: ["--expose-gc"], setupFiles: ["test/setup.ts"] },
});
