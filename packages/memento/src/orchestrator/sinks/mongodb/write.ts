import type { BookAccess } from "./books.ts";
import type { CollectionConnection } from "./connection.ts";
import { documentOfRow, idOfKey, idOfPlace, type HeldDocument, refused } from "./documents.ts";
import { FreeIds } from "./free-ids.ts";
import type { KeyValues } from "./identity.ts";
import { findDocuments } from "./net.ts";
import type { Change } from "./operation.ts";

/** What a batch is written by. */
export interface WriteFacts {
  readonly mode: "append" | "upsert";
  /** The place's own name, and the position that the batch becomes. */
  readonly place: string;
  readonly position: number;
  readonly access: BookAccess;
}

interface KeyedRow {
  readonly key: KeyValues;
  readonly document: HeldDocument;
  readonly row: number;
  /** True: the row named its document itself, which may be there already. */
  readonly named: boolean;
  /** True: the `_id` is the row's own. */
  readonly given: boolean;
}

/** The changes that a batch of rows is; of several rows of one key in an upsert the last counts. All rows are looked at before the first change. */
export async function changesOfRows(
  connection: CollectionConnection,
  rows: readonly unknown[],
  { mode, place, position, access }: WriteFacts,
): Promise<() => Iterable<Change>> {
  const { identity, stream, bson } = connection;
  const keyed = new Map<string, KeyedRow>();
  for (const [row, value] of rows.entries()) {
    const named = !identity.isId || (typeof value === "object" && value !== null && "_id" in value);
    if (mode === "upsert" && !named) throw refused(`rows[${row}]`, "has no _id that could name its document");
    let given = true;
    const document = documentOfRow(bson, value, row, (fields) => {
      given = false;
      if (identity.isId) return idOfPlace(bson, place, stream, position, row);
      return idOfKey(bson, identity.collection, identity.keyText(identity.valuesOf(fields)) ?? "");
    });
    const key = identity.valuesOfRow(document.content, row);
    const text = identity.keyText(key) ?? "";
    if (mode === "append" && keyed.has(text))
      throw refused(`rows[${row}]`, `has a key that the batch has before: ${identity.name(key)}`);
    keyed.set(text, { key, document, row, named, given });
  }
  const asked = [...keyed.values()].filter(({ named }) => named).map(({ key }) => key);
  const found = await findDocuments(connection, asked, access);
  if (mode === "append") {
    for (const text of found.keys()) {
      const there = keyed.get(text);
      if (there !== undefined)
        throw refused(`rows[${there.row}]`, `has a key that is there already: ${identity.name(there.key)}`);
    }
  }
  if (!identity.isId) {
    const added = [...keyed].filter(([text]) => !found.has(text)).map(([, row]) => row);
    const moved = await new FreeIds(connection).settle(added, access, ({ row, given }, holder) => {
      if (!given) return null;
      return refused(`rows[${row}]`, `has the _id of another document: ${holder}`);
    });
    for (const row of added) {
      const text = identity.keyText(row.key) ?? "";
      keyed.set(text, { ...row, document: moved.get(text) ?? row.document });
    }
  }
  return function* changes() {
    for (const [text, { key, document, row }] of keyed) {
      const before = found.get(text) ?? null;
      yield { key, before, after: before === null ? document : asReplacement(connection, document, before, row), row };
    }
  };
}

/** A document that is replaced keeps its `_id`. */
function asReplacement(
  { bson, identity }: CollectionConnection,
  document: HeldDocument,
  before: HeldDocument,
  row: number,
): HeldDocument {
  if (identity.sameId(document.id, before.id)) return document;
  return documentOfRow(bson, { ...document.content, _id: before.id }, row, () => before.id);
}
