/** tapeloop: recurrent networks on their own tensor engine. Each family is also a subpath of the package. */

export * from "./autodiff/index.ts";
export * from "./data/index.ts";
export * from "./interop/index.ts";
export * from "./io/index.ts";
export * from "./metrics/index.ts";
export * from "./nn/index.ts";
export * from "./ops/index.ts";
export * from "./optim/index.ts";
export * from "./plot/index.ts";
export * from "./recurrence/index.ts";
export * from "./tensor/index.ts";
export * from "./train/index.ts";
export * from "./transforms/index.ts";
