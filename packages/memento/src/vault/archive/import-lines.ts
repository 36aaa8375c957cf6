import { MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import { openPack, type OpenedPack } from "../repack.ts";
import type { Vault } from "../vault.ts";
import type { ArchiveFacts } from "./archive-facts.ts";
import type { LineStanding } from "./import-check.ts";
import { ImportLeases } from "./import-leases.ts";
import { readItems, type PackItem } from "./items.ts";
import { refill, removedOn } from "./refill.ts";
import { resealHere } from "./reseal-here.ts";
import { fillSpent, isFilledSpent } from "./spent-records.ts";

/** What an import of timelines works with. */
export interface LinesImportPorts {
  readonly vault: Vault;
  readonly facts: ArchiveFacts;
  readonly standings: readonly LineStanding[];
  readonly where: string;
  readonly signal: AbortSignal | undefined;
  readonly onMementos: (count: number) => void;
}

/**
 * Appends what a store has not of a file's timelines, in the order of their first saves, with ids, epochs and digests as they
 * were; each pack is sealed anew under the store's own keys. What was removed is removed at once. After a crash the same
 * import again makes it whole. LOCKED, CONFLICT, EXISTS; gives the number of live mementos that were appended.
 */
export async function importLines(content: AsyncIterable<Uint8Array>, ports: LinesImportPorts): Promise<number> {
  await using leases = new ImportLeases(ports.vault, ports.facts.header.id);
  const lines = new LinesImport(ports, leases);
  await lines.begin();
  for await (const { item, blobs } of readItems(content, ports.where)) {
    ports.signal?.throwIfAborted();
    if (item.t === "pack") await lines.pack(item, blobs);
  }
  await lines.finish();
  return lines.appended;
}

class LinesImport {
  appended = 0;
  readonly #ports: LinesImportPorts;
  readonly #leases: ImportLeases;
  readonly #states = new Map<string, TimelineState>();
  /** The sequence number that each timeline has in the store by now. */
  readonly #sequences = new Map<string, number>();
  /** The digest of each timeline's last memento so far. */
  readonly #digests = new Map<string, string | null>();
  /** Mementos of which only entries are left; they are removed once a later one of their timeline is there. */
  readonly #spent = new Map<string, MementoEntry[]>();
  /** What was removed in the store of timelines that are to grow. */
  readonly #removed = new Set<string>();

  constructor(ports: LinesImportPorts, leases: ImportLeases) {
    this.#ports = ports;
    this.#leases = leases;
  }

  async begin(): Promise<void> {
    const { vault, standings } = this.#ports;
    const isWhole = standings.every(({ missing }) => missing === 0);
    for (const { line, state } of standings) {
      const { t: _t, epoch: _epoch, head: _head, ...record } = line.item;
      const fixed = { ...record, check: vault.checks.timeline(record) };
      const free = vault.leaseOf(record.key, { epoch: 0, owner: null, expiresAt: 0, holder: null });
      const made = state ?? vault.verified(await vault.store.createTimeline(fixed, free));
      if (made.record.key !== record.key) throw overtaken(made, "another one was made at its address");
      this.#states.set(record.key, made);
      this.#sequences.set(record.key, made.head?.sequence ?? 0);
      if (state === null || isWhole) continue;
      for (const id of await removedOn(vault, record.key)) this.#removed.add(id);
    }
  }

  async pack(item: PackItem, [header, body]: readonly Uint8Array[]): Promise<void> {
    const { where } = this.#ports;
    const pack = openPack({ header: header ?? new Uint8Array(), body: body ?? new Uint8Array() }, null, where);
    const removed = new Set(item.removed);
    const missing: number[] = [];
    for (const [slot, entry] of pack.header.entries.entries()) {
      if (entry.sequence > (this.#sequences.get(entry.timeline) ?? 0)) missing.push(slot);
      else if (!item.isSpent && this.#removed.has(entry.id)) await refill(this.#ports.vault, pack, entry.id);
      else if (removed.has(slot)) await this.#removeAgain(entry, item.isSpent);
    }
    if (item.isSpent) await this.#appendSpent(pack, missing);
    else {
      await this.#append(pack, missing);
      const gone = missing.filter((slot) => removed.has(slot)).map((slot) => entryAt(pack, slot));
      this.appended += missing.length - gone.length;
      await this.#remove(gone);
      await this.#removeSpent(new Set(missing.map((slot) => entryAt(pack, slot).timeline)));
    }
    this.#ports.onMementos(pack.header.entries.length - removed.size);
  }

  async finish(): Promise<void> {
    await this.#removeSpent(new Set(this.#spent.keys()));
    const epochs = this.#ports.standings.map(({ line: { item } }) => [item.key, item.epoch] as const);
    await this.#leases.finish(new Map(epochs.map(([key, epoch]) => [key, { state: this.#state(key), epoch }])));
  }

  async #appendSpent(pack: OpenedPack, slots: readonly number[]): Promise<void> {
    for (const slot of slots) {
      const { timeline, sequence } = entryAt(pack, slot);
      if (this.#digests.has(timeline)) continue;
      this.#digests.set(timeline, this.#ports.facts.lines.get(timeline)?.records[sequence - 2]?.digest ?? null);
    }
    await this.#append(fillSpent(pack, slots, this.#digests), slots);
    for (const slot of slots) {
      const entry = entryAt(pack, slot);
      this.#spent.set(entry.timeline, [...(this.#spent.get(entry.timeline) ?? []), entry]);
    }
  }

  async #removeSpent(timelines: ReadonlySet<string>): Promise<void> {
    const entries = [...timelines].flatMap((timeline) => this.#spent.get(timeline) ?? []);
    if (entries.length === 0) return;
    for (const timeline of timelines) {
      this.#spent.delete(timeline);
      this.#digests.delete(timeline);
    }
    await this.#remove(entries);
    await this.#ports.vault.store.reclaim(entries.map(({ id }) => id));
  }

  async #append(pack: OpenedPack, slots: readonly number[]): Promise<void> {
    if (slots.length === 0) return;
    const { vault } = this.#ports;
    const entries = slots.map((slot) => entryAt(pack, slot));
    for (const { timeline, epoch } of entries) await this.#leases.hold(this.#state(timeline), epoch);
    const records = entries.map((entry) => ({
      entry,
      expectedSequence: entry.sequence - 1,
      headCheck: vault.checks.head(entry.timeline, entry.id, entry.sequence),
      // Names move within the file as they once did; to whom else they belong was looked at before.
      replaceName: true,
    }));
    const results = await resealHere(
      vault,
      pack,
      slots,
      async (sealed) => await vault.store.append({ ...sealed, records }),
    );
    for (const [index, entry] of entries.entries()) {
      if (results[index]?.outcome !== "appended")
        throw overtaken(this.#state(entry.timeline), `${entry.id} is not its next one any more`);
      this.#sequences.set(entry.timeline, entry.sequence);
    }
  }

  async #remove(entries: readonly MementoEntry[]): Promise<void> {
    const { vault, facts } = this.#ports;
    for (const [timeline, group] of Map.groupBy(entries, (entry) => entry.timeline)) {
      const mementos = group.map(({ id }) => id);
      const about = { caretaker: facts.header.caretaker, timeline, mementos };
      await vault.store.remove(mementos, vault.notice("removed", about, { import: facts.header.id }));
    }
  }

  /** An import that was cut short may have appended it and no more. What the store has whole is left alone: its own life is its own. */
  async #removeAgain(entry: MementoEntry, isSpent: boolean): Promise<void> {
    const { vault } = this.#ports;
    const { id } = entry;
    const stored = await vault.store.read(id);
    if (stored === null || stored.body === null) return;
    const manifest = (await vault.reader.manifests(stored))[stored.slot] ?? null;
    if (isSpent) {
      if (manifest === null || !isFilledSpent(manifest)) return;
      // An import that was cut short has left it; it goes as those that come now, once a later one is there.
      this.#spent.set(entry.timeline, [...(this.#spent.get(entry.timeline) ?? []), entry]);
    } else if (!stored.removed && !(await this.#isWhole(id))) await this.#remove([entry]);
  }

  async #isWhole(id: string): Promise<boolean> {
    const { vault } = this.#ports;
    const memento = await vault.load(id);
    try {
      for (const key of memento.keys()) await memento.value(key);
      memento.fields();
      return true;
    } catch (error) {
      if (error instanceof MementoError && error.code === "DAMAGED") return false;
      throw error;
    }
  }

  #state(timeline: string): TimelineState {
    const state = this.#states.get(timeline);
    if (state !== undefined) return state;
    throw new MementoError("DAMAGED", `${this.#ports.where} names a timeline ${timeline} that it does not bring`);
  }
}

function entryAt(pack: OpenedPack, slot: number): MementoEntry {
  const entry = pack.header.entries[slot];
  if (entry !== undefined) return entry;
  throw new MementoError("DAMAGED", `A pack has no slot ${slot}`);
}

function overtaken({ record }: TimelineState, why: string): MementoError {
  return new MementoError("CONFLICT", `Timeline ${describeAddress(record)} moved while it was imported: ${why}`, {
    hint: "Import again.",
    details: { timeline: record.key },
  });
}
