// Numbers as text: JSON has no NaN, no infinity and no −0, and every bit counts here.

export function encode(numbers) {
  return Buffer.from(Float64Array.from(numbers).buffer).toString("base64");
}

export function decode(text) {
  const bytes = Buffer.from(text, "base64");
  return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}
