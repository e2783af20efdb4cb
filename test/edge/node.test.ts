import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, it } from "vitest";
import { localHandler } from "../../examples/edge-worker/local.ts";
import { serve } from "../../examples/edge-worker/node.ts";
import { checksOf, makeModel, type RunningService } from "./checks.js";

const folder = await mkdtemp(join(tmpdir(), "edge-"));
const [model, data] = [join(folder, "model.safetensors"), join(folder, "data")];
const file = await makeModel();
await writeFile(model, file);

async function start(): Promise<Server> {
  const fresh = serve(localHandler({ model, data }));
  await new Promise<void>((resolve) => {
    fresh.listen(0, "127.0.0.1", resolve);
  });
  return fresh;
}

async function stop(old: Server): Promise<void> {
  old.closeAllConnections();
  await new Promise((resolve) => {
    old.close(resolve);
  });
}

let server = await start();
afterAll(async () => {
  await stop(server);
  await rm(folder, { recursive: true });
});

const host: RunningService = {
  kills: false,
  answersAll: true,
  address: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
  async restart() {
    await stop(server);
    server = await start();
  },
  async damage(user, name) {
    const path = join(data, user, name);
    const bytes = await readFile(path);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    await writeFile(path, bytes);
  },
  setModel: (bytes) => writeFile(model, bytes),
};

describe("the edge service on Node's http", () => {
  for (const [name, check] of Object.entries(checksOf(host, file))) it(name, check);
});
