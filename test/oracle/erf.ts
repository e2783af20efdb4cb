/** The error function to about 52 bits: near 0 by its Taylor series, beyond by Laplace's continued fraction of its complement. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (!(a > 0)) return x;
  return Math.sign(x) * (a < 1 ? series(a) : 1 - complement(a));
}

/** 2/√π · Σ (-1)^k x^(2k+1) / (k!·(2k+1)), smallest terms first. */
function series(a: number): number {
  const terms: number[] = [];
  let power = a;
  for (let k = 0; k < 24; k++) {
    terms.push(power / (2 * k + 1));
    power *= (-a * a) / (k + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * terms.reduceRight((sum, term) => sum + term, 0);
}

/** e^-x²/√π · 1/(x + ½/(x + 1/(x + 3/2/(x + …)))). */
function complement(a: number): number {
  let tail = a;
  for (let k = 400; k >= 1; k--) tail = a + k / 2 / tail;
  return Math.exp(-a * a) / (Math.sqrt(Math.PI) * tail);
}
