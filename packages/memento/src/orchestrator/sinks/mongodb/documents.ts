import { createHash } from "node:crypto";

import type { BSON, Binary, Document } from "mongodb";

import { sha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";

/** The `BSON` namespace of the installed driver. */
export type Bson = typeof BSON;

/** A document as the collection keeps it, or is to keep it. */
export interface HeldDocument {
  readonly id: unknown;
  readonly bytes: Uint8Array;
  /** Says whether two documents are the same, to the byte. */
  readonly check: string;
  readonly content: Document;
}

/** A document and its image need room in one document of 16 MiB. */
const DOCUMENT_BYTES_MAX = 15 * 1_048_576;
const DEPTH_MAX = 100;
/** 132 bits: two documents that differ are never taken for one another. */
const CHECK_CHARACTERS = 22;

const EXACT = { promoteValues: false, promoteLongs: false, promoteBuffers: false, bsonRegExp: true } as const;

/** A document as it was read with `raw`. */
export function storedDocument(bson: Bson, bytes: Uint8Array): HeldDocument {
  const content = bson.deserialize(bytes, EXACT);
  return { id: content["_id"], bytes, check: checkOf(bytes), content };
}

/** A document that is put back from its image, with every value of the type that it had. */
export function documentOfImage(bson: Bson, image: Uint8Array): HeldDocument {
  return newDocument(bson, bson.deserialize(image, EXACT));
}

/** The bytes of an image, however the driver gives them. */
export function bytesOf(value: Binary | Uint8Array): Uint8Array {
  return value instanceof Uint8Array ? value : value.buffer.subarray(0, value.position);
}

/**
 * The document of a row, with `id` where it has none. UNSUPPORTED_VALUE for what BSON cannot hold, RECORD_INVALID for no
 * object, for a field name that begins with `$`, and for more than 15 MiB; each names the row.
 */
export function documentOfRow(
  bson: Bson,
  row: unknown,
  index: number,
  id: (fields: Document) => unknown,
): HeldDocument {
  const item = `rows[${index}]`;
  if (typeof row !== "object" || row === null || Array.isArray(row) || isBsonValue(row))
    throw refused(item, "is no object of fields");
  const { _id: given, ...fields } = plainCopy(row, item, 0) as { readonly _id?: unknown } & Readonly<
    Record<string, unknown>
  >;
  const strange = Object.keys(fields).find((name) => name.startsWith("$"));
  if (strange !== undefined) throw refused(item, `has a field ${strange}, which MongoDB takes for an operator`);
  let made: HeldDocument;
  try {
    made = newDocument(bson, { _id: given ?? id(fields), ...fields });
  } catch (cause) {
    throw new MementoError("UNSUPPORTED_VALUE", `${item} holds what BSON cannot: ${String(cause)}`, {
      cause,
      details: { item },
    });
  }
  if (made.bytes.byteLength <= DOCUMENT_BYTES_MAX) return made;
  throw refused(item, `takes ${made.bytes.byteLength} bytes, and ${DOCUMENT_BYTES_MAX} are the most`);
}

function newDocument(bson: Bson, content: Document): HeldDocument {
  const bytes = bson.serialize(content);
  return { id: content["_id"], bytes, check: checkOf(bytes), content };
}

function checkOf(bytes: Uint8Array): string {
  return sha256(bytes).slice(0, CHECK_CHARACTERS);
}

/**
 * An `_id` for a row without one: the same for the same place in a sink's history, so that a repeat makes the same. Those of one
 * batch follow one another.
 */
export function idOfPlace(bson: Bson, place: string, stream: string, position: number, index: number): unknown {
  const bytes = createHash("sha256")
    .update(`${place}/${stream}/${position}/${index >>> 24}`)
    .digest()
    .subarray(0, 12);
  bytes.writeUIntBE(index & 0xff_ff_ff, 9, 3);
  return new bson.ObjectId(bytes);
}

/** An `_id` for a document that is named by other fields: the same whenever that key is written. */
export function idOfKey(bson: Bson, collection: string, key: string): unknown {
  return new bson.ObjectId(createHash("sha256").update(`${collection}/${key}`).digest().subarray(0, 12));
}

/** The `_id` for a document whose own one, of this text, another document has: the same whenever that is so. */
export function idBeside(bson: Bson, taken: string): unknown {
  return new bson.ObjectId(createHash("sha256").update(`beside/${taken}`).digest().subarray(0, 12));
}

/** The same document under another `_id`. */
export function withId(bson: Bson, { content }: HeldDocument, id: unknown): HeldDocument {
  return newDocument(bson, { ...content, _id: id });
}

/** Without `undefined`, which the driver would make null of. */
function plainCopy(value: unknown, where: string, depth: number): unknown {
  if (depth > DEPTH_MAX) throw unsupported(where, `is nested more than ${DEPTH_MAX} deep`);
  switch (typeof value) {
    case "function":
    case "symbol":
      throw unsupported(where, `is a ${typeof value}`);
    case "bigint":
      // The driver would keep the lowest 64 bits and say nothing.
      if (BigInt.asIntN(64, value) !== value) throw unsupported(where, "is a whole number of more than 64 bits");
      return value;
    case "object":
      break;
    default:
      return value;
  }
  if (value === null || isBsonValue(value) || value instanceof Uint8Array || value instanceof RegExp) return value;
  if (value instanceof Date) {
    if (Number.isNaN(value.getTime())) throw unsupported(where, "is an invalid date");
    return value;
  }
  if (Array.isArray(value)) return value.map((each, index) => plainCopy(each ?? null, `${where}[${index}]`, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) throw unsupported(where, "is an instance of a class");
  const fields: [string, unknown][] = [];
  for (const [name, each] of Object.entries(value)) {
    if (name.includes("\0")) throw unsupported(where, "has a field whose name holds a NUL");
    if (each !== undefined) fields.push([name, plainCopy(each, `${where}.${name}`, depth + 1)]);
  }
  // An assignment of `__proto__` would make no field.
  return Object.fromEntries(fields);
}

/** True for the driver's own classes: ObjectId, Decimal128, Long and so on. */
function isBsonValue(value: object): boolean {
  return "_bsontype" in value;
}

function unsupported(where: string, why: string): MementoError {
  return new MementoError("UNSUPPORTED_VALUE", `${where} ${why}`, { details: { item: where } });
}

/** The error for a row that is refused. */
export function refused(item: string, why: string, cause?: unknown): MementoError {
  return new MementoError("RECORD_INVALID", `${item} ${why}`, { cause, details: { item } });
}
