/** Tensors, their memory, and the library's errors. */

export type { DType, FloatDType, TypedArray } from "../base/dtype.ts";
export { ArgumentError, DTypeError, FormatError, MemoryLimitError, ShapeError, StateError, WorkerError } from "../base/errors.ts";
export { init, type MemoryInfo, memory, ready, setMemoryLimit } from "../wasm/host.ts";
export { arange, eye, full, linspace, ones, onesLike, scalar, zeros, zerosLike } from "./create.ts";
export { dryRun, type MemoryPlan } from "./dry-run.ts";
export { type HoldsTensors, heldTensors } from "./parts.ts";
export { defaultGenerator, Generator, type GeneratorState, manualSeed } from "./random.ts";
export type { Shape } from "./shape.ts";
export { assign, bytesOf, empty, keep, type NestedArray, requireGrad, scope, Tensor, type TensorOptions, tensor } from "./tensor.ts";
