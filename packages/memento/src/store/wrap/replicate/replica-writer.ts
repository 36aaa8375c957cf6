import { sha256 } from "../../../core/digest.ts";
import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { Notice } from "../../../core/event.ts";
import type { MementoEntry } from "../../../core/memento.ts";
import type { TimelineRecord } from "../../../core/timeline.ts";
import { decodeHeader, decodePackHeader, type PackHeader } from "../../header.ts";
import type { AppendRecord, KeyRecord, MementoStore, StoredCommit, StoredMemento, StoreMeta } from "../../store.ts";
import type { ReplicaAuthority } from "./authority.ts";
import { lookAt } from "./look-at.ts";
import type { NoticeBalance } from "./notice-balance.ts";

/** The store that is followed, and the one that follows. */
export interface ReplicaPair {
  readonly primary: MementoStore;
  readonly replica: MementoStore;
  readonly authority: ReplicaAuthority;
}

/** Somebody else writes to the replica: it was taken over, and this primary is one no more. */
export function takenOver({ replica }: Pick<ReplicaPair, "replica">, why: string): MementoError {
  return new MementoError("FENCED", `The replica ${replica.url} was taken over: ${why}`, {
    hint: "Stop this worker, and open the replica as the store; docs/wrappers.md says how the old one becomes its replica.",
    details: { replica: replica.url },
  });
}

/**
 * Brings single facts of the primary to a replica. Everything may be done again, and by several at once: what is there
 * already stays as it is, and what somebody else has put in its place is told as FENCED.
 */
export class ReplicaWriter {
  readonly #pair: ReplicaPair;
  /** Keys that the replica is known to have. */
  readonly #keys = new Set<string>();
  readonly #epochs = new Map<string, number>();
  #isSealed = false;

  constructor(pair: ReplicaPair) {
    this.#pair = pair;
  }

  /** Makes the replica where it is not made yet; null while the primary is none. INVALID_ARGUMENT for another store. */
  async create(): Promise<StoreMeta | null> {
    const { primary, replica } = this.#pair;
    const meta = await primary.meta();
    if (meta === null) return null;
    const integrity = (await primary.keys()).find(({ purpose }) => purpose === "integrity");
    if (integrity === undefined)
      throw new MementoError("DAMAGED", `The store at ${primary.url} has lost its integrity key`);
    const found = (await replica.meta()) ?? (await replica.create(meta, integrity));
    this.#isSealed = meta.sealed;
    if (found.id === meta.id) return meta;
    throw new MementoError(
      "INVALID_ARGUMENT",
      `${replica.url} holds another store, and cannot be a replica of this one`,
      {
        details: { store: meta.id, replica: found.id },
      },
    );
  }

  /** Makes a timeline, with an epoch before any that was ever taken. */
  async timeline(record: TimelineRecord): Promise<void> {
    const { replica, authority } = this.#pair;
    if (this.#epochs.has(record.key)) return;
    const state = await replica.createTimeline(record, authority.freeLease(record.key, 0));
    if (state.record.key !== record.key)
      throw takenOver(this.#pair, `it has a timeline of its own in place of ${record.key}`);
    this.#epochs.set(record.key, state.lease.epoch);
  }

  /** Makes every timeline that the replica lacks, in the order in which the primary's were made; gives their epochs on the primary. */
  async timelines(): Promise<Map<string, number>> {
    const epochs = new Map<string, number>();
    for await (const { record, lease } of this.#pair.primary.timelines(null)) {
      await this.timeline(record);
      epochs.set(record.key, lease.epoch);
    }
    return epochs;
  }

  /** Raises a timeline's epoch on the replica to what it is on the primary. FENCED when it is beyond that. */
  async raise(timeline: string, epoch: number): Promise<void> {
    const { primary, replica, authority } = this.#pair;
    if (this.#epochs.get(timeline) === epoch) return;
    for (;;) {
      const state = await replica.timeline(timeline);
      if (state === null) {
        // Its making was missed: it came while the replica could not be reached, or from another process.
        const record = (await primary.timeline(timeline))?.record;
        if (record === undefined) return;
        this.#epochs.delete(timeline);
        await this.timeline(record);
        continue;
      }
      const there = state.lease.epoch;
      this.#epochs.set(timeline, there);
      if (there === epoch) return;
      if (there > epoch) {
        const now = (await primary.timeline(timeline))?.lease.epoch ?? 0;
        if (there > now) throw takenOver(this.#pair, `timeline ${timeline} has epoch ${there} there, and ${now} here`);
        return;
      }
      await replica.acquireLease({ timeline, lease: authority.freeLease(timeline, there + 1) });
    }
  }

  /** Brings a commit of the primary's log; gives the last memento in it, null for a notice. */
  async commit(commit: StoredCommit, notices: NoticeBalance): Promise<string | null> {
    const header = decodeHeader(commit.header, `commit ${commit.cursor}`);
    if (header.type === "pack") {
      await this.#pack(commit, header);
      return header.entries[commit.accepted.at(-1) ?? -1]?.id ?? null;
    }
    if (await notices.take(commit.header)) return null;
    try {
      await this.#notice(commit.header, header.notice, notices);
    } catch (error) {
      notices.giveBack(commit.header);
      throw error;
    }
    return null;
  }

  /** Brings the bytes that the primary has of a memento by now, where the replica has others. True when it had. */
  async bytes(id: string): Promise<boolean> {
    const brought = await this.#bring(id);
    if (brought === null) return false;
    // Another one who follows may have brought newer bytes meanwhile, and these have taken their place.
    if ((await lookAt(this.#pair.primary, id))?.headerDigest !== brought) await this.bytes(id);
    return true;
  }

  /** Gives the digest of the header that was brought; null where the replica keeps what it has. */
  async #bring(id: string): Promise<string | null> {
    const { primary, replica } = this.#pair;
    const [here, there] = [await lookAt(primary, id), await lookAt(replica, id)];
    if (here === null || there === null) return null;
    const looksSame = here.bodyBytes === there.bodyBytes && here.headerDigest === there.headerDigest;
    if (looksSame && (this.#isSealed || here.bodyBytes === null)) return null;
    const stored = await primary.read(id);
    if (stored === null) return null;
    const { header, body } = stored;
    const digest = sha256(header);
    if (body === null && digest === there.headerDigest) return (await replica.reclaim([id])).packs > 0 ? digest : null;
    // Only of a sealed pack the header says which body it has.
    if (looksSame && body !== null && Buffer.compare((await replica.read(id))?.body ?? new Uint8Array(), body) === 0)
      return null;
    return (await this.#replace(id, { header, body })) ? digest : null;
  }

  async #replace(id: string, { header, body }: Pick<StoredMemento, "header" | "body">): Promise<boolean> {
    const understood = decodePackHeader(header, `the pack of memento ${id}`);
    const dataKey = body === null ? null : await this.#keyFor(understood.dataKey);
    try {
      const replacement = { ids: [id], header, body, expectedHeaderDigest: null, dataKey };
      return await this.#pair.replica.replacePack(replacement);
    } catch (error) {
      // A secure deletion is under way: before its end the primary seals this pack anew, and that one is copied.
      if (isMementoError(error, "KEY_RETIRED")) return false;
      throw error;
    }
  }

  async #pack(commit: StoredCommit, header: PackHeader): Promise<void> {
    const { replica } = this.#pair;
    const accepted = new Set(commit.accepted);
    // The primary has decided: what it refused is refused here by an epoch that never was.
    const records = header.entries.map((entry, slot) => this.#record(entry, accepted.has(slot)));
    // What was reclaimed before it could be copied is removed by a later commit; until then something must lie there.
    const body = commit.body ?? new Uint8Array(header.sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0));
    for (let attempt = 1; ; attempt++) {
      await this.#makeReady(header.entries.filter((_, slot) => accepted.has(slot)));
      const dataKey = await this.#keyFor(header.dataKey);
      const refused = await this.#refused(records, async () => {
        const results = await replica.append({ header: commit.header, body, records, dataKey });
        return records.filter((_, slot) => accepted.has(slot) && results[slot]?.outcome !== "appended");
      });
      if (refused === null) return;
      const { entry } = refused;
      if (attempt === 3) throw takenOver(this.#pair, `memento ${entry.id} has no place there`);
      this.#epochs.delete(entry.timeline);
    }
  }

  /** The first record that is neither taken now nor there already. */
  async #refused(
    records: readonly AppendRecord[],
    append: () => Promise<readonly AppendRecord[]>,
  ): Promise<AppendRecord | null> {
    const { replica } = this.#pair;
    let left: readonly AppendRecord[];
    try {
      left = await append();
    } catch (error) {
      // Another one who follows may be further on: it has copied the pack, and then retired its key.
      if (!isMementoError(error, "KEY_RETIRED")) throw error;
      left = records.filter(({ entry }) => entry.epoch >= 0);
      for (const { entry } of left) if ((await lookAt(replica, entry.id)) === null) throw error;
      return null;
    }
    for (const record of left) if ((await lookAt(replica, record.entry.id)) === null) return record;
    return null;
  }

  #record(entry: MementoEntry, isAccepted: boolean): AppendRecord {
    const { timeline, id, sequence } = entry;
    return {
      entry: isAccepted ? entry : { ...entry, epoch: -1 },
      expectedSequence: sequence - 1,
      headCheck: this.#pair.authority.headCheck(timeline, id, sequence),
      replaceName: true,
    };
  }

  async #makeReady(entries: readonly MementoEntry[]): Promise<void> {
    const epochs = new Map(entries.map(({ timeline, epoch }) => [timeline, epoch]));
    if ([...epochs.keys()].some((timeline) => !this.#epochs.has(timeline))) await this.timelines();
    for (const [timeline, epoch] of epochs) await this.raise(timeline, epoch);
  }

  async #notice(bytes: Uint8Array, notice: Notice, notices: NoticeBalance): Promise<void> {
    const { replica } = this.#pair;
    const done =
      notice.kind === "caretaker-saved"
        ? await this.#caretaker(bytes, notice.caretaker)
        : notice.kind === "caretaker-removed"
          ? await replica.removeCaretaker(notice.caretaker, bytes)
          : notice.kind !== "restored" && (await this.#removal(bytes, notice.mementos));
    // Another one who follows may have been faster: then there was nothing left to do.
    if (!done && !(await notices.arrived(bytes))) await replica.note(bytes);
  }

  /** The caretaker's next version. What stood in versions between is not known any more: they get the newest policy. */
  async #caretaker(notice: Uint8Array, name: string): Promise<boolean> {
    const { primary, replica, authority } = this.#pair;
    const current = await primary.caretaker(name);
    const version = ((await replica.caretaker(name))?.version ?? 0) + 1;
    if (current === null || version > current.version) return false;
    const next = { ...current, version };
    return await replica.saveCaretaker({ ...next, check: authority.caretakerCheck(next) }, notice);
  }

  /** Removes what the notice names, lives on the replica, and does not live on the primary. */
  async #removal(notice: Uint8Array, ids: readonly string[]): Promise<boolean> {
    const { primary, replica } = this.#pair;
    const doomed: string[] = [];
    const emptied: string[] = [];
    for (const id of ids) {
      const there = await lookAt(replica, id);
      if (there === null || there.removed) continue;
      const here = await lookAt(primary, id);
      if (here?.removed !== true) continue;
      doomed.push(id);
      if (here.bodyBytes === null) emptied.push(id);
    }
    if (doomed.length === 0) return false;
    await replica.remove(doomed, notice);
    if (emptied.length > 0) await replica.reclaim(emptied);
    return true;
  }

  /** The primary's record of a data key, as long as the replica may not have it. */
  async #keyFor(id: string | null): Promise<KeyRecord | null> {
    if (id === null || this.#keys.has(id)) return null;
    for (const key of await this.#pair.replica.keys()) this.#keys.add(key.id);
    if (this.#keys.has(id)) return null;
    const key = (await this.#pair.primary.keys()).find((each) => each.id === id);
    if (key === undefined) return null;
    // Retired is what it becomes once everything under it was copied.
    const { retired: _, ...sealing } = key;
    return sealing;
  }
}
