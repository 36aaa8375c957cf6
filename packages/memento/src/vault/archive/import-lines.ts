import { MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineState } from "../../core/timeline.ts";
import { DEFAULT_COMPRESSION } from "../compression.ts";
import { openPack, repack, wholeSlots, type OpenedPack } from "../repack.ts";
import type { Vault } from "../vault.ts";
import type { ArchiveFacts } from "./archive-facts.ts";
import type { LineStanding } from "./import-check.ts";
import { ImportLeases } from "./import-leases.ts";
import { readItems, type PackItem } from "./items.ts";

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

  constructor(ports: LinesImportPorts, leases: ImportLeases) {
    this.#ports = ports;
    this.#leases = leases;
  }

  async begin(): Promise<void> {
    const { vault, standings } = this.#ports;
    for (const { line, state } of standings) {
      const { t: _t, epoch: _epoch, head: _head, ...record } = line.item;
      const fixed = { ...record, check: vault.checks.timeline(record) };
      const free = vault.leaseOf(record.key, { epoch: 0, owner: null, expiresAt: 0, holder: null });
      const made = state ?? vault.verified(await vault.store.createTimeline(fixed, free));
      if (made.record.key !== record.key) throw overtaken(made, "another one was made at its address");
      this.#states.set(record.key, made);
      this.#sequences.set(record.key, made.head?.sequence ?? 0);
    }
  }

  async pack(item: PackItem, [header, body]: readonly Uint8Array[]): Promise<void> {
    const { where } = this.#ports;
    const pack = openPack({ header: header ?? new Uint8Array(), body: body ?? new Uint8Array() }, null, where);
    const removed = new Set(item.removed);
    const missing: number[] = [];
    for (const [slot, entry] of pack.header.entries.entries()) {
      if (entry.sequence > (this.#sequences.get(entry.timeline) ?? 0)) missing.push(slot);
      else if (removed.has(slot)) await this.#removeAgain(entry, item.isSpent);
    }
    if (missing.length > 0) await this.#append(pack, missing);
    const gone = missing.filter((slot) => removed.has(slot));
    this.appended += missing.length - gone.length;
    await this.#remove(
      gone.map((slot) => entryAt(pack, slot)),
      item.isSpent,
    );
    this.#ports.onMementos(pack.header.entries.length - removed.size);
  }

  async finish(): Promise<void> {
    const epochs = this.#ports.standings.map(({ line: { item } }) => [item.key, item.epoch] as const);
    await this.#leases.finish(new Map(epochs.map(([key, epoch]) => [key, { state: this.#state(key), epoch }])));
  }

  async #append(pack: OpenedPack, slots: readonly number[]): Promise<void> {
    const { vault, facts } = this.#ports;
    const entries = slots.map((slot) => entryAt(pack, slot));
    for (const { timeline, epoch } of entries) await this.#leases.hold(this.#state(timeline), epoch);
    const sealing = (await vault.dataKeys?.forSealing(facts.header.caretaker)) ?? null;
    const { header, body } = await repack(pack, wholeSlots(slots), {
      dataKey: sealing?.key ?? null,
      compression: DEFAULT_COMPRESSION,
      random: vault.random,
    });
    const records = entries.map((entry) => ({
      entry,
      expectedSequence: entry.sequence - 1,
      headCheck: vault.checks.head(entry.timeline, entry.id, entry.sequence),
      // Names move within the file as they once did; to whom else they belong was looked at before.
      replaceName: true,
    }));
    const results = await vault.store.append({ header, body, records, dataKey: sealing?.record ?? null });
    if (sealing !== null && results.some(({ outcome }) => outcome === "appended"))
      vault.dataKeys?.stored(sealing.key.id);
    for (const [index, entry] of entries.entries()) {
      if (results[index]?.outcome !== "appended")
        throw overtaken(this.#state(entry.timeline), `${entry.id} is not its next one any more`);
      this.#sequences.set(entry.timeline, entry.sequence);
    }
  }

  async #remove(entries: readonly MementoEntry[], isSpent: boolean): Promise<void> {
    const { vault, facts } = this.#ports;
    for (const [timeline, group] of Map.groupBy(entries, (entry) => entry.timeline)) {
      const mementos = group.map(({ id }) => id);
      const about = { caretaker: facts.header.caretaker, timeline, mementos };
      await vault.store.remove(mementos, vault.notice("removed", about, { import: facts.header.id }));
    }
    if (isSpent && entries.length > 0) await vault.store.reclaim(entries.map(({ id }) => id));
  }

  /** An import that was cut short may have appended it and no more. What the store has whole is left alone: its own life is its own. */
  async #removeAgain(entry: MementoEntry, isSpent: boolean): Promise<void> {
    const { vault } = this.#ports;
    const { id } = entry;
    const stored = await vault.store.read(id);
    if (stored === null || stored.body === null) return;
    const manifest = (await vault.reader.manifests(stored))[stored.slot] ?? null;
    if (stored.removed && (manifest !== null || !isSpent)) return;
    if (manifest !== null && (await this.#isWhole(id))) return;
    await this.#remove([entry], manifest === null);
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
