import { expect, it } from "vitest";
import { loadModel } from "../../examples/edge-worker/model.ts";
import { beginTraining, SETTINGS, trainedModel, trainSlice } from "../../examples/edge-worker/training.ts";
import { memory } from "../../src/wasm/host.ts";
import { makeModel } from "./checks.js";

it("slices leave nothing behind but the state they carried, and that only until it is collected", async () => {
  const loaded = await loadModel(await makeModel());
  const carried = 2 * 4 * SETTINGS.batch * loaded.model.hidden;
  let checkpoint = beginTraining(loaded, "the sea and the moon ".repeat(20));
  const round = async () => {
    ({ checkpoint } = await trainSlice(loaded, checkpoint, 2));
    trainedModel(loaded, checkpoint);
    return memory().liveBytes;
  };
  const first = await round();
  for (let i = 1; i <= 8; i++) expect((await round()) - first).toBeLessThanOrEqual(2 * carried * i);
});
