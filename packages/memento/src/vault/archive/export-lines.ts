import { isMementoError, type MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { decodePackHeader, FORMAT_VERSION } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import type { IndexRow, StoredMemento } from "../../store/store.ts";
import { joinFirstSection } from "../pack.ts";
import type { NearbyRecords } from "../reader.ts";
import { removedMeanwhile } from "../removed-meanwhile.ts";
import { openPack, repack, type OpenedPack } from "../repack.ts";
import { sealPack } from "../seal.ts";
import type { Vault } from "../vault.ts";
import type { ArchiveWriter } from "./archive-writer.ts";
import type { ExportPlan, Passage } from "./export-plan.ts";
import type { ArchiveItem } from "./items.ts";

/** What an export works with. */
export interface LinesPorts {
  readonly vault: Vault;
  readonly plan: ExportPlan;
  /** Whose timelines they are; null for those of several. No pack holds mementos of two caretakers. */
  readonly caretaker: string | null;
  readonly signal: AbortSignal | undefined;
  readonly onMementos: (count: number) => void;
}

/** A record on its way into a file. */
interface Travelling {
  readonly slot: number;
  readonly entry: MementoEntry;
  readonly passage: Passage;
}

const SPENT_MAX = 256;
const NEARBY_MAX = 32;

/**
 * Writes timelines: first what they are, then their packs in the order of the log, each with only those slots and pieces
 * in it that travel. Every piece is read and checked on the way, so that nothing damaged is ever signed. Gives the number
 * of items. DAMAGED, CONFLICT when something was removed meanwhile.
 */
export async function exportLines(writer: ArchiveWriter, ports: LinesPorts): Promise<number> {
  const lines = new LinesExport(writer, ports);
  for (const { state, upTo } of ports.plan.lines.values()) {
    const { check: _check, ...record } = state.record;
    const head = state.head?.sequence === upTo ? state.head.id : await idAt(ports.vault, record.key, upTo);
    await lines.item({ t: "timeline", ...record, epoch: state.lease.epoch, head });
  }
  await lines.packs();
  return lines.items;
}

async function idAt(vault: Vault, timeline: string, sequence: number): Promise<string | null> {
  for await (const { entry } of vault.store.query(mementoQuery({ timeline, removed: true })))
    if (entry.sequence === sequence) return entry.id;
  return null;
}

class LinesExport {
  items = 0;
  readonly #writer: ArchiveWriter;
  readonly #ports: LinesPorts;
  readonly #near: NearbyRecords = new Map();
  #spent: MementoEntry[] = [];

  constructor(writer: ArchiveWriter, ports: LinesPorts) {
    this.#writer = writer;
    this.#ports = ports;
  }

  async item(item: ArchiveItem, ...blobs: readonly Uint8Array[]): Promise<void> {
    await this.#writer.add(item, ...blobs);
    this.items += 1;
  }

  async packs(): Promise<void> {
    const { vault, plan, caretaker, signal } = this.#ports;
    let [rows, pack]: [IndexRow[], string | null] = [[], null];
    const query = mementoQuery({ caretaker, removed: true, order: "ascending" });
    for await (const row of vault.store.query(query)) {
      signal?.throwIfAborted();
      if (row.pack !== pack) {
        await this.#pack(rows);
        rows = [];
      }
      pack = row.pack;
      if (plan.passageOf(row.entry.id) !== null) rows.push(row);
    }
    await this.#pack(rows);
    await this.#flushSpent();
  }

  async #pack(rows: readonly IndexRow[]): Promise<void> {
    const [first] = rows;
    if (first === undefined) return;
    const { vault, plan } = this.#ports;
    const stored = await vault.store.read(first.entry.id);
    if (stored === null) throw movedOn(first.entry.id);
    const header = decodePackHeader(stored.header, `memento ${first.entry.id}`);
    const ids = new Map(rows.map(({ entry }) => [entry.id, plan.passageOf(entry.id) ?? "spent"] as const));
    const travelling = header.entries.flatMap((entry, slot): Travelling[] => {
      const passage = ids.get(entry.id);
      return passage === undefined ? [] : [{ slot, entry, passage }];
    });
    let open: OpenedPack | null = null;
    for (const run of runsOf(travelling)) {
      if (run[0]?.passage === "spent") {
        await this.#addSpent(run.map(({ entry }) => entry));
        continue;
      }
      open ??= await this.#open(stored, first.entry.id);
      await this.#writeRun(open, stored, run);
    }
    this.#ports.onMementos(travelling.filter(({ passage }) => passage === "whole").length);
  }

  async #open(stored: StoredMemento, id: string): Promise<OpenedPack> {
    const { vault } = this.#ports;
    if (stored.body === null) throw movedOn(id);
    const { dataKey } = decodePackHeader(stored.header, `memento ${id}`);
    const key = dataKey === null ? null : ((await vault.dataKeys?.forOpening(dataKey)) ?? null);
    return openPack({ header: stored.header, body: stored.body }, key, `The pack of memento ${id}`);
  }

  async #writeRun(open: OpenedPack, stored: StoredMemento, run: readonly Travelling[]): Promise<void> {
    const { vault, plan } = this.#ports;
    for (const { slot, entry } of run) await this.#check({ ...stored, slot }, entry.id);
    const brings = (slot: number, key: string): boolean => plan.brings(open.header.entries[slot]?.id ?? "", key);
    const { header, body } = await repack(
      open,
      { slots: run.map(({ slot }) => slot), manifest: () => true, piece: brings },
      // The frames of the file compress better than small packs do one by one.
      { dataKey: null, compression: { codec: "none" }, random: vault.random },
    );
    await this.#flushSpent();
    const removed = run.flatMap(({ passage }, index) => (passage === "needed" ? [index] : []));
    await this.item({ t: "pack", removed, isSpent: false }, header, body);
  }

  /** Every piece that is read of what travels must be what was saved. */
  async #check(stored: StoredMemento, id: string): Promise<void> {
    const { vault, plan } = this.#ports;
    try {
      const record = await vault.reader.openStored(id, stored);
      for (const key of record.manifest.held.keys())
        if (plan.reads(id, key)) await vault.reader.content(record, key, this.#near);
    } catch (error) {
      const gone = isMementoError(error, "DAMAGED") ? await plan.removedSince() : null;
      throw gone === null ? error : movedOn(gone);
    } finally {
      // The ones that deltas build on are near each other; those of long ago are let go.
      for (const old of this.#near.keys()) {
        if (this.#near.size <= NEARBY_MAX) break;
        this.#near.delete(old);
      }
    }
  }

  async #addSpent(entries: readonly MementoEntry[]): Promise<void> {
    for (const entry of entries) {
      // Mementos of one timeline that are appended together are of one epoch, and all of one caretaker.
      const other = this.#spent.find(
        ({ timeline, epoch, caretaker }) =>
          caretaker !== entry.caretaker || (timeline === entry.timeline && epoch !== entry.epoch),
      );
      if (other !== undefined || this.#spent.length >= SPENT_MAX) await this.#flushSpent();
      this.#spent.push(entry);
    }
  }

  async #flushSpent(): Promise<void> {
    const entries = this.#spent;
    if (entries.length === 0) return;
    this.#spent = [];
    const section = joinFirstSection(
      entries.map(() => new Uint8Array()),
      [],
    );
    const { random } = this.#ports.vault;
    const packed = { codec: "none", plainBytes: section.length, bytes: section } as const;
    const { header, body } = sealPack(entries, [packed], null, random, FORMAT_VERSION);
    await this.item({ t: "pack", removed: entries.map((_, slot) => slot), isSpent: true }, header, body);
  }
}

/** Slots that follow one another and are all spent, or none of them is. */
function runsOf(travelling: readonly Travelling[]): readonly (readonly Travelling[])[] {
  const runs: Travelling[][] = [];
  for (const one of travelling) {
    const last = runs.at(-1);
    if (last?.[0] !== undefined && (last[0].passage === "spent") === (one.passage === "spent")) last.push(one);
    else runs.push([one]);
  }
  return runs;
}

const movedOn = (id: string): MementoError => removedMeanwhile(id, "exported", "Export again.");
