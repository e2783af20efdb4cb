/** The hash of a model file with int8 weights and of that model's outputs. */
export function int8Run(): Promise<string>;
/** Hashes of the first steps of the fixed runs. */
export function shortRuns(): Promise<{ readonly float32: string; readonly float64: string }>;
