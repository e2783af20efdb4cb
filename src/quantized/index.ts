/**
 * Models with int8 weights, for inference where bytes count: a quarter of them.
 *
 * @example
 * import { quantize, serializeQuantized } from "tapeloop/quantized";
 * quantize(model);
 * const file = serializeQuantized(model);
 */

export { loadQuantized, type Quantization, quantize, serializeQuantized } from "./quantize.ts";
