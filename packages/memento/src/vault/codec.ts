import { MementoError } from "../core/errors.ts";
import { escapePlain } from "./escape-value.ts";
import { unescapeValue } from "./unescape-value.ts";

/** How a piece's bytes are to be read: JSON text, JSON text with tagged values inside, or raw bytes. */
export type PieceEncoding = "json" | "tagged" | "bytes";

/** An encoded value. */
export interface EncodedValue {
  readonly encoding: PieceEncoding;
  readonly bytes: Uint8Array;
}

/** A value as it was at one moment; nothing that happens to the value later changes it. */
export type Snapshot =
  | {
      readonly encoding: "json" | "tagged";
      readonly text: string;
      readonly size: number;
      /** What is left to check of a large value. */
      readonly check: (() => void) | null;
    }
  | { readonly encoding: "bytes"; readonly bytes: Uint8Array; readonly size: number };

/**
 * Captures a value; the half of `encodeValue` that cannot wait, and with the same errors, but that of a symbol as a key in
 * a value of thousands of objects, which `encodeSnapshot` raises. `size` is about that of the encoded value.
 */
export function snapshotValue(value: unknown, root = "value"): Snapshot {
  if (value instanceof Uint8Array && Object.getPrototypeOf(value) === Uint8Array.prototype) {
    return { encoding: "bytes", bytes: value.slice(), size: value.length };
  }
  const { plain, checkKeys } = escapePlain(value, root);
  const text = JSON.stringify(plain);
  return { encoding: plain === value ? "json" : "tagged", text, size: text.length, check: checkKeys };
}

/** The bytes of a snapshot. UNSUPPORTED_VALUE as `snapshotValue` says. */
export function encodeSnapshot(snapshot: Snapshot): EncodedValue {
  const { encoding } = snapshot;
  if (encoding === "bytes") return snapshot;
  snapshot.check?.();
  return { encoding, bytes: Buffer.from(snapshot.text, "utf8") };
}

/**
 * Encodes plain data as bytes, deterministically: JSON values, and Date, bigint, Map, Set, Uint8Array, Buffer, undefined,
 * array holes, NaN, infinities, -0 and lone surrogates. `root` names the value in messages.
 * Throws UNSUPPORTED_VALUE with the path of a function, symbol, class instance, cycle, or nesting past 1,000 levels.
 */
export function encodeValue(value: unknown, root = "value"): EncodedValue {
  return encodeSnapshot(snapshotValue(value, root));
}

/** Decodes what `encodeValue` wrote; data only, nothing is ever built by a name in the data. Throws DAMAGED for other bytes. */
export function decodeValue(encoded: EncodedValue): unknown {
  const { bytes, encoding } = encoded;
  if (encoding === "bytes") return new Uint8Array(bytes);
  try {
    const parsed: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
    return encoding === "json" ? parsed : unescapeValue(parsed);
  } catch (cause) {
    throw new MementoError("DAMAGED", "A piece does not decode", { cause });
  }
}
