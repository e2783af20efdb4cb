/**
 * Runs ONNX models and nothing else: a separate bundle without derivatives, for small downloads.
 *
 * It has all kernels of the main entry, and a memory separate from that entry's, so import one of the two. A tensor of one is refused by the
 * other, with an error that names both.
 *
 * @example
 * import { loadModel, tensor } from "tapeloop/onnx/inference";
 * const session = loadModel(await (await fetch("model.onnx")).arrayBuffer());
 * const { output } = session.run({ input: tensor([[1, 2, 3]]) });
 */

export { ArgumentError, DTypeError, FormatError, MemoryLimitError, ShapeError, StateError } from "../base/errors.ts";
export { zeros } from "../tensor/create.ts";
export { type HoldsTensors, heldTensors } from "../tensor/parts.ts";
export { keep, scope, type Tensor, tensor } from "../tensor/tensor.ts";
export { init, type MemoryInfo, memory, ready, setMemoryLimit } from "../wasm/host.ts";
export type { Dimension } from "./model.ts";
export { loadModel, type ModelValue, type NamedTensors, type Session } from "./session.ts";
export type { Frame, ModelStream } from "./stream.ts";
