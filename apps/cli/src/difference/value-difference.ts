import { isDeepStrictEqual } from "node:util";

/** One place at which two values differ. */
export interface ValueDifference {
  /** `rows[3].price`; empty for the whole value. */
  readonly path: string;
  readonly kind: "added" | "removed" | "changed";
  /** Absent where it was added. */
  readonly before?: unknown;
  /** Absent where it was removed. */
  readonly after?: unknown;
}

/**
 * Where two values of plain data differ, place by place. Objects and maps are compared by key. In arrays what is equal at
 * the beginning and at the end is set aside first, so that an insertion is one difference and not a shift of all that follows.
 */
export function differences(before: unknown, after: unknown, path = ""): ValueDifference[] {
  if (isDeepStrictEqual(before, after)) return [];
  if (Array.isArray(before) && Array.isArray(after)) return arrayDifferences(before, after, path);
  if (before instanceof Map && after instanceof Map) {
    return keyDifferences(
      new Map(before as Map<unknown, unknown>),
      new Map(after as Map<unknown, unknown>),
      (key) => `${path}<${String(key)}>`,
    );
  }
  if (isPlain(before) && isPlain(after)) {
    return keyDifferences(new Map(Object.entries(before)), new Map(Object.entries(after)), (key) =>
      memberPath(path, String(key)),
    );
  }
  return [{ path, kind: "changed", before, after }];
}

function keyDifferences(
  before: ReadonlyMap<unknown, unknown>,
  after: ReadonlyMap<unknown, unknown>,
  pathOf: (key: unknown) => string,
): ValueDifference[] {
  return [...new Set([...before.keys(), ...after.keys()])].flatMap((key) => {
    const path = pathOf(key);
    if (!after.has(key)) return [{ path, kind: "removed" as const, before: before.get(key) }];
    if (!before.has(key)) return [{ path, kind: "added" as const, after: after.get(key) }];
    return differences(before.get(key), after.get(key), path);
  });
}

function arrayDifferences(before: readonly unknown[], after: readonly unknown[], path: string): ValueDifference[] {
  const shorter = Math.min(before.length, after.length);
  let start = 0;
  while (start < shorter && isDeepStrictEqual(before[start], after[start])) start += 1;
  let end = 0;
  while (end < shorter - start && isDeepStrictEqual(before.at(-1 - end), after.at(-1 - end))) end += 1;
  const [gone, come] = [before.slice(start, before.length - end), after.slice(start, after.length - end)];
  const paired = Math.min(gone.length, come.length);
  // What stands in the same place on both sides is compared inside.
  const changed = gone
    .slice(0, paired)
    .flatMap((value, index) => differences(value, come[index], `${path}[${start + index}]`));
  const removed = gone
    .slice(paired)
    .map((value, index) => ({ path: `${path}[${start + paired + index}]`, kind: "removed" as const, before: value }));
  const added = come
    .slice(paired)
    .map((value, index) => ({ path: `${path}[${start + paired + index}]`, kind: "added" as const, after: value }));
  return [...changed, ...removed, ...added];
}

function memberPath(path: string, key: string): string {
  if (!/^[A-Za-z_$][\w$]*$/u.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
