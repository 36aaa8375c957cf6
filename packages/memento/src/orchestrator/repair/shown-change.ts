import { isNamedLikeASecret } from "../../core/secret-names.ts";
import type { Redaction } from "../run/redaction.ts";
import { pathOf, type DocumentChange } from "./edit-document.ts";

/** What stands in the place of a value that may be a secret. */
const HIDDEN = "***";

/** A change as it may stand in evidence and on a screen: without credentials, and without values that are named like a secret. */
export function shownChange({ path, ...values }: DocumentChange, redaction: Redaction): DocumentChange {
  const isHidden = pathOf(path).some(isNamedLikeASecret);
  const shown = (value: unknown): unknown => (isHidden ? HIDDEN : shownValue(value, redaction));
  return {
    path: redaction.text(path),
    ...Object.fromEntries(Object.entries(values).map(([side, value]) => [side, shown(value)])),
  };
}

function shownValue(value: unknown, redaction: Redaction): unknown {
  if (typeof value === "string") return redaction.text(value);
  if (typeof value !== "object" || value === null) return value;
  const shown = (item: unknown): unknown => shownValue(item, redaction);
  const member = (key: unknown, item: unknown): unknown =>
    typeof key === "string" && isNamedLikeASecret(key) ? HIDDEN : shown(item);
  if (Array.isArray(value)) return value.map(shown);
  if (value instanceof Set) return new Set([...value].map(shown));
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [shown(key), member(key, item)]));
  if (value instanceof Uint8Array) return holdsSecret(value, redaction) ? HIDDEN : value;
  if (value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [redaction.text(key), member(key, item)]));
}

function holdsSecret(bytes: Uint8Array, redaction: Redaction): boolean {
  const text = Buffer.from(bytes).toString();
  return redaction.text(text) !== text;
}
