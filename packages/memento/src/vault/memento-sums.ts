import { createHash, type Hash } from "node:crypto";

import { sha256OfJson } from "../core/digest.ts";
import type { MementoEntry } from "../core/memento.ts";

/** What a store's live mementos come to. */
export interface StoreDigest {
  /** SHA-256 over all live mementos' ids, sequence numbers, labels and the digests of their values; the same for a store and its copy, whatever engine and keys they have. */
  readonly digest: string;
  readonly mementos: number;
  readonly timelines: number;
  /** The same of each timeline, by its key. */
  readonly byTimeline: ReadonlyMap<string, string>;
}

/** One running digest for each timeline, so that only the order within a timeline counts. */
export class MementoSums {
  readonly #timelines = new Map<string, Hash>();
  #mementos = 0;

  /** Takes a memento, after those before it on its timeline; `value` is its record's digest. */
  add({ id, timeline, sequence, labels }: MementoEntry, value: string): void {
    const hash = this.#timelines.get(timeline) ?? createHash("sha256");
    this.#timelines.set(timeline, hash);
    hash.update(`${sha256OfJson([id, sequence, labels, value])}\n`);
    this.#mementos += 1;
  }

  /** The digest of all that came. */
  done(): StoreDigest {
    const byTimeline = new Map([...this.#timelines].map(([key, hash]) => [key, hash.digest("base64url")]));
    const sorted = [...byTimeline].toSorted(([a], [b]) => (a < b ? -1 : 1));
    return {
      digest: sha256OfJson(["memento store 1", ...sorted]),
      mementos: this.#mementos,
      timelines: byTimeline.size,
      byTimeline,
    };
  }
}
