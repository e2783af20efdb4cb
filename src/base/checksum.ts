/** A checksum of stored bytes: not against forgery, but against damage. */

/** The 32-bit FNV-1a hash of bytes in one or more parts. Any change of a single byte changes it. */
export function checksum(...parts: readonly Uint8Array[]): number {
  let hash = 0x811c9dc5;
  for (const part of parts) for (const b of part) hash = Math.imul(hash ^ b, 0x01000193);
  return hash >>> 0;
}
