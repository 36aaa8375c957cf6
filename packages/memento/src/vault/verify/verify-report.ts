import { parseMementoId } from "../../core/ids.ts";
import type { RecordTable } from "./record-table.ts";

/** One thing that is damaged. */
export interface Damage {
  /** One sentence: what is wrong and where. */
  readonly problem: string;
  /** Live mementos that cannot be trusted because of it. */
  readonly mementos: readonly string[];
  /** For each of them the nearest good memento of its timeline; null where there is none. */
  readonly nearestGood: Readonly<Record<string, string | null>>;
  /** For each of them the keys of its pieces that are lost, as far as that can be told; null: all that its own record holds. */
  readonly lost: Readonly<Record<string, readonly string[] | null>>;
}

/** How much was read. */
export type VerifyDepth = "everything" | "index" | "sample" | "memento";

/** What verifying found. */
export interface VerifyReport {
  readonly sound: boolean;
  readonly depth: VerifyDepth;
  /** Live mementos whose every piece was read and checked. */
  readonly mementos: number;
  /** Live mementos in the index. */
  readonly total: number;
  /** Bytes of the packs that were read. */
  readonly bytes: number;
  /** What was not read, in one sentence; null when everything was. */
  readonly notRead: string | null;
  /** By which a sample was drawn; null elsewhere. */
  readonly seed: string | null;
  readonly damages: readonly Damage[];
}

/** Something that was found, before it is known what else was. */
export interface Finding {
  readonly problem: string;
  readonly mementos: readonly string[];
  /** By memento; those that are not in it have lost nothing, as far as this finding says. */
  readonly lost: Readonly<Record<string, readonly string[] | null>>;
  /** Records, removed ones among them, that are damaged and lie behind it. */
  readonly broken: readonly string[];
}

/** Turns findings into damages: live mementos only, each with its nearest good one. `isListed`: the table has all that live. */
export function damagesOf(findings: readonly Finding[], table: RecordTable, isListed: boolean): readonly Damage[] {
  const bad = new Set(findings.flatMap(({ mementos }) => mementos));
  const nearest = new NearestGood(table, bad);
  return findings.map(({ problem, mementos, lost }) => {
    // A list that damage cut short cannot say what is not live.
    const live = mementos.filter((id) => !isListed || table.isLive(id));
    return {
      problem,
      mementos: live,
      nearestGood: Object.fromEntries(live.map((id) => [id, nearest.of(id)])),
      lost: Object.fromEntries(live.map((id) => [id, lost[id] === undefined ? [] : lost[id]])),
    };
  });
}

class NearestGood {
  readonly #table: RecordTable;
  readonly #bad: ReadonlySet<string>;
  /** Good mementos by timeline, in their order; made when the first one is asked for. */
  #good: Map<string, { readonly id: string; readonly sequence: number }[]> | null = null;

  constructor(table: RecordTable, bad: ReadonlySet<string>) {
    this.#table = table;
    this.#bad = bad;
  }

  of(id: string): string | null {
    const place = parseMementoId(id);
    if (place === undefined) return null;
    let best: { readonly id: string; readonly distance: number } | null = null;
    for (const { id: other, sequence } of this.#timelines().get(place.timeline) ?? []) {
      // Of two that are as near, the earlier one.
      const distance = Math.abs(sequence - place.sequence) + (sequence > place.sequence ? 0.5 : 0);
      if (best === null || distance < best.distance) best = { id: other, distance };
    }
    return best?.id ?? null;
  }

  #timelines(): Map<string, { readonly id: string; readonly sequence: number }[]> {
    if (this.#good !== null) return this.#good;
    this.#good = new Map();
    for (const id of this.#table.live()) {
      const place = this.#bad.has(id) ? undefined : parseMementoId(id);
      if (place === undefined) continue;
      const its = this.#good.get(place.timeline);
      if (its === undefined) this.#good.set(place.timeline, [{ id, sequence: place.sequence }]);
      else its.push({ id, sequence: place.sequence });
    }
    return this.#good;
  }
}
