import { sha256 } from "../../core/digest.ts";
import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { MementoQuery } from "../query.ts";
import type { LogPosition, LogRow, LogRows } from "../scan.ts";
import type { PackGlance } from "../store.ts";

/** A commit as the memory store keeps it. The bytes are the store's own copies. */
export interface MemoryCommit {
  header: Uint8Array;
  body: Uint8Array | null;
  readonly accepted: readonly number[];
  /** Parsed from the header; empty for a notice. Frozen, because rows hand them out. */
  readonly entries: readonly MementoEntry[];
  readonly removed: Set<number>;
}

/** The memory store's commits in their order, and where each timeline's mementos are in them. */
export class MemoryLog implements LogRows {
  readonly commits: MemoryCommit[] = [];
  readonly #places = new Map<string, LogPosition[]>();

  add(commit: MemoryCommit): void {
    const number = this.commits.push(commit) - 1;
    for (const slot of commit.accepted) {
      const timeline = commit.entries[slot]?.timeline ?? "";
      const places = this.#places.get(timeline);
      if (places === undefined) this.#places.set(timeline, [{ commit: number, slot }]);
      else places.push({ commit: number, slot });
    }
  }

  /** Where the memento with this id is; null when there is none. */
  find(id: string): { readonly commit: MemoryCommit; readonly slot: number; readonly entry: MementoEntry } | null {
    const parts = parseMementoId(id);
    const place = parts && this.#places.get(parts.timeline)?.[parts.sequence - 1];
    const commit = place && this.commits[place.commit];
    const entry = commit?.entries[place?.slot ?? -1];
    return place && commit && entry?.id === id ? { commit, slot: place.slot, entry } : null;
  }

  /** What is known of a memento's pack; null when there is none. */
  glance(id: string): PackGlance | null {
    const found = this.find(id);
    if (found === null) return null;
    const { header, body, removed } = found.commit;
    const { slot } = found;
    return { slot, removed: removed.has(slot), headerDigest: sha256(header), bodyBytes: body?.byteLength ?? null };
  }

  /** What all commits take up. */
  get bytes(): number {
    return this.commits.reduce((sum, { header, body }) => sum + header.byteLength + (body?.byteLength ?? 0), 0);
  }

  at({ commit: number, slot }: LogPosition): LogRow | null {
    const commit = this.commits[number];
    const entry = commit?.entries[slot];
    if (commit === undefined || entry === undefined || !commit.accepted.includes(slot)) return null;
    const packBytes = commit.header.byteLength + (commit.body?.byteLength ?? 0);
    return { commit: number, slot, entry, packBytes, removed: commit.removed.has(slot) };
  }

  *rows(query: MementoQuery, after: LogPosition | null): Iterable<LogRow> {
    const step = query.order === "ascending" ? 1 : -1;
    const places =
      query.timeline === null ? this.#allPlaces(step, after) : this.#timelinePlaces(query.timeline, step, after);
    for (const place of places) {
      const row = this.at(place);
      if (row !== null) yield row;
    }
  }

  *#allPlaces(step: 1 | -1, after: LogPosition | null): Iterable<LogPosition> {
    const first = step === 1 ? 0 : this.commits.length - 1;
    for (let number = after?.commit ?? first; number >= 0 && number < this.commits.length; number += step) {
      const accepted = this.commits[number]?.accepted ?? [];
      for (const slot of step === 1 ? accepted : accepted.toReversed()) {
        const place = { commit: number, slot };
        if (after === null || isBehind(place, after, step)) yield place;
      }
    }
  }

  *#timelinePlaces(timeline: string, step: 1 | -1, after: LogPosition | null): Iterable<LogPosition> {
    const places = this.#places.get(timeline) ?? [];
    for (let index = step === 1 ? 0 : places.length - 1; index >= 0 && index < places.length; index += step) {
      const place = places[index];
      if (place !== undefined && (after === null || isBehind(place, after, step))) yield place;
    }
  }
}

function isBehind(place: LogPosition, after: LogPosition, step: 1 | -1): boolean {
  return (place.commit - after.commit || place.slot - after.slot) * step > 0;
}
