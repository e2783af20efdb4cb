/**
 * Every primitive there is, by name: value, vjp and jvp of each are one object of type `Primitive`, so none can lack a rule.
 *
 * Written by scripts/operations.mjs (`npm run build:kernels`) from the lists at the ends of this folder's files.
 */

import { accumulateOp } from "../autodiff/accumulate.ts";
import { aliasOp } from "../autodiff/alias.ts";
import type { Primitive } from "../autodiff/primitive.ts";
import { primitives as arithmetic } from "./arithmetic.ts";
import { primitives as binaryCrossEntropy } from "./binary-cross-entropy.ts";
import { primitives as broadcast } from "./broadcast.ts";
import { primitives as cast } from "./cast.ts";
import { primitives as compare } from "./compare.ts";
import { primitives as conv } from "./conv.ts";
import { primitives as ctc } from "./ctc.ts";
import { primitives as gather } from "./gather.ts";
import { primitives as linear } from "./linear.ts";
import { primitives as links } from "./links.ts";
import { primitives as math } from "./math.ts";
import { primitives as normalize } from "./normalize.ts";
import { primitives as ordered } from "./ordered.ts";
import { primitives as prefixScan } from "./prefix-scan.ts";
import { primitives as recurrent } from "./recurrent.ts";
import { primitives as reduce } from "./reduce.ts";
import { primitives as rows } from "./rows.ts";
import { primitives as shape } from "./shape.ts";
import { primitives as softmax } from "./softmax.ts";
import { primitives as sparse } from "./sparse.ts";
import { primitives as squaredError } from "./squared-error.ts";

export const primitives: Readonly<Record<string, Primitive<never>>> = {
  accumulate: accumulateOp,
  alias: aliasOp,
  ...arithmetic,
  ...binaryCrossEntropy,
  ...broadcast,
  ...cast,
  ...compare,
  ...conv,
  ...ctc,
  ...gather,
  ...linear,
  ...links,
  ...math,
  ...normalize,
  ...ordered,
  ...prefixScan,
  ...recurrent,
  ...reduce,
  ...rows,
  ...shape,
  ...softmax,
  ...sparse,
  ...squaredError,
};
