/** How many bytes the parts have together. */
export function bytesIn(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, part) => sum + part.byteLength, 0);
}

/** The bytes of the parts in pieces of `size`, the last one smaller; copies one piece at a time, and none that lies in one part. */
export function* piecesOf(parts: readonly Uint8Array[], size: number): Generator<Uint8Array> {
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for (const part of parts) {
    for (let at = 0; at < part.byteLength;) {
      const slice = part.subarray(at, at + size - heldBytes);
      held.push(slice);
      at += slice.byteLength;
      heldBytes += slice.byteLength;
      if (heldBytes < size) continue;
      yield oneOf(held);
      held = [];
      heldBytes = 0;
    }
  }
  if (heldBytes > 0) yield oneOf(held);
}

/** The parts in one piece; copies only when they are several. */
export function oneOf(parts: readonly Uint8Array[]): Uint8Array {
  const [first] = parts;
  return parts.length === 1 && first !== undefined ? first : Buffer.concat(parts);
}

/**
 * Reads a stream of `length` bytes into one piece (of any length where it is null); `alive` is told of each chunk. An error
 * with the code ECONNRESET when it ends before.
 */
export async function readAll(
  stream: AsyncIterable<Uint8Array | string>,
  length: number | null,
  alive: () => void,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const whole = length === null ? null : Buffer.allocUnsafe(length);
  let at = 0;
  for await (const chunk of stream) {
    alive();
    const bytes = typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    if (whole === null) chunks.push(bytes);
    else if (at + bytes.byteLength <= whole.byteLength) whole.set(bytes, at);
    at += bytes.byteLength;
  }
  if (whole === null) return Buffer.concat(chunks);
  if (at === length) return whole;
  throw Object.assign(new Error(`The answer has ${at} of ${length} bytes`), { code: "ECONNRESET" });
}
