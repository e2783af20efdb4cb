/**
 * Every error of the library: `op: expected …, got …`, with the argument's name and shape in the text
 * and a stable `code` for programs.
 */

/** A shape, size or rank that does not fit. */
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

/** Something used at the wrong time: a released tensor, kernels exchanged under live tensors. */
export class StateError extends Error {
  override readonly name = "StateError";
  readonly code = "ERR_STATE";
}

/** A file or byte string that is not what it should be. */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly code = "ERR_FORMAT";
}

/** An allocation that would pass the memory limit. */
export class MemoryLimitError extends RangeError {
  override readonly name = "MemoryLimitError";
  readonly code = "ERR_MEMORY_LIMIT";
}

/** Work that was given to a worker and came to nothing: it died, threw, or did not answer in time. */
export class WorkerError extends Error {
  override readonly name = "WorkerError";
  readonly code = "ERR_WORKER";
}
