const LONGEST = 80;

/** A value from a file as it appears in an error message: short, whatever it is. */
export function quote(value: unknown): string {
  let text: string;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = `a ${typeof value} too deep to show`;
  }
  return text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text;
}
