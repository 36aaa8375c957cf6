import { isDeepStrictEqual } from "node:util";

import type { Document, Filter } from "mongodb";

import { MementoError } from "../../../core/errors.ts";
import { refused } from "./documents.ts";
import { idFilters, KEYS_AT_ONCE } from "./id-filters.ts";

/** What names a document: the values of its key fields. */
export type KeyValues = readonly unknown[];

interface BsonValue {
  readonly _bsontype: string;
  toString(): string;
  toHexString?(): string;
  readonly buffer?: Uint8Array;
  readonly sub_type?: number;
  valueOf(): unknown;
}

/** How the documents of one collection are named. */
export class Identity {
  readonly collection: string;
  readonly fields: readonly string[];

  constructor(collection: string, fields: readonly string[]) {
    this.collection = collection;
    this.fields = fields;
  }

  /** For the books: sinks of one text name their documents alike. */
  get text(): string {
    return JSON.stringify(this.fields);
  }

  get isId(): boolean {
    return this.fields.length === 1 && this.fields[0] === "_id";
  }

  /** The key of a document that is to be written; RECORD_INVALID, naming the row, where a field is missing or names nothing. */
  valuesOfRow(document: Document, index: number): KeyValues {
    const values = this.valuesOf(document);
    for (const [place, value] of values.entries()) {
      if (textOfValue(value) === null)
        throw refused(`rows[${index}]`, `has no ${this.fields[place]} that could name its document`);
    }
    return values;
  }

  valuesOf(document: Document): KeyValues {
    return this.fields.map((field) => document[field] as unknown);
  }

  /** One text for each key, the same for values that the server takes for equal; null for what is no key. */
  keyText(values: KeyValues): string | null {
    const texts = values.map(textOfValue);
    return texts.includes(null) ? null : JSON.stringify(texts);
  }

  /** True where two `_id`s are one. */
  readonly sameId = (a: unknown, b: unknown): boolean => {
    const text = textOfValue(a);
    return text === null ? isDeepStrictEqual(a, b) : text === textOfValue(b);
  };

  /** Filters that together find the documents of some keys, and perhaps others. */
  filters(keys: readonly KeyValues[]): Filter<Document>[] {
    if (this.isId) return idFilters(keys.map(([id]) => id));
    const [field = "_id"] = this.fields;
    const filters: Filter<Document>[] = [];
    for (let start = 0; start < keys.length; start += KEYS_AT_ONCE) {
      const slice = keys.slice(start, start + KEYS_AT_ONCE);
      if (this.fields.length === 1) filters.push({ [field]: { $in: slice.map(([value]) => value) } });
      else filters.push({ $or: slice.map((values) => this.#equals(values)) });
    }
    return filters;
  }

  /** `flights[_id="x"]`, as people would name the document. */
  name(values: KeyValues): string {
    const parts = this.fields.map((field, index) => `${field}=${shown(values[index])}`);
    return `${this.collection}[${parts.join(", ")}]`;
  }

  #equals(values: KeyValues): Filter<Document> {
    return Object.fromEntries(this.fields.map((name, index) => [name, values[index]]));
  }
}

/** One text for each value that may stand in a key; null for any other. */
export function textOfValue(value: unknown): string | null {
  switch (typeof value) {
    case "string":
      return `s${value}`;
    case "number":
      return Number.isNaN(value) ? null : `n${Object.is(value, -0) ? 0 : value}`;
    case "bigint":
      return `n${value}`;
    case "boolean":
      return `b${value}`;
    case "object":
      break;
    default:
      return null;
  }
  if (value === null) return null;
  if (value instanceof Date) return `d${value.getTime()}`;
  if (value instanceof Uint8Array) return `x0:${Buffer.from(value).toString("hex")}`;
  return isBson(value) ? textOfBson(value) : null;
}

function textOfBson(value: BsonValue): string | null {
  switch (value._bsontype) {
    case "ObjectId":
      return `o${value.toHexString?.()}`;
    case "Int32":
    case "Double":
    case "Long": {
      const text = value._bsontype === "Long" ? value.toString() : String(Number(value.valueOf()));
      return text === "NaN" ? null : `n${text === "-0" ? "0" : text}`;
    }
    case "UUID":
      return `x4:${Buffer.from(value.buffer ?? []).toString("hex")}`;
    case "Binary":
      return `x${value.sub_type}:${Buffer.from(value.buffer ?? []).toString("hex")}`;
    default:
      return null;
  }
}

function isBson(value: object): value is BsonValue {
  return "_bsontype" in value;
}

function shown(value: unknown): string {
  const text = textOfValue(value);
  if (text === null) throw new MementoError("DAMAGED", "The sink's books name a document by what is no key");
  switch (text[0]) {
    case "s":
      return JSON.stringify(text.slice(1));
    case "d":
      return JSON.stringify(new Date(Number(text.slice(1))).toISOString());
    case "x":
      return `x'${text.slice(text.indexOf(":") + 1)}'`;
    default:
      return text.slice(1);
  }
}
