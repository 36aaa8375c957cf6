import type { FileMetaData, SchemaElement, SchemaTree } from "hyparquet";
import { isListLike, isMapLike } from "hyparquet/src/schema.js";

import { decimalScale, decimalValue, storedElement } from "./parquet-decimals.ts";
import { plainValue } from "./parquet-values.ts";

/** Makes a value of a row out of one as it was put together. */
type ValueReader = (value: unknown) => unknown;

/**
 * The metadata by which a nested column is read: decimals come as they are stored, for they would be floats, and enums are text, as are bytes
 * that mean nothing else where `binaryAsText` asks for it.
 */
export function nestedMetadata(metadata: FileMetaData, column: SchemaTree, binaryAsText: boolean): FileMetaData {
  const inside = new Set(leavesOf(column));
  const schema = metadata.schema.map((element) =>
    inside.has(element) ? elementToRead(element, binaryAsText) : element,
  );
  return { ...metadata, schema };
}

function elementToRead(element: SchemaElement, binaryAsText: boolean): SchemaElement {
  const { type, converted_type: converted, logical_type: logical } = element;
  if (decimalScale(element) !== null) return storedElement(element);
  const isEnum = converted === "ENUM" || logical?.type === "ENUM";
  const isBare = binaryAsText && type === "BYTE_ARRAY" && converted === undefined && logical === undefined;
  return isEnum || isBare ? { ...storedElement(element), converted_type: "UTF8" } : element;
}

/** What a column's values stand in; a variant knows its own. */
function leavesOf(tree: SchemaTree): SchemaElement[] {
  if (isVariant(tree)) return [];
  return tree.children.length === 0 ? [tree.element] : tree.children.flatMap(leavesOf);
}

/** Reads the values of a nested column whose decimals are as they are stored. */
export function nestedReader(tree: SchemaTree): ValueReader {
  const read = singleReader(tree);
  return tree.element.repetition_type === "REPEATED" ? listOf(read) : read;
}

function singleReader(tree: SchemaTree): ValueReader {
  const [first] = tree.children;
  if (first === undefined) {
    const scale = decimalScale(tree.element);
    return scale === null ? plainValue : (value) => decimalValue(value, scale);
  }
  if (leavesOf(tree).every((leaf) => decimalScale(leaf) === null)) return plainValue;
  if (isListLike(tree)) return listOf(singleReader(first.children[0] ?? first));
  if (isMapLike(tree)) return mapOf(first.children);
  const members = new Map(tree.children.map((child) => [child.element.name, nestedReader(child)]));
  return orNull((value) =>
    Object.fromEntries(Object.entries(value).map(([name, member]) => [name, members.get(name)?.(member) ?? null])),
  );
}

function listOf(item: ValueReader): ValueReader {
  return orNull((value) => (value as unknown[]).map(item));
}

function mapOf([keys, values]: readonly SchemaTree[]): ValueReader {
  if (keys === undefined || values === undefined) return plainValue;
  const value = singleReader(values);
  return orNull((map) =>
    Object.fromEntries(Object.entries(map).map(([key, member]) => [keyText(key, keys.element), value(member)])),
  );
}

/** Decimals that are keys have become texts as they are stored: whole numbers, or bytes with commas between. */
function keyText(key: string, element: SchemaElement): string {
  const scale = decimalScale(element);
  if (scale === null) return key;
  const isWhole = element.type === "INT32" || element.type === "INT64";
  return String(decimalValue(isWhole ? BigInt(key) : Uint8Array.from(key.split(","), Number), scale));
}

function orNull(read: (value: object) => unknown): ValueReader {
  return (value) => (typeof value === "object" && value !== null ? read(value) : null);
}

const isVariant = ({ element }: SchemaTree): boolean => element.logical_type?.type === "VARIANT";
