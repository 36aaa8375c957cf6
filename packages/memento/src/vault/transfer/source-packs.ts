import { isMementoError, MementoError } from "../../core/errors.ts";
import { decodePackHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import type { IndexRow, StoredMemento } from "../../store/store.ts";
import { entryAt } from "../archive/append-lines.ts";
import { removedMeanwhile } from "../removed-meanwhile.ts";
import { openPack, repack, type OpenedPack } from "../repack.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";
import { SlotChecks } from "./opened-slots.ts";
import { readAhead } from "./read-ahead.ts";
import type { CopyScope } from "./scope.ts";

/** Slots of a pack that travel the same way. */
export interface TravellingRun {
  readonly pack: OpenedPack;
  readonly slots: readonly number[];
  /** Slots whose mementos were removed; others may need something of them. */
  readonly removed: ReadonlySet<number>;
  /** True: nothing is left of them but their entries. */
  readonly isSpent: boolean;
}

/** A pack on its way. */
export interface TravellingPack {
  /** Bytes as they lay in the store. */
  readonly bytes: number;
  readonly runs: readonly TravellingRun[];
}

/** What reading a store's packs works with. */
export interface SourcePacksPorts {
  readonly vault: Vault;
  readonly scope: CopyScope;
  /** True for a memento that the other side has already: its pack is not read for it. */
  readonly isThere: (row: IndexRow) => boolean;
  /** Told of each memento in the scope, in the order of the log, before its pack is read. */
  readonly onRow: (row: IndexRow) => void;
  readonly signal: AbortSignal | undefined;
}

const READ_AHEAD = { bytesMax: 32 * 1_048_576, requestsMax: 8 };

/**
 * Reads what a copy brings, in the order of the log. Each pack is read once, some before their turn; its seal is opened,
 * and every piece of its live mementos is checked. DAMAGED, naming the memento.
 */
export async function* readSourcePacks(ports: SourcePacksPorts): AsyncGenerator<TravellingPack> {
  const { vault, signal } = ports;
  const checks = new SlotChecks(vault.reader);
  const removed = new Set<string>();
  const read = readAhead(
    wantedPacks(ports, removed),
    READ_AHEAD,
    ([first]) => first?.packBytes ?? 0,
    async (rows) => [rows, await vault.store.read(rows[0]?.entry.id ?? "")] as const,
  );
  for await (const [rows, stored] of read) {
    signal?.throwIfAborted();
    if (stored === null) throw movedOn(rows[0]?.entry.id ?? "");
    yield await travelling(ports, rows, stored, { checks, isRemoved: (id) => removed.has(id) });
  }
}

/** The rows of one pack after the other, without those that are there. */
async function* wantedPacks(
  { vault, scope, isThere, onRow, signal }: SourcePacksPorts,
  removed: Set<string>,
): AsyncGenerator<readonly IndexRow[]> {
  const turns = new Turns(vault.clock);
  let [rows, pack]: [IndexRow[], string | null] = [[], null];
  const query = mementoQuery({ caretaker: scope.caretaker, removed: true, order: "ascending" });
  for await (const row of vault.store.query(query)) {
    await turns.take(signal);
    if (row.pack !== pack && rows.length > 0) {
      yield rows;
      rows = [];
    }
    pack = row.pack;
    if (row.removed) removed.add(row.entry.id);
    if (scope.passageOf(row) === null) continue;
    onRow(row);
    if (!isThere(row)) rows.push(row);
  }
  if (rows.length > 0) yield rows;
}

interface Judgement {
  readonly checks: SlotChecks;
  readonly isRemoved: (id: string) => boolean;
}

async function travelling(
  { vault, scope }: SourcePacksPorts,
  rows: readonly IndexRow[],
  stored: StoredMemento,
  { checks, isRemoved }: Judgement,
): Promise<TravellingPack> {
  const id = rows[0]?.entry.id ?? "";
  const pack = await openStored(vault, stored, id);
  const ways = new Map(rows.map((row) => [row.entry.id, scope.passageOf(row) ?? "spent"]));
  const slots = pack.header.entries.flatMap((entry, slot) => (ways.has(entry.id) ? [slot] : []));
  const wayOf = (slot: number): string => {
    const way = ways.get(entryAt(pack, slot).id) ?? "spent";
    const isEmpty = (pack.manifests[slot]?.length ?? 0) === 0;
    // Removed, and collected, since its row was read: another round of the index would say so.
    if (isEmpty && way === "whole") throw movedOn(entryAt(pack, slot).id);
    return isEmpty ? "spent" : way;
  };
  const live = slots.filter((slot) => wayOf(slot) === "whole");
  try {
    await checks.check(pack, live, isRemoved);
  } catch (error) {
    for (const slot of isMementoError(error, "DAMAGED") ? live : [])
      if ((await vault.store.read(entryAt(pack, slot).id))?.removed !== false) throw movedOn(entryAt(pack, slot).id);
    throw error;
  }
  const runs: TravellingRun[] = [];
  for (const run of runsOf(slots, (slot) => wayOf(slot) === "spent")) {
    const isSpent = wayOf(run[0] ?? 0) === "spent";
    const gone = run.filter((slot) => wayOf(slot) !== "whole");
    runs.push(await runOf(vault, scope, pack, { slots: run, gone, isSpent }));
  }
  return { bytes: stored.header.length + (stored.body?.length ?? 0), runs };
}

interface RunFacts {
  readonly slots: readonly number[];
  readonly gone: readonly number[];
  readonly isSpent: boolean;
}

/** A run with nothing in it but what travels. */
async function runOf(
  vault: Vault,
  { brings }: CopyScope,
  pack: OpenedPack,
  { slots, gone, isSpent }: RunFacts,
): Promise<TravellingRun> {
  if (isSpent) return { pack: { ...pack, sections: [] }, slots, removed: new Set(slots), isSpent };
  if (brings === null) return { pack, slots, removed: new Set(gone), isSpent };
  const { header, body } = await repack(
    pack,
    { slots, manifest: () => true, piece: (slot, key) => brings(entryAt(pack, slot).id, key) },
    { dataKey: null, compression: { codec: "none" }, random: vault.random },
  );
  const chosen = openPack({ header, body }, null, "A pack that is copied");
  const removed = slots.flatMap((slot, index) => (gone.includes(slot) ? [index] : []));
  return { pack: chosen, slots: slots.map((_, index) => index), removed: new Set(removed), isSpent };
}

/** Opens a pack as it lies in a store; one whose body was reclaimed has nothing but entries. DAMAGED, KEY_WRONG. */
export async function openStored(vault: Vault, { header, body }: StoredMemento, id: string): Promise<OpenedPack> {
  const where = `The pack of memento ${id}`;
  const decoded = decodePackHeader(header, where);
  if (body === null) return { header: decoded, manifests: decoded.entries.map(() => new Uint8Array()), sections: [] };
  const { dataKey } = decoded;
  if (dataKey === null) {
    // A sealed store takes no plaintext; one that appears all the same was put there by somebody else.
    if (vault.dataKeys !== null) throw new MementoError("DAMAGED", `${where} is not sealed, in a sealed store`);
    return openPack({ header, body }, null, where);
  }
  if (vault.dataKeys === null) throw new MementoError("KEY_MISSING", `${where} is sealed and no key was given`);
  return openPack({ header, body }, await vault.dataKeys.forOpening(dataKey), where);
}

/** Slots that follow one another and are all of one kind. */
function runsOf(slots: readonly number[], kind: (slot: number) => boolean): readonly (readonly number[])[] {
  const runs: number[][] = [];
  for (const slot of slots) {
    const last = runs.at(-1);
    if (last !== undefined && kind(last[0] ?? -1) === kind(slot)) last.push(slot);
    else runs.push([slot]);
  }
  return runs;
}

const movedOn = (id: string): MementoError => removedMeanwhile(id, "copied", "Copy again; it goes on where it was.");
