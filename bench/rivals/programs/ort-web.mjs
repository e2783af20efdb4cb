// The smallest LSTM inference with onnxruntime-web.

import * as ort from "onnxruntime-web/wasm";
import { infer } from "./ort.mjs";

ort.env.wasm.numThreads = 1;
await infer(ort);
