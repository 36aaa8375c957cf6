import { MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { openPack } from "../repack.ts";
import type { Vault } from "../vault.ts";
import { LinesAppender } from "./append-lines.ts";
import type { ArchiveFacts } from "./archive-facts.ts";
import type { LineStanding } from "./import-check.ts";
import { ImportLeases } from "./import-leases.ts";
import { readItems, type PackItem } from "./items.ts";
import { refill, removedOn } from "./refill.ts";
import { isFilledSpent } from "./spent-records.ts";

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
  await using leases = new ImportLeases(ports.vault, `import-${ports.facts.header.id}`);
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
  readonly #lines: LinesAppender;
  /** What was removed in the store of timelines that are to grow. */
  readonly #removed = new Set<string>();

  constructor(ports: LinesImportPorts, leases: ImportLeases) {
    this.#ports = ports;
    this.#leases = leases;
    this.#lines = new LinesAppender({
      vault: ports.vault,
      leases,
      evidence: { import: ports.facts.header.id },
      digestBefore: async ({ timeline, sequence }) =>
        ports.facts.lines.get(timeline)?.records[sequence - 2]?.digest ?? null,
    });
  }

  async begin(): Promise<void> {
    const { vault, standings } = this.#ports;
    const isWhole = standings.every(({ missing }) => missing === 0);
    for (const { line, state } of standings) {
      const { t: _t, epoch: _epoch, head: _head, ...record } = line.item;
      await this.#lines.begin(record, state);
      if (state === null || isWhole) continue;
      for (const id of await removedOn(vault, record.key)) this.#removed.add(id);
    }
  }

  async pack(item: PackItem, [header, body]: readonly Uint8Array[]): Promise<void> {
    const { vault, where } = this.#ports;
    const pack = openPack({ header: header ?? new Uint8Array(), body: body ?? new Uint8Array() }, null, where);
    const removed = new Set(item.removed);
    const missing: number[] = [];
    for (const [slot, entry] of pack.header.entries.entries()) {
      if (entry.sequence > this.#lines.sequenceOf(entry.timeline)) missing.push(slot);
      else if (!item.isSpent && this.#removed.has(entry.id)) await refill(vault, pack, entry.id);
      else if (removed.has(slot)) await this.#removeAgain(entry, item.isSpent);
    }
    if (item.isSpent) await this.#lines.appendSpent(pack, missing);
    else this.appended += await this.#lines.append(pack, missing, removed);
    this.#ports.onMementos(pack.header.entries.length - removed.size);
  }

  async finish(): Promise<void> {
    await this.#lines.finish();
    const epochs = this.#ports.standings.map(({ line: { item } }) => [item.key, item.epoch] as const);
    await this.#leases.finish(new Map(epochs.map(([key, epoch]) => [key, { state: this.#lines.stateOf(key), epoch }])));
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
      this.#lines.removeLater(entry);
    } else if (!stored.removed && !(await this.#isWhole(id))) await this.#lines.remove([entry]);
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
}
