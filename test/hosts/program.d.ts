/** Hashes of the first steps of the fixed runs. */
export function shortRuns(): Promise<{ readonly float32: string; readonly float64: string }>;
