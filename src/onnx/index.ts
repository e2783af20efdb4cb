/** Models in ONNX's format. */

export { type ExportInput, type ExportOptions, exportModel } from "./export/export-model.ts";
export type { Dimension } from "./model.ts";
export { loadModel, type ModelValue, type NamedTensors, type Session } from "./session.ts";
export type { Frame, ModelStream } from "./stream.ts";
