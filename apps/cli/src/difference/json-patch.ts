import { isDeepStrictEqual } from "node:util";

import type { Json, JsonObject } from "@mementojs/memento/core";

/** The JSON Patch (RFC 6902) that makes one document out of another: members of objects one by one, any other value as a whole. */
export function jsonPatch(before: Json, after: Json, pointer = ""): Json[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (!isObject(before) || !isObject(after)) return [{ op: "replace", path: pointer, value: after }];
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => {
    const place = `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const [was, is] = [before[key], after[key]];
    if (is === undefined) return [{ op: "remove", path: place }];
    return was === undefined ? [{ op: "add", path: place, value: is }] : jsonPatch(was, is, place);
  });
}

function isObject(value: Json): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
