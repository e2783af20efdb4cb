/**
 * Every error of the library: `op: expected …, got …`, with the argument's name and shape in the text
 * and a stable `code` for programs.
 */

/** A wrong shape, size or rank. */
export class ShapeError extends RangeError {
  override readonly name = "ShapeError";
  readonly code = "ERR_SHAPE";
}

/** A tensor of the wrong element type, or a value of the wrong kind. */
export class DTypeError extends TypeError {
  override readonly name = "DTypeError";
  readonly code = "ERR_DTYPE";
}

/** An option, index or value out of its range. */
export class ArgumentError extends RangeError {
  override readonly name = "ArgumentError";
  readonly code = "ERR_ARGUMENT";
}

/** Something used at the wrong time: a released tensor, kernels replaced while tensors live. */
export class StateError extends Error {
  override readonly name = "StateError";
  readonly code = "ERR_STATE";
}

/** A damaged file or byte string, or one of another format. */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly code = "ERR_FORMAT";
}

/** An allocation that would exceed the memory limit. */
export class MemoryLimitError extends RangeError {
  override readonly name = "MemoryLimitError";
  readonly code = "ERR_MEMORY_LIMIT";
}

/** A worker failed: it died, threw, or did not answer in time. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly code = "ERR_WORKER";
}
