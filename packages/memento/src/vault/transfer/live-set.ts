import { parseMementoId } from "../../core/ids.ts";
import type { MementoEntry } from "../../core/memento.ts";

/** Live mementos by timeline and sequence number: two stores that share a timeline have the same memento there, or the copy is refused. */
export class LiveSet {
  readonly #timelines = new Map<string, Set<number>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add({ timeline, sequence }: Pick<MementoEntry, "timeline" | "sequence">): void {
    const known = this.#timelines.get(timeline);
    if (known?.has(sequence) === true) return;
    this.#size += 1;
    if (known === undefined) this.#timelines.set(timeline, new Set([sequence]));
    else known.add(sequence);
  }

  delete({ timeline, sequence }: Pick<MementoEntry, "timeline" | "sequence">): void {
    if (this.#timelines.get(timeline)?.delete(sequence) === true) this.#size -= 1;
  }

  /** Leaves out what another set has not. */
  retain(other: LiveSet): void {
    for (const [timeline, sequences] of this.#timelines)
      for (const sequence of sequences) if (!other.has({ timeline, sequence })) this.delete({ timeline, sequence });
  }

  has({ timeline, sequence }: Pick<MementoEntry, "timeline" | "sequence">): boolean {
    return this.#timelines.get(timeline)?.has(sequence) === true;
  }

  hasId(id: string): boolean {
    const place = parseMementoId(id);
    return place !== undefined && this.has(place);
  }

  /** Timelines that have any. */
  timelines(): IterableIterator<string> {
    return this.#timelines.keys();
  }
}
