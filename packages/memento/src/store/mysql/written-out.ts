import type { SqlValue } from "../sql/session.ts";

/** A value as the client takes it. */
type Parameter = string | number | Buffer | null;

/** A statement with a mark for each of its values. */
interface WrittenStatement {
  readonly sql: string;
  readonly values: Parameter[];
}

/**
 * The client's count of a packet is wrong by one byte, and it refuses to send, for prepared statements that have a value of
 * 65,535 bytes to 16 MB (seen in mysql2 3.24.0): longer ones go in pieces, which the server joins.
 */
const PIECE_BYTES = 65_000;

/**
 * Writes out a statement whose values are lists or long. The number of marks is always rounded up to a power of two, by the
 * list's last value or by empty pieces, so that the statements that a connection prepares are few.
 */
export function writtenOut(sql: string, values: readonly SqlValue[]): WrittenStatement {
  const flat: Parameter[] = [];
  let next = 0;
  // A list stands as `(?*)`, any other value as `?`.
  const written = sql.replaceAll(/\(\?\*\)|\?/gu, () => {
    const value = values[next++] ?? null;
    if (Array.isArray(value)) return writeList(value as readonly (string | number | readonly [string, number])[], flat);
    return writeValue(value as Exclude<SqlValue, readonly unknown[]>, flat);
  });
  return { sql: written, values: flat };
}

function writeList(list: readonly (string | number | readonly [string, number])[], flat: Parameter[]): string {
  const marks = Array.from({ length: powerOfTwo(list.length) }, (_, index) => {
    const item = list[Math.min(index, list.length - 1)] ?? null;
    if (typeof item === "object" && item !== null) {
      flat.push(...item);
      return "(?, ?)";
    }
    flat.push(item);
    return "?";
  });
  return `(${marks.join(", ")})`;
}

function writeValue(value: string | number | Uint8Array | null, flat: Parameter[]): string {
  const isText = typeof value === "string";
  if (value === null || typeof value === "number" || (isText && value.length <= PIECE_BYTES / 3)) {
    flat.push(value);
    return "?";
  }
  const bytes = isText ? Buffer.from(value, "utf8") : Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (bytes.length <= PIECE_BYTES) {
    flat.push(isText ? value : bytes);
    return "?";
  }
  const count = powerOfTwo(Math.ceil(bytes.length / PIECE_BYTES));
  for (let piece = 0; piece < count; piece++) flat.push(bytes.subarray(piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES));
  const joined = `CONCAT(${Array.from({ length: count }, () => "?").join(", ")})`;
  return isText ? `CONVERT(${joined} USING utf8mb4)` : joined;
}

const powerOfTwo = (count: number): number => 2 ** Math.ceil(Math.log2(Math.max(1, count)));
