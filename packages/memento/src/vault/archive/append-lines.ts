import { MementoError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/json.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { describeAddress, type TimelineRecord, type TimelineState } from "../../core/timeline.ts";
import type { OpenedPack } from "../repack.ts";
import type { Vault } from "../vault.ts";
import type { ImportLeases } from "./import-leases.ts";
import { resealHere } from "./reseal-here.ts";
import { fillSpent } from "./spent-records.ts";

/** What appending to the timelines of a store works with. */
export interface AppendLinesPorts {
  readonly vault: Vault;
  readonly leases: ImportLeases;
  /** Stands in each notice of a removal, and says where it comes from. */
  readonly evidence: JsonObject;
  /** The digest of the memento before this one on its timeline, as far as it is known; asked for only where nothing is left but entries. */
  readonly digestBefore: (entry: MementoEntry) => Promise<string | null>;
}

/**
 * Appends mementos of another place to a store's timelines, with ids, epochs and digests as they were; each pack is sealed
 * anew under the store's own keys. What was removed is removed at once.
 */
export class LinesAppender {
  readonly #ports: AppendLinesPorts;
  readonly #states = new Map<string, TimelineState>();
  /** The sequence number that each timeline has in the store by now. */
  readonly #sequences = new Map<string, number>();
  /** The digest of each timeline's last memento so far, where only entries are left of it. */
  readonly #digests = new Map<string, string | null>();
  /** Mementos of which only entries are left; they are removed once a later one of their timeline is there. */
  readonly #spent = new Map<string, MementoEntry[]>();

  constructor(ports: AppendLinesPorts) {
    this.#ports = ports;
  }

  /** Makes a timeline where there is none (`state` is null), and goes on with it at its head. CONFLICT when somebody else was faster. */
  async begin(record: Omit<TimelineRecord, "check">, state: TimelineState | null): Promise<void> {
    const { vault } = this.#ports;
    const made = state ?? (await this.#make(record));
    if (made.record.key !== record.key) throw overtaken(made, "another one was made at its address");
    this.#states.set(record.key, state ?? vault.verified(made));
    this.#sequences.set(record.key, made.head?.sequence ?? 0);
  }

  /** The sequence number that a timeline has by now; 0 for an empty one. */
  sequenceOf(timeline: string): number {
    return this.#sequences.get(timeline) ?? 0;
  }

  /** A timeline as it was when this began. DAMAGED for one that it has not begun with. */
  stateOf(timeline: string): TimelineState {
    const state = this.#states.get(timeline);
    if (state !== undefined) return state;
    throw new MementoError("DAMAGED", `A memento is of timeline ${timeline}, which nothing has spoken of before`);
  }

  /** Appends slots of a pack, and removes those of them that were removed; gives how many live ones came. LOCKED, CONFLICT. */
  async append(pack: OpenedPack, slots: readonly number[], removed: ReadonlySet<number>): Promise<number> {
    await this.#append(pack, slots);
    const gone = slots.filter((slot) => removed.has(slot)).map((slot) => entryAt(pack, slot));
    await this.remove(gone);
    await this.#removeSpent(new Set(slots.map((slot) => entryAt(pack, slot).timeline)));
    return slots.length - gone.length;
  }

  /** Appends slots of which nothing but the entries is left; they are removed once a later memento of their timeline is there, or by `finish`. */
  async appendSpent(pack: OpenedPack, slots: readonly number[]): Promise<void> {
    for (const slot of slots) {
      const entry = entryAt(pack, slot);
      if (!this.#digests.has(entry.timeline)) this.#digests.set(entry.timeline, await this.#ports.digestBefore(entry));
    }
    await this.#append(fillSpent(pack, slots, this.#digests), slots);
    for (const slot of slots) this.removeLater(entryAt(pack, slot));
  }

  /** Has a memento removed once a later one of its timeline is there, or by `finish`. */
  removeLater(entry: MementoEntry): void {
    this.#spent.set(entry.timeline, [...(this.#spent.get(entry.timeline) ?? []), entry]);
  }

  async remove(entries: readonly MementoEntry[]): Promise<void> {
    const { vault, evidence } = this.#ports;
    for (const [timeline, group] of Map.groupBy(entries, (entry) => entry.timeline)) {
      const mementos = group.map(({ id }) => id);
      const about = { caretaker: group[0]?.caretaker ?? "", timeline, mementos };
      await vault.store.remove(mementos, vault.notice("removed", about, evidence));
    }
  }

  /** Removes what still waits for it. */
  async finish(): Promise<void> {
    await this.#removeSpent(new Set(this.#spent.keys()));
  }

  async #make(record: Omit<TimelineRecord, "check">): Promise<TimelineState> {
    const { vault } = this.#ports;
    const free = vault.leaseOf(record.key, { epoch: 0, owner: null, expiresAt: 0, holder: null });
    return await vault.store.createTimeline({ ...record, check: vault.checks.timeline(record) }, free);
  }

  async #removeSpent(timelines: ReadonlySet<string>): Promise<void> {
    const entries = [...timelines].flatMap((timeline) => this.#spent.get(timeline) ?? []);
    if (entries.length === 0) return;
    for (const timeline of timelines) {
      this.#spent.delete(timeline);
      this.#digests.delete(timeline);
    }
    await this.remove(entries);
    await this.#ports.vault.store.reclaim(entries.map(({ id }) => id));
  }

  async #append(pack: OpenedPack, slots: readonly number[]): Promise<void> {
    if (slots.length === 0) return;
    const { vault, leases } = this.#ports;
    const entries = slots.map((slot) => entryAt(pack, slot));
    for (const { timeline, epoch } of entries) await leases.hold(this.stateOf(timeline), epoch);
    const records = entries.map((entry) => ({
      entry,
      expectedSequence: entry.sequence - 1,
      headCheck: vault.checks.head(entry.timeline, entry.id, entry.sequence),
      // Names move among what comes as they once did; to whom else they belong was looked at before.
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
        throw overtaken(this.stateOf(entry.timeline), `${entry.id} is not its next one any more`);
      this.#sequences.set(entry.timeline, entry.sequence);
    }
  }
}

/** The entry of a slot. DAMAGED where the pack has none. */
export function entryAt(pack: OpenedPack, slot: number): MementoEntry {
  const entry = pack.header.entries[slot];
  if (entry !== undefined) return entry;
  throw new MementoError("DAMAGED", `A pack has no slot ${slot}`);
}

function overtaken({ record }: TimelineState, why: string): MementoError {
  return new MementoError("CONFLICT", `Timeline ${describeAddress(record)} moved while it was imported: ${why}`, {
    hint: "Import or copy again.",
    details: { timeline: record.key },
  });
}
