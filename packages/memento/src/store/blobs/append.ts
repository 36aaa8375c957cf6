import { MementoError } from "../../core/errors.ts";
import { admit, checkBatch } from "../admit.ts";
import type { AppendBatch, AppendRecord, AppendResult } from "../store.ts";
import type { BlobTuning } from "./blob-port.ts";
import type { Catalogue, OpenTimeline } from "./catalogue.ts";
import type { Keys, SealedPlace } from "./keys.ts";
import type { NameLook, Names, NameWish, TakenName } from "./names.ts";
import type { Packs } from "./packs.ts";
import type { StorePaths } from "./paths.ts";
import type { Stamps } from "./stamps.ts";
import { EVERYTHING, type TimelineEntry, type TimelineStanding } from "./timeline-log.ts";
import { concurrently } from "./turns.ts";

/** What an append works with. */
export interface AppendParts {
  readonly catalogue: Catalogue;
  readonly packs: Packs;
  readonly keys: Keys;
  readonly names: Names;
  readonly paths: StorePaths;
  readonly stamps: Stamps;
  readonly tuning: BlobTuning;
}

/** The records of one timeline in a batch: appended by one entry of its log, all or none. */
interface Group {
  readonly timeline: OpenTimeline;
  readonly batch: AppendBatch;
  /** Where each record is in the whole batch. */
  readonly slots: readonly number[];
}

const ATTEMPTS_MAX = 100;

/**
 * Appends a batch: data key, pack, claims of names, and then one log entry for each timeline. Only the entry makes the
 * records exist; whatever a crash leaves before it is nobody's. A small pack of one timeline lies in its entry.
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
  const groups = await groupByTimeline({ ...batch, records }, parts.catalogue, parts.tuning);
  const append = new BatchAppend(batch, { dataKey, isAlone: groups.length === 1 }, parts);
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
    parts.tuning.requestsAtOnce,
    settle,
  );
  await append.finish();
  return results;
}

async function groupByTimeline(
  batch: AppendBatch,
  catalogue: Catalogue,
  { requestsAtOnce }: BlobTuning,
): Promise<Group[]> {
  const slots = new Map<string, number[]>();
  for (const [slot, { entry }] of batch.records.entries()) {
    const group = slots.get(entry.timeline);
    if (group === undefined) slots.set(entry.timeline, [slot]);
    else group.push(slot);
  }
  const groups = await concurrently([...slots], requestsAtOnce, async ([key, its]): Promise<Group | null> => {
    const timeline = await catalogue.timeline(key);
    if (timeline === null) return null;
    if (timeline.log.known === null) await timeline.log.refresh();
    const records = its.map((slot) => batch.records[slot]).filter((record) => record !== undefined);
    return { timeline, batch: { ...batch, records }, slots: its };
  });
  return groups.filter((group) => group !== null);
}

/** By the text of caretaker and name. */
type NameLooks = ReadonlyMap<string, NameLook>;

/** What lies ready for the entries of a batch: the pack under an id of its own, or its frame, to lie in the entry. */
type ReadyPack = { readonly id: string } | { readonly attached: readonly Uint8Array[] };

class BatchAppend {
  readonly #batch: AppendBatch;
  readonly #dataKey: string | null;
  readonly #isInline: boolean;
  readonly #parts: AppendParts;
  readonly #stamp: number;
  #pack: Promise<ReadyPack> | null = null;
  /** Packs that an entry speaks of. */
  readonly #used = new Set<string>();
  /** Packs that surely no entry speaks of. */
  readonly #unused = new Set<string>();
  /** The last slot that was given each name, by the text of caretaker and name. */
  readonly #named = new Map<string, number>();

  constructor(
    batch: AppendBatch,
    { dataKey, isAlone }: { readonly dataKey: string | null; readonly isAlone: boolean },
    parts: AppendParts,
  ) {
    this.#batch = batch;
    this.#dataKey = dataKey;
    this.#isInline = isAlone && packBytes(batch) <= parts.tuning.inlineBytesMax;
    this.#parts = parts;
    // One stamp for all timelines: so the batch stands together wherever commits are put in one order.
    this.#stamp = parts.stamps.next();
  }

  /** Appends the records of one timeline; one result for each. */
  async group(group: Group): Promise<readonly AppendResult[]> {
    const { log, record } = group.timeline;
    const ids = group.batch.records.map(({ entry }) => entry.id);
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      const looks = await this.#looks(group.batch.records);
      const refused = await refusal(group, looks);
      if (refused !== null) return refused;
      const voids = countVoids(log.known?.state, ids);
      const at = { timeline: record.key, group: record.caretaker, voids: countVoids(log.known?.state, []) };
      // In this order: when the key is retired from here on, the count grows.
      await this.#readyKey(at);
      this.#pack ??= this.#readyPack();
      const pack = await this.#pack;
      const claims = await this.#claim(group, looks);
      if (claims === null) continue;
      const outcome = await this.#commit(group, pack, voids);
      if (outcome === "voided") {
        this.#pack = null;
        continue;
      }
      if (outcome.every((result) => result.outcome === "appended")) this.#rememberNames(group);
      await Promise.all(claims.map((claim) => this.#parts.names.tidy(claim)));
      return outcome;
    }
    throw new MementoError("LOCKED", `Others claim the names of ${ids.join(", ")} all the time`);
  }

  /** Takes back the packs that no entry speaks of. */
  async finish(): Promise<void> {
    for (const id of this.#unused) if (!this.#used.has(id)) await this.#parts.packs.discard(id);
  }

  async #commit(group: Group, pack: ReadyPack, voids: number): Promise<readonly AppendResult[] | "voided"> {
    const ids = group.batch.records.map(({ entry }) => entry.id);
    // An error may hide an entry that was made; then the pack must stay.
    if ("id" in pack) this.#unused.delete(pack.id);
    const outcome = await group.timeline.log.commit<{ results: readonly AppendResult[] | "voided"; made: boolean }>(
      (tail) => {
        const { results, accepted } = admit(group.batch, viewOf(group.timeline, tail.state, new Map()));
        if (accepted.length === 0) return { entry: null, result: { results, made: false } };
        if (countVoids(tail.state, ids) !== voids) return { entry: null, result: { results: "voided", made: false } };
        const own = this.#parts.paths.inlinePack(group.timeline.record.key, tail.position + 1);
        const entry = appendEntry(group, "id" in pack ? pack.id : own);
        return { entry, stamp: this.#stamp, result: { results, made: true }, ...pack };
      },
    );
    if (!("id" in pack)) return outcome.results;
    if (outcome.made) this.#used.add(pack.id);
    else if (!this.#used.has(pack.id)) this.#unused.add(pack.id);
    return outcome.results;
  }

  /** The key is there, and fit, before anything that it opens. */
  async #readyKey(at: SealedPlace): Promise<void> {
    const { dataKey } = this.#batch;
    if (dataKey !== null) await this.#parts.keys.addSealing(dataKey, at);
    if (this.#dataKey !== null && this.#dataKey !== dataKey?.id)
      await this.#parts.keys.demandSealing(this.#dataKey, at);
  }

  /** Makes the pack ready, once for all groups that need it. */
  async #readyPack(): Promise<ReadyPack> {
    const { header, body } = this.#batch;
    const { packs } = this.#parts;
    if (this.#isInline) return { attached: await packs.frameOf(header, body) };
    const id = await packs.write(header, body);
    this.#unused.add(id);
    return { id };
  }

  /** How the names stand that the records want, as of now. */
  async #looks(records: readonly AppendRecord[]): Promise<NameLooks> {
    const looks = new Map<string, NameLook>();
    for (const { entry } of records) {
      const { caretaker, name } = entry;
      if (name === undefined || looks.has(nameText(caretaker, name))) continue;
      looks.set(nameText(caretaker, name), await this.#parts.names.look(caretaker, name));
    }
    return looks;
  }

  #rememberNames({ batch, slots }: Group): void {
    for (const [index, { entry }] of batch.records.entries()) {
      if (entry.name === undefined) continue;
      const text = nameText(entry.caretaker, entry.name);
      this.#named.set(text, Math.max(this.#named.get(text) ?? -1, slots[index] ?? 0));
    }
  }

  /** Claims each name for the last record that wants it. null when somebody was faster. */
  async #claim({ batch, slots }: Group, looks: NameLooks): Promise<readonly TakenName[] | null> {
    const wishes = new Map<string, NameWish & { readonly slot: number }>();
    for (const [index, { entry, replaceName }] of batch.records.entries()) {
      const { caretaker, name, id } = entry;
      if (name === undefined) continue;
      const text = nameText(caretaker, name);
      // The first of several decides whether the name may be taken from others; see `admit`.
      const replace = wishes.get(text)?.replace ?? replaceName;
      wishes.set(text, { caretaker, name, id, replace, slot: slots[index] ?? 0 });
    }
    const claims: TakenName[] = [];
    for (const [text, wish] of wishes) {
      // A later slot of the batch, of another timeline, has it already: it is as if this one had been first.
      if (wish.slot < (this.#named.get(text) ?? -1)) continue;
      const look = looks.get(text);
      const outcome = look === undefined ? null : await this.#parts.names.claim(wish, look);
      if (outcome === null || "holder" in outcome) return null;
      claims.push(outcome);
    }
    return claims;
  }
}

/** The results by which a group is refused as its timeline and the names stand now; null when it may go on. */
async function refusal({ timeline, batch }: Group, looks: NameLooks): Promise<readonly AppendResult[] | null> {
  const known = timeline.log.known;
  if (known !== null) {
    const { accepted } = admit(batch, viewOf(timeline, known.state, looks));
    if (accepted.length > 0) return null;
  }
  const { state } = await timeline.log.refresh();
  const { results, accepted } = admit(batch, viewOf(timeline, state, looks));
  return accepted.length > 0 ? null : results;
}

function viewOf(
  { record }: OpenTimeline,
  { head, lease }: TimelineStanding,
  looks: NameLooks,
): Parameters<typeof admit>[1] {
  return {
    timeline: (key) => (key === record.key ? { head, epoch: lease.epoch } : null),
    holder: (caretaker, name) => looks.get(nameText(caretaker, name))?.holder ?? null,
  };
}

function appendEntry({ batch, slots }: Group, pack: string): TimelineEntry {
  return {
    kind: "append",
    sequence: batch.records.at(-1)?.entry.sequence ?? 0,
    pack,
    packBytes: packBytes(batch),
    records: batch.records.map(({ entry, headCheck }, index) => ({ slot: slots[index] ?? 0, entry, headCheck })),
  };
}

const packBytes = ({ header, body }: AppendBatch): number => header.byteLength + body.byteLength;

/** How often any of these, or all that anybody has prepared, was voided: when the count has grown, it is to be prepared anew. */
function countVoids(state: TimelineStanding | undefined, ids: readonly string[]): number {
  return [...ids, EVERYTHING].reduce((sum, id) => sum + (state?.voids[id] ?? 0), 0);
}

const nameText = (caretaker: string, name: string): string => JSON.stringify([caretaker, name]);
