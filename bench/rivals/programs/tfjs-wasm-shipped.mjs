// The same program for bundlers, which would drop the chained operators that tfjs-layers calls.

import "@tensorflow/tfjs-core/dist/public/chained_ops/register_all_chained_ops";
import "./tfjs-wasm.mjs";
