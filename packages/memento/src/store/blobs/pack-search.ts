import type { MementoEntry } from "../../core/memento.ts";
import type { Lease } from "../../core/timeline.ts";
import type { IndexAuthority } from "../store.ts";
import type { StoreParts } from "./catalogue.ts";
import { problemOr } from "./check-log.ts";
import { Log, type Tail } from "./log.ts";
import type { LostEntry } from "./mend-log.ts";
import type { Packs } from "./packs.ts";
import { appendIn, headSequence, timelineMeaning, type TimelineEntry, type TimelineStanding } from "./timeline-log.ts";

interface FoundPack {
  readonly pack: string;
  readonly packBytes: number;
  /** This timeline's slots, in the order of their sequence numbers. */
  readonly slots: readonly { readonly slot: number; readonly entry: MementoEntry }[];
}

/** Finds out what a timeline's lost entries were, by the packs that are there. */
export class PackSearch {
  readonly #parts: StoreParts & { readonly packs: Packs };
  /** By timeline; all packs are read once, when the first entry is missed. */
  #packs: Map<string, FoundPack[]> | null = null;

  constructor(parts: StoreParts & { readonly packs: Packs }) {
    this.#parts = parts;
  }

  /** A timeline's log, opened beside the catalogue, which may not find it. */
  logOf(key: string, lease: Lease): Log<TimelineEntry, TimelineStanding> {
    const place = { kind: "timeline", id: key, folder: this.#parts.paths.timeline(key) } as const;
    return new Log({ ...this.#parts, place, meaning: timelineMeaning(lease) });
  }

  /** The entry that was lost, if it was an append; else one that says nothing. */
  async entryFor(
    key: string,
    { position, before, after, more }: LostEntry<TimelineEntry>,
    state: Tail<TimelineStanding> | null,
    authority: IndexAuthority,
  ): Promise<TimelineEntry | null> {
    const from = before?.entry.sequence ?? 0;
    const nothing = { kind: "void", sequence: from, id: "lost" } as const;
    const append = after === null ? null : appendIn(after);
    const next = append?.records[0]?.entry;
    const reached = next === undefined ? after?.entry.sequence : next.sequence - 1;
    const known = state !== null && state.position >= position + more ? headSequence(state.state) : null;
    const to = reached ?? known;
    if (to === from) return nothing;
    const parent = before === null ? null : (appendIn(before)?.records.at(-1)?.entry.id ?? null);
    const all = [...(await this.#of(key)), ...(await this.#inEntry(key, position))];
    const packs = all.filter(({ slots }) => slots[0]?.entry.sequence === from + 1);
    const fitting = packs.filter(({ slots }) => {
      const last = slots.at(-1)?.entry;
      const inside = to === null || (last?.sequence ?? 0) <= to;
      const followed = last?.sequence !== reached || next === undefined || next.parent === last?.id;
      const follows = parent === null || slots[0]?.entry.parent === parent;
      const head = state?.state.head ?? null;
      const isHead = head === null || last?.sequence !== head.sequence || head.id === last.id;
      return inside && followed && follows && isHead;
    });
    const [found] = fitting;
    // The first of several lost entries may have been no append at all.
    if (found === undefined) return to === null || more > 0 ? nothing : null;
    if (fitting.length > 1) return null;
    const records = found.slots.map(({ slot, entry }) => ({
      slot,
      entry,
      headCheck: authority.headCheck(key, entry.id, entry.sequence),
    }));
    const sequence = records.at(-1)?.entry.sequence ?? from;
    return { kind: "append", sequence, pack: found.pack, packBytes: found.packBytes, records };
  }

  /** The pack that lies behind a damaged entry, where that is sound. */
  async #inEntry(key: string, position: number): Promise<readonly FoundPack[]> {
    const { packs, paths } = this.#parts;
    const pack = paths.inlinePack(key, position);
    const { value } = await problemOr(() => packs.demand(pack, []));
    return value === null ? [] : [foundPack(pack, value, (entry) => entry.timeline === key)];
  }

  async #of(key: string): Promise<readonly FoundPack[]> {
    this.#packs ??= await this.#readAll();
    return this.#packs.get(key) ?? [];
  }

  async #readAll(): Promise<Map<string, FoundPack[]>> {
    const { files, paths, packs } = this.#parts;
    const all = new Map<string, FoundPack[]>();
    for await (const pack of files.list(paths.packs)) {
      const { value } = await problemOr(() => packs.demand(pack, []));
      if (value === null) continue;
      for (const timeline of new Set(value.understood.entries.map((entry) => entry.timeline))) {
        const found = foundPack(pack, value, (entry) => entry.timeline === timeline);
        const others = all.get(timeline);
        if (others === undefined) all.set(timeline, [found]);
        else others.push(found);
      }
    }
    return all;
  }
}

function foundPack(
  pack: string,
  { header, understood }: Awaited<ReturnType<Packs["demand"]>>,
  isWanted: (entry: MementoEntry) => boolean,
): FoundPack {
  // As it was appended; its body may be gone by now.
  const bodyBytes = understood.sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
  const slots = understood.entries.map((entry, slot) => ({ slot, entry })).filter(({ entry }) => isWanted(entry));
  return {
    pack,
    packBytes: header.byteLength + bodyBytes,
    slots: slots.toSorted((a, b) => a.entry.sequence - b.entry.sequence),
  };
}
