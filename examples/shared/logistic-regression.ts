/** Multinomial logistic regression, the first baseline of a classifier. */

import { add, argmax, backward, crossEntropy, LBFGS, Linear, mul, noGrad, scope, square, sum, type Tensor, tensor } from "tapeloop";

/** Rows of features as they are, or scaled by means and deviations of the training part. */
type Rows = readonly ArrayLike<number>[];

/** A trained regression. */
export interface LogisticRegression {
  /** Scores [C] of each row, logits. */
  scores(rows: Rows): Float32Array[];
  /** The likeliest class of each row. */
  classes(rows: Rows): number[];
}

export interface LogisticOptions {
  readonly classes: number;
  /** Factor of the sum of squared weights, divided by the number of rows (default 1, as scikit-learn's C). */
  readonly penalty?: number;
  readonly maxIter?: number;
}

/** The linear scores of standardised features that make the training classes likeliest, by L-BFGS. */
export function logisticRegression(rows: Rows, classes: readonly number[], options: LogisticOptions): LogisticRegression {
  const { classes: C, penalty = 1, maxIter = 200 } = options;
  const scaled = standardiser(rows);
  const x = scaled(rows);
  const y = tensor(Int32Array.from(classes));
  const model = new Linear(x.shape[1] as number, C);
  const optimizer = new LBFGS(model.parameters(), { maxIter, lineSearchFn: "strongWolfe", historySize: 10 });
  scope(() =>
    optimizer.step(() => {
      optimizer.zeroGrad();
      const loss = add(crossEntropy(model.forward(x), y), mul(sum(square(model.weight)), penalty / (2 * rows.length)));
      backward(loss);
      return loss;
    }),
  );
  const logits = (some: Rows) => noGrad(() => model.forward(scaled(some)));
  return {
    scores: (some) => scope(() => cut(logits(some).data() as Float32Array, C)),
    classes: (some) => scope(() => Array.from(argmax(logits(some), { axis: 1 }).data())),
  };
}

function cut(values: Float32Array, width: number): Float32Array[] {
  return Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width));
}

/** Rows as a matrix of features with mean 0 and deviation 1 in the training part; features that never change stay 0. */
function standardiser(training: Rows): (rows: Rows) => Tensor {
  const F = training[0]?.length ?? 0;
  const mean = new Float64Array(F);
  const deviation = new Float64Array(F);
  for (const row of training) for (let f = 0; f < F; f++) mean[f] = (mean[f] as number) + (row[f] as number) / training.length;
  for (const row of training) {
    for (let f = 0; f < F; f++) deviation[f] = (deviation[f] as number) + ((row[f] as number) - (mean[f] as number)) ** 2 / training.length;
  }
  return (rows) => {
    const values = new Float32Array(rows.length * F);
    rows.forEach((row, i) => {
      for (let f = 0; f < F; f++) {
        const scale = Math.sqrt(deviation[f] as number);
        values[i * F + f] = scale > 1e-9 ? ((row[f] as number) - (mean[f] as number)) / scale : 0;
      }
    });
    return tensor(values, { shape: [rows.length, F] });
  };
}
