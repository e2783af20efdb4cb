/** What `npm run conformance` runs, bundled. */

import { kerasChecks } from "./keras-cases.ts";
import { onnxChecks } from "./onnx-cases.ts";
import { conformanceFolder } from "./runner.ts";
import { report, torchChecks } from "./torch.ts";

/** Runs every case of the folder and returns the exit code. */
export function main(root: string): number {
  try {
    const folder = conformanceFolder(root);
    console.log("NAdam is compared with PyTorch 1.13's second denominator, of which PyTorch 2 and this library have another");
    return report([...torchChecks(folder), ...onnxChecks(folder), ...kerasChecks(folder)], console.log) === 0 ? 0 : 1;
  } catch (error) {
    console.log(error instanceof Error ? error.message : String(error));
    console.log("0 passed, 1 failed");
    return 1;
  }
}
