import { MementoError } from "../core/errors.ts";
import { canonicalJson, type Json } from "../core/json.ts";
import type { MementoEntry } from "../core/memento.ts";
import { jsonSortKey, mementoQuery, type MementoQuery } from "../store/query.ts";
import type { OpenedMemento } from "../vault/opened-memento.ts";
import type { Vault } from "../vault/vault.ts";
import { infoOf, type MementoInfo } from "./memento-info.ts";
import { momentText } from "./moment.ts";
import { declaredPaths, jsonOf, metadataAt } from "./queryable.ts";

/** Which mementos are wanted, and in which order. `createdFrom` and `createdBefore` are ISO 8601: a day (its beginning in UTC) or a time with its zone. */
export interface Selection extends Partial<Omit<MementoQuery, "removed" | "parts">> {
  /** Keeps those for which it is true; it sees the sealed facts too, so each candidate is opened. */
  readonly where?: (info: MementoInfo) => boolean;
}

/** A memento that fits; opened only where that was needed to tell. */
export interface Selected {
  readonly entry: MementoEntry;
  readonly opened: OpenedMemento | null;
}

/**
 * The live mementos that fit. What the caretaker declares as queryable, and all else that is clear, is asked of the
 * store; metadata that is sealed is looked at by opening each memento that fits so far, and so is everything when it is
 * sorted by such a path. A memento that was saved before its path was declared has only the sealed copy, and is not found
 * by it. INVALID_ARGUMENT for a moment, a sort or an order that is none.
 */
export async function* selectMementos(vault: Vault, selection: Selection): AsyncGenerator<Selected> {
  const { where, ...given } = selection;
  const query = { ...given, ...rangeOf(given) };
  demandOrder(query);
  const sortPath = query.sort?.startsWith("metadata:") === true ? query.sort.slice("metadata:".length) : null;
  const asked = [...Object.keys(query.metadata ?? {}), ...(sortPath === null ? [] : [sortPath])];
  const declared = asked.length === 0 ? new Set<string>() : await declaredPaths(vault, query.caretaker ?? null);
  const split = Object.groupBy(Object.entries(query.metadata ?? {}), ([path]) =>
    declared.has(path) ? "clear" : "sealed",
  );
  const sealed = split.sealed ?? [];
  const clear = mementoQuery({ ...query, metadata: Object.fromEntries(split.clear ?? []), parts: false });
  const fits = (info: MementoInfo): boolean =>
    sealed.every(([path, value]) => isEqual(jsonOf(metadataAt(info.metadata, path)), value)) && (where?.(info) ?? true);
  if (sortPath !== null && !declared.has(sortPath)) {
    yield* sortedByOpening(vault, clear, sortPath, fits);
    return;
  }
  if (where === undefined && sealed.length === 0) {
    for await (const { entry } of vault.store.query(clear)) yield { entry, opened: null };
    return;
  }
  yield* fitting(vault, { ...clear, limit: null }, clear.limit, fits);
}

/** Moments as mementos have them: the store compares texts. */
function rangeOf({ createdFrom, createdBefore }: Selection): Pick<MementoQuery, "createdFrom" | "createdBefore"> {
  const read = (text: string | null | undefined, what: string): string | null =>
    text === undefined || text === null ? null : momentText(text, what);
  return { createdFrom: read(createdFrom, "createdFrom"), createdBefore: read(createdBefore, "createdBefore") };
}

const SORT = /^(?:log|created|size|name|label:.*|metadata:.*)$/su;

function demandOrder({ sort = "log", order = "descending" }: Selection): void {
  if (!SORT.test(sort))
    throw new MementoError(
      "INVALID_ARGUMENT",
      `A list is sorted by log, created, size, name, label:KEY or metadata:PATH, not by ${JSON.stringify(sort)}`,
    );
  if (order !== "ascending" && order !== "descending")
    throw new MementoError("INVALID_ARGUMENT", `The order of a list is ascending or descending, not ${String(order)}`);
}

async function* fitting(
  vault: Vault,
  query: MementoQuery,
  limit: number | null,
  fits: (info: MementoInfo) => boolean,
): AsyncGenerator<Selected & { readonly opened: OpenedMemento }> {
  let left = limit ?? Number.POSITIVE_INFINITY;
  if (left <= 0) return;
  for await (const { entry } of vault.store.query(query)) {
    const opened = await vault.loadLive(entry.id);
    if (opened === null || !fits(infoOf(opened))) continue;
    yield { entry, opened };
    left -= 1;
    if (left <= 0) return;
  }
}

/** Sorts by what only the sealed metadata says. Holds one key and id for each memento that fits. */
async function* sortedByOpening(
  vault: Vault,
  query: MementoQuery,
  path: string,
  fits: (info: MementoInfo) => boolean,
): AsyncGenerator<Selected> {
  if (query.after !== null) {
    throw new MementoError("INVALID_ARGUMENT", `A list sorted by the sealed metadata.${path} has no cursors`, {
      hint: "Declare the path as queryable in the caretaker's policy.",
    });
  }
  const keys: { readonly key: string; readonly entry: MementoEntry }[] = [];
  for await (const { entry, opened } of fitting(vault, { ...query, sort: "log", limit: null }, null, fits)) {
    keys.push({ key: jsonSortKey(jsonOf(metadataAt(infoOf(opened).metadata, path))), entry });
  }
  // The log came in the order that was asked for, and the sort keeps it among equal keys.
  const sign = query.order === "ascending" ? 1 : -1;
  keys.sort((a, b) => (a.key === b.key ? 0 : (a.key < b.key ? -1 : 1) * sign));
  for (const { entry } of keys.slice(0, query.limit ?? keys.length)) yield { entry, opened: null };
}

const isEqual = (found: Json | undefined, wanted: Json): boolean =>
  found !== undefined && canonicalJson(found) === canonicalJson(wanted);
