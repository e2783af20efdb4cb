// The smallest LSTM inference with onnxruntime-node.

import * as ort from "onnxruntime-node";
import { infer } from "./ort.mjs";

await infer(ort);
