import { MementoError } from "../../core/errors.ts";
import { admit, checkBatch } from "../admit.ts";
import type { AppendBatch, AppendRecord, AppendResult } from "../store.ts";
import type { Catalogue, OpenTimeline } from "./catalogue.ts";
import type { Keys } from "./keys.ts";
import type { Names } from "./names.ts";
import type { Packs } from "./packs.ts";
import type { Stamps } from "./stamps.ts";
import { EVERYTHING, type TimelineEntry, type TimelineStanding } from "./timeline-log.ts";
import { concurrently } from "./turns.ts";

/** What an append works with. */
export interface AppendParts {
  readonly catalogue: Catalogue;
  readonly packs: Packs;
  readonly keys: Keys;
  readonly names: Names;
  readonly stamps: Stamps;
}

/** The records of one timeline in a batch: appended by one entry of its log, all or none. */
interface Group {
  readonly timeline: OpenTimeline;
  readonly batch: AppendBatch;
  /** Where each record is in the whole batch. */
  readonly slots: readonly number[];
}

const GROUPS_AT_ONCE = 8;
const ATTEMPTS_MAX = 100;

/**
 * Appends a batch: data key, pack, claims of names, and then one log entry for each timeline. Only the entry makes the
 * records exist; whatever a crash leaves before it is nobody's.
 */
export async function appendBatch(
  batch: AppendBatch,
  store: { readonly sealed: boolean; readonly bodyBytesMax: number },
  parts: AppendParts,
): Promise<readonly AppendResult[]> {
  const { entries, dataKey } = checkBatch(batch, store);
  const results: AppendResult[] = batch.records.map(() => ({ outcome: "conflict", head: null }));
  // The log repeats what the header says, not what was said beside it.
  const records = batch.records.map((record, slot) => ({ ...record, entry: entries[slot] ?? record.entry }));
  const groups = await groupByTimeline({ ...batch, records }, parts.catalogue);
  const append = new BatchAppend(batch, dataKey, parts);
  const settle = async (group: Group): Promise<void> => {
    const outcome = await append.group(group);
    for (const [index, slot] of group.slots.entries())
      results[slot] = outcome[index] ?? { outcome: "conflict", head: null };
  };
  const isNamed = (group: Group): boolean => group.batch.records.some(({ entry }) => entry.name !== undefined);
  // One after the other, so that a name that is taken twice in the batch goes to the first.
  for (const group of groups.filter(isNamed)) await settle(group);
  await concurrently(
    groups.filter((group) => !isNamed(group)),
    GROUPS_AT_ONCE,
    settle,
  );
  await append.finish();
  return results;
}

async function groupByTimeline(batch: AppendBatch, catalogue: Catalogue): Promise<Group[]> {
  const slots = new Map<string, number[]>();
  for (const [slot, { entry }] of batch.records.entries()) {
    const group = slots.get(entry.timeline);
    if (group === undefined) slots.set(entry.timeline, [slot]);
    else group.push(slot);
  }
  const groups: Group[] = [];
  for (const [key, its] of slots) {
    const timeline = await catalogue.timeline(key);
    if (timeline === null) continue;
    if (timeline.log.known === null) await timeline.log.refresh();
    const records = its.map((slot) => batch.records[slot]).filter((record) => record !== undefined);
    groups.push({ timeline, batch: { ...batch, records }, slots: its });
  }
  return groups;
}

class BatchAppend {
  readonly #batch: AppendBatch;
  readonly #dataKey: string | null;
  readonly #parts: AppendParts;
  readonly #stamp: number;
  #pack: Promise<string> | null = null;
  /** Packs that an entry speaks of. */
  readonly #used = new Set<string>();
  /** Packs that surely no entry speaks of. */
  readonly #unused = new Set<string>();

  constructor(batch: AppendBatch, dataKey: string | null, parts: AppendParts) {
    this.#batch = batch;
    this.#dataKey = dataKey;
    this.#parts = parts;
    // One stamp for all timelines: so the batch stands together wherever commits are put in one order.
    this.#stamp = parts.stamps.next();
  }

  /** Appends the records of one timeline; one result for each. */
  async group(group: Group): Promise<readonly AppendResult[]> {
    const { log } = group.timeline;
    const ids = group.batch.records.map(({ entry }) => entry.id);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const holders = await this.#holders(group.batch.records);
      const refused = await refusal(group, holders);
      if (refused !== null) return refused;
      const voids = countVoids(log.known?.state, ids);
      // In this order: when the key is retired from here on, the count grows.
      if (this.#dataKey !== null) await this.#parts.keys.demandSealing(this.#dataKey);
      const pack = await this.#writtenPack();
      const claims = await this.#claim(group.batch.records);
      if (claims === null) continue;
      const outcome = await this.#commit(group, pack, voids);
      if (outcome === "voided") {
        this.#pack = null;
        continue;
      }
      for (const { caretaker, name, generation } of claims) await this.#parts.names.tidy(caretaker, name, generation);
      return outcome;
    }
    throw new MementoError("LOCKED", `Others claim the names of ${ids.join(", ")} all the time`);
  }

  /** Takes back the packs that no entry speaks of. */
  async finish(): Promise<void> {
    for (const id of this.#unused) if (!this.#used.has(id)) await this.#parts.packs.discard(id);
  }

  async #commit(group: Group, pack: string, voids: number): Promise<readonly AppendResult[] | "voided"> {
    const ids = group.batch.records.map(({ entry }) => entry.id);
    // An error may hide an entry that was made; then the pack must stay.
    this.#unused.delete(pack);
    const outcome = await group.timeline.log.commit<{ results: readonly AppendResult[] | "voided"; made: boolean }>(
      (tail) => {
        const { results, accepted } = admit(group.batch, viewOf(group.timeline, tail.state, new Map()));
        if (accepted.length === 0) return { entry: null, result: { results, made: false } };
        if (countVoids(tail.state, ids) !== voids) return { entry: null, result: { results: "voided", made: false } };
        return { entry: this.#entry(group, pack), stamp: this.#stamp, result: { results, made: true } };
      },
    );
    if (outcome.made) this.#used.add(pack);
    else if (!this.#used.has(pack)) this.#unused.add(pack);
    return outcome.results;
  }

  #entry({ batch, slots }: Group, pack: string): TimelineEntry {
    return {
      kind: "append",
      sequence: batch.records.at(-1)?.entry.sequence ?? 0,
      pack,
      packBytes: batch.header.byteLength + batch.body.byteLength,
      records: batch.records.map(({ entry, headCheck }, index) => ({ slot: slots[index] ?? 0, entry, headCheck })),
    };
  }

  /** The pack, written once for all groups that need it. */
  async #writtenPack(): Promise<string> {
    this.#pack ??= this.#writePack();
    return await this.#pack;
  }

  async #writePack(): Promise<string> {
    const { dataKey, header, body } = this.#batch;
    if (dataKey !== null) await this.#parts.keys.add(dataKey);
    const id = await this.#parts.packs.write(header, body);
    this.#unused.add(id);
    return id;
  }

  /** Who has the names that the records want, as of now. */
  async #holders(records: readonly AppendRecord[]): Promise<ReadonlyMap<string, string | null>> {
    const holders = new Map<string, string | null>();
    for (const { entry } of records) {
      const { caretaker, name } = entry;
      if (name === undefined || holders.has(nameText(caretaker, name))) continue;
      holders.set(nameText(caretaker, name), await this.#parts.names.holder(caretaker, name));
    }
    return holders;
  }

  /** Claims each name for the last record that wants it. null when somebody was faster. */
  async #claim(
    records: readonly AppendRecord[],
  ): Promise<readonly { readonly caretaker: string; readonly name: string; readonly generation: number }[] | null> {
    const wishes = new Map<string, { caretaker: string; name: string; id: string; replace: boolean }>();
    for (const { entry, replaceName } of records) {
      const { caretaker, name, id } = entry;
      if (name === undefined) continue;
      const earlier = wishes.get(nameText(caretaker, name));
      // The first of several decides whether the name may be taken from others; see `admit`.
      wishes.set(nameText(caretaker, name), { caretaker, name, id, replace: earlier?.replace ?? replaceName });
    }
    const claims = [];
    for (const { caretaker, name, id, replace } of wishes.values()) {
      const outcome = await this.#parts.names.claim(caretaker, name, id, replace);
      if ("holder" in outcome) return null;
      claims.push({ caretaker, name, generation: outcome.generation });
    }
    return claims;
  }
}

/** The results by which a group is refused as its timeline and the names stand now; null when it may go on. */
async function refusal(
  { timeline, batch }: Group,
  holders: ReadonlyMap<string, string | null>,
): Promise<readonly AppendResult[] | null> {
  const known = timeline.log.known;
  if (known !== null) {
    const { accepted } = admit(batch, viewOf(timeline, known.state, holders));
    if (accepted.length > 0) return null;
  }
  const { state } = await timeline.log.refresh();
  const { results, accepted } = admit(batch, viewOf(timeline, state, holders));
  return accepted.length > 0 ? null : results;
}

function viewOf(
  { record }: OpenTimeline,
  { head, lease }: TimelineStanding,
  holders: ReadonlyMap<string, string | null>,
): Parameters<typeof admit>[1] {
  return {
    timeline: (key) => (key === record.key ? { head, epoch: lease.epoch } : null),
    holder: (caretaker, name) => holders.get(nameText(caretaker, name)) ?? null,
  };
}

/** How often any of these, or all that anybody has prepared, was voided: when the count has grown, it is to be prepared anew. */
function countVoids(state: TimelineStanding | undefined, ids: readonly string[]): number {
  return [...ids, EVERYTHING].reduce((sum, id) => sum + (state?.voids[id] ?? 0), 0);
}

const nameText = (caretaker: string, name: string): string => JSON.stringify([caretaker, name]);
