import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { copyValue } from "../../vault/copy-value.ts";

/** What of a pipeline's memento people may edit. */
export interface EditDocument {
  readonly params: unknown;
  readonly state: Readonly<Record<string, unknown>>;
  readonly offsets: Readonly<Record<string, unknown>>;
  readonly outputs: Readonly<Record<string, unknown>>;
}

/** One place at which a document was changed; `before` or `after` is absent where there was, or is, nothing. */
export interface DocumentChange {
  /** `state.prices["a.b"]`. */
  readonly path: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** A change of a document: a value at a place, or nothing any more. */
export interface DocumentEdit {
  /** `state.prices[0]`, `offsets.orders["0"]`, or a JSON Pointer such as `/state/prices/0`. */
  readonly path: string;
  /** Absent: what is there is taken away. */
  readonly value?: unknown;
}

type Container = Record<string, unknown> | unknown[];

/** The document with all changes, in their order; the given one stays as it is. INVALID_ARGUMENT for a place that cannot be. */
export function editedDocument(
  document: EditDocument,
  edits: readonly DocumentEdit[],
  patch: Json | undefined,
): EditDocument {
  let edited: unknown = copyValue(document);
  for (const { path, ...edit } of edits)
    edited = "value" in edit ? placed(edited, pathOf(path), edit.value, false) : removed(edited, pathOf(path));
  if (Array.isArray(patch)) for (const step of patch as readonly Json[]) edited = patched(edited, step);
  else if (patch !== undefined) edited = merged(edited, patch);
  if (!isObject(edited))
    throw new MementoError("INVALID_ARGUMENT", "The patch leaves no document of params, state, offsets and outputs");
  return edited as unknown as EditDocument;
}

/** The keys of a path: `state.a[0]["b.c"]`, or a JSON Pointer (RFC 6901). INVALID_ARGUMENT for any other text. */
export function pathOf(text: string): readonly string[] {
  if (text.startsWith("/")) {
    const keys = text.slice(1).split("/");
    return keys.map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
  }
  const keys: string[] = [];
  let rest = `.${text}`;
  while (rest !== "") {
    const [whole, name, index, quoted] = /^(?:\.([^.[\]"]+)|\[(\d{1,9})\]|\[("(?:[^"\\]|\\.)*")\])/u.exec(rest) ?? [];
    if (whole === undefined) throw badPath(text, "it has the form state.name[0].other, or /state/name/0/other");
    keys.push(name ?? index ?? unquoted(text, quoted ?? '""'));
    rest = rest.slice(whole.length);
  }
  return keys;
}

function unquoted(path: string, quoted: string): string {
  try {
    return JSON.parse(quoted) as string;
  } catch (error) {
    if (error instanceof SyntaxError) throw badPath(path, `${quoted} is no text as JSON writes it`);
    throw error;
  }
}

/** Where two documents differ: inside of objects place by place, any other value as a whole. */
export function documentChanges(before: unknown, after: unknown, path = ""): DocumentChange[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isObject(before) || !isObject(after))
    return [{ path, ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) }];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) =>
    documentChanges(own(before, key), own(after, key), memberPath(path, key)),
  );
}

/** A member of the object itself, and none that it inherits. */
const own = (object: Readonly<Record<string, unknown>>, key: string): unknown =>
  Object.hasOwn(object, key) ? object[key] : undefined;

function memberPath(path: string, key: string): string {
  if (!/^[\w$-]+$/u.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

/** One step of a JSON Patch (RFC 6902). */
function patched(document: unknown, step: Json): unknown {
  const { op, path, from, value } = (isObject(step) ? step : {}) as Record<string, Json | undefined>;
  if (typeof path !== "string" || (path !== "" && !path.startsWith("/"))) throw badStep(step);
  const keys = path === "" ? [] : pathOf(path);
  if (op === "add" && value !== undefined) return placed(document, keys, value, true);
  if (op === "remove") return removed(document, keys);
  if (op === "replace" && value !== undefined) {
    valueAt(document, keys);
    return placed(document, keys, value, false);
  }
  if (op === "test" && value !== undefined) {
    if (isDeepStrictEqual(valueAt(document, keys), value)) return document;
    throw new MementoError("CONFLICT", `The patch expects another value at ${path} than the one that is there`);
  }
  if ((op !== "move" && op !== "copy") || typeof from !== "string") throw badStep(step);
  if (op === "move" && path.startsWith(`${from}/`)) throw badPath(path, "nothing can be moved into itself");
  const taken = copyValue(valueAt(document, pathOf(from)));
  return placed(op === "move" ? removed(document, pathOf(from)) : document, keys, taken, true);
}

const badStep = (step: Json): MementoError =>
  new MementoError("INVALID_ARGUMENT", `${JSON.stringify(step).slice(0, 80)} is no step of a JSON Patch (RFC 6902)`);

/** A JSON Merge Patch (RFC 7396). */
function merged(document: unknown, patch: Json): unknown {
  if (!isObject(patch)) return patch;
  const target: Record<string, unknown> = isObject(document) ? { ...document } : {};
  for (const [key, value] of Object.entries(patch as Record<string, Json>)) {
    demandKey(key, key);
    if (value === null) delete target[key];
    else target[key] = merged(own(target, key), value);
  }
  return target;
}

/** Sets a value; `insert` moves what stands in an array from there on. Objects on the way are made where there is nothing. */
function placed(document: unknown, keys: readonly string[], value: unknown, insert: boolean): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return value;
  const container = containerOf(document ?? {}, key);
  if (!Array.isArray(container)) {
    container[demandKey(key, key)] = placed(own(container, key), rest, value, insert);
    return container;
  }
  const index = key === "-" ? container.length : Number(key);
  if (!/^(?:-|0|[1-9]\d*)$/u.test(key) || index > container.length)
    throw badPath(key, `the array there has ${container.length} items`);
  if (rest.length === 0 && insert) container.splice(index, 0, value);
  else container[index] = placed(container[index], rest, value, insert);
  return container;
}

function removed(document: unknown, keys: readonly string[]): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) throw badPath("", "the whole document cannot be removed");
  valueAt(document, keys.slice(0, 1));
  const container = containerOf(document, key);
  if (rest.length > 0)
    (container as Record<string, unknown>)[key] = removed((container as Record<string, unknown>)[key], rest);
  else if (Array.isArray(container)) container.splice(Number(key), 1);
  else delete container[key];
  return container;
}

/** What an array's items are called; it has other members, such as its length. */
const INDEX = /^(?:0|[1-9]\d*)$/u;

function valueAt(document: unknown, keys: readonly string[]): unknown {
  let value = document;
  for (const key of keys) {
    const isThere =
      typeof value === "object" &&
      value !== null &&
      Object.hasOwn(value, key) &&
      (!Array.isArray(value) || INDEX.test(key));
    if (!isThere) throw badPath(keys.join("."), "there is nothing");
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}

function containerOf(value: unknown, key: string): Container {
  if (isObject(value) || Array.isArray(value)) return value;
  throw badPath(key, "what holds it is no object and no array of plain data");
}

function demandKey(key: string, path: string): string {
  if (key === "__proto__") throw badPath(path, "no value can have that name");
  return key;
}

const badPath = (path: string, problem: string): MementoError =>
  new MementoError("INVALID_ARGUMENT", `${JSON.stringify(path)} cannot be edited: ${problem}`);

function isObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
