import { sha256 } from "../../core/digest.ts";
import { isMementoError, MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { decodePackHeader } from "../../store/header.ts";
import type { MementoStore, StoredMemento } from "../../store/store.ts";
import { directNeeds, type RecordNeed } from "../needs.ts";
import type { OpenedRecord } from "../opened-record.ts";
import { MementoReader, type NearbyRecords } from "../reader.ts";
import { FIELDS_PIECE } from "../record.ts";
import { openPack, recordAt, type OpenedPack } from "../repack.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";
import { DigestSet } from "./digest-set.ts";
import type { RecordTable } from "./record-table.ts";

/** What is wrong with one memento. */
export interface Verdict {
  /** One sentence; null when nothing is wrong. */
  readonly problem: string | null;
  /** Pieces that cannot be had any more, by their keys; null when the record does not open, so that all that it holds is lost. */
  readonly lost: readonly string[] | null;
  /** Other records that it needs and that are missing or damaged. */
  readonly broken: readonly string[];
}

/** Something that is needed, and the records for which it cannot be had. */
interface Missing {
  readonly need: RecordNeed;
  readonly behind: readonly string[];
}

const SOUND: Verdict = { problem: null, lost: [], broken: [] };
/** Records that are held open for the deltas that build on them. */
const NEAR_RECORDS_MAX = 64;
const NEAR_BYTES_MAX = 64 * 2 ** 20;

/** Judges records one by one: seal, digests, the chain to the parent, and every piece that a live one needs, wherever it is held. */
export class RecordJudge {
  readonly #store: Pick<MementoStore, "read">;
  readonly #reader: MementoReader;
  readonly #turns: Turns;
  /** Headers of the packs that were read by way of single mementos. */
  readonly #counted = new DigestSet();
  readonly #vault: Vault;
  readonly #table: RecordTable;
  readonly #near: NearbyRecords = new Map();
  /** Lists of pieces that name something that cannot be had. */
  readonly #brokenLists = new Set<string>();
  /** What the records after them say of those that do not open: their digests, by id. */
  readonly expected = new Map<string, string | null>();
  /** Pieces that are needed of records that do not have them. */
  readonly wanted: RecordNeed[] = [];
  /** Bytes of the packs that were read by way of single mementos, what these need of others included; each pack once. */
  bytes = 0;

  constructor(vault: Vault, table: RecordTable) {
    this.#vault = vault;
    this.#store = { read: async (id) => this.#counts(await vault.store.read(id)) };
    this.#reader = new MementoReader(this.#store, vault.dataKeys);
    this.#turns = new Turns(vault.clock);
    this.#table = table;
  }

  /** Opens every section of a pack. DAMAGED. */
  async open(pack: { readonly header: Uint8Array; readonly body: Uint8Array }, where: string): Promise<OpenedPack> {
    const header = decodePackHeader(pack.header, where);
    const { dataKeys, meta } = this.#vault;
    if (meta.sealed && header.dataKey === null)
      throw new MementoError("DAMAGED", `${where} is not sealed, in a sealed store`);
    return openPack(
      pack,
      header.dataKey === null ? null : ((await dataKeys?.forOpening(header.dataKey)) ?? null),
      where,
    );
  }

  /** Judges a slot of an opened pack. A removed memento's own pieces may be gone: only what others need of them counts. */
  async slot(pack: OpenedPack, slot: number, isLive: boolean): Promise<Verdict> {
    const record = recordAt(pack, slot);
    if (record === null && isLive) throw new MementoError("DAMAGED", `Slot ${slot} of a pack has lost its manifest`);
    return record === null ? SOUND : await this.#judge(record, isLive);
  }

  /** Judges a record of a pack of which not every section opens. */
  async part(id: string, stored: StoredMemento, isLive: boolean): Promise<Verdict> {
    return await this.#judge(await this.#reader.openStored(id, stored), isLive);
  }

  /** Reads and judges one live memento, and all that it needs. The signal's reason is thrown when it is stopped midway. */
  async alone(id: string, signal?: AbortSignal): Promise<Verdict> {
    const stored = await this.#store.read(id);
    if (stored === null) throw new MementoError("DAMAGED", `Memento ${id} is in the index and cannot be read`);
    if (stored.body === null) throw new MementoError("DAMAGED", `Memento ${id} is live and its body is gone`);
    return await this.#judge(await this.#reader.openStored(id, stored), true, signal);
  }

  #counts(stored: StoredMemento | null): StoredMemento | null {
    if (stored === null || stored.body === null) return stored;
    const digest = sha256(stored.header);
    if (this.#counted.has(digest)) return stored;
    this.#counted.add(digest);
    this.bytes += stored.header.length + stored.body.length;
    return stored;
  }

  async #judge(record: OpenedRecord, isLive: boolean, signal?: AbortSignal): Promise<Verdict> {
    const { id } = record.entry;
    const { manifest } = record;
    const problems: string[] = [];
    const lost: string[] = [];
    const broken = new Set<string>();
    if (!(await this.#followsParent(record.entry, manifest.parentDigest)))
      problems.push(`Memento ${id} does not follow the ${record.entry.parent} that is in the store`);
    this.#table.setOpened(id, manifest.digest);
    this.#remember(record);
    if (isLive) {
      for (const key of manifest.held.keys()) {
        await this.#turns.take(signal);
        const problem = await this.#pieceProblem(record, key);
        if (problem === null) continue;
        problems.push(problem.message);
        lost.push(key);
        broken.add(brokenIn(problem) ?? id);
      }
      for (const { need, behind } of await this.#missing(record, signal)) {
        const what = need.key === null ? "the directory" : `the piece ${need.key}`;
        problems.push(`Memento ${id} needs ${what} of ${need.holder}, which is missing or damaged`);
        if (need.key !== null) lost.push(need.key);
        for (const one of behind) broken.add(one);
        this.wanted.push(need);
      }
      if (problems.length === 0) {
        this.#table.addGood(id, null, "");
        this.#table.addWhole(id);
      }
    }
    const [problem = null] = problems;
    const more = problems.length > 1 ? `; and ${problems.length - 1} more` : "";
    return { problem: problem === null ? null : `${problem}${more}`, lost, broken: [...broken] };
  }

  /** What a record needs of others and cannot be had: by its own list of pieces, then by those that it builds on. */
  async #missing({ entry, manifest }: OpenedRecord, signal?: AbortSignal): Promise<readonly Missing[]> {
    const missing: Missing[] = [];
    for (const need of directNeeds(entry.id, manifest)) {
      await this.#turns.take(signal);
      // What a delta is made of was read with it.
      if (need.key !== null && need.digest === null) continue;
      const behind = await this.#brokenFor(need);
      if (behind !== null) missing.push({ need, behind });
    }
    if (manifest.base !== null && !(await this.#isWholeList(manifest.base, signal)))
      missing.push(...(await this.#missingBelow(manifest.base, new Set(manifest.layer.changes.keys()), signal)));
    return missing;
  }

  /** What a list of pieces names, together with those below it, and cannot be had; keys that were `said` above it do not count. */
  async #missingBelow(list: string, said: Set<string>, signal?: AbortSignal): Promise<readonly Missing[]> {
    const missing: Missing[] = [];
    for (let at: string | null = list; at !== null;) {
      const record = await this.#opened(at);
      // That the list itself is gone was told of the record that builds on it.
      if (record === null) break;
      for (const [key, ref] of record.manifest.layer.changes) {
        if (said.has(key)) continue;
        said.add(key);
        await this.#turns.take(signal);
        if (ref === null) continue;
        const need = { holder: ref.holder, key, digest: ref.digest };
        const behind = await this.#brokenFor(need);
        if (behind !== null) missing.push({ need, behind });
      }
      at = record.manifest.base;
    }
    return missing;
  }

  /** True when all that a list names can be had. It is gone through once, unless its own memento was found sound. */
  async #isWholeList(list: string, signal?: AbortSignal): Promise<boolean> {
    if (this.#table.isWhole(list)) return true;
    if (this.#brokenLists.has(list)) return false;
    const isWhole = (await this.#missingBelow(list, new Set(), signal)).length === 0;
    if (isWhole) this.#table.addWhole(list);
    else this.#brokenLists.add(list);
    return isWhole;
  }

  /** The parent's digest is part of each record: a record that was exchanged for another sealed one is found here. */
  async #followsParent({ parent }: MementoEntry, parentDigest: string | null): Promise<boolean> {
    if (parent === null) return true;
    switch (this.#table.state(parent)) {
      case "opened":
        return parentDigest !== null && this.#table.hasDigest(parent, parentDigest);
      case "broken":
        // It has been named already.
        this.expected.set(parent, parentDigest);
        return true;
      case "unseen": {
        const record = await this.#opened(parent);
        // One whose body was reclaimed, or whose manifest was, can no longer be compared.
        if (record === null) this.expected.set(parent, parentDigest);
        return record === null || record.manifest.digest === parentDigest;
      }
    }
  }

  async #pieceProblem(record: OpenedRecord, key: string): Promise<MementoError | null> {
    try {
      const { digest } = await this.#reader.content(record, key, this.#near);
      if (key !== FIELDS_PIECE) this.#table.addGood(record.entry.id, key, digest);
      return null;
    } catch (error) {
      if (isMementoError(error, "DAMAGED")) return error;
      throw error;
    }
  }

  /** The records for which what is needed cannot be had; null when it was read and found whole. It is read now unless it was before. */
  async #brokenFor({ holder, key, digest }: RecordNeed): Promise<readonly string[] | null> {
    if (this.#table.isGood(holder, key, digest ?? "")) return null;
    if (this.#table.state(holder) === "broken") return [holder];
    const record = await this.#opened(holder);
    if (record === null) return [holder];
    if (key !== null) {
      if (record.manifest.held.get(key)?.digest !== digest) return [holder];
      const problem = await this.#pieceProblem(record, key);
      return problem === null ? null : [holder, ...(brokenIn(problem) === null ? [] : [brokenIn(problem) ?? ""])];
    }
    const { base } = record.manifest;
    const below = base === null ? null : await this.#brokenFor({ holder: base, key: null, digest: null });
    if (below !== null) return below;
    this.#table.addGood(holder, null, "");
    return null;
  }

  /** A record, opened; null when it is gone or does not open, which is told where it is judged itself. */
  async #opened(id: string): Promise<OpenedRecord | null> {
    const known = this.#near.get(id);
    if (known !== undefined) return known;
    try {
      const record = await this.#reader.open(id);
      this.#remember(record);
      return record;
    } catch (error) {
      if (isMementoError(error, "DAMAGED") || isMementoError(error, "NOT_FOUND")) return null;
      throw error;
    }
  }

  #remember(record: OpenedRecord): void {
    this.#near.set(record.entry.id, record);
    let bytes = 0;
    for (const { entry } of this.#near.values()) bytes += entry.sizes.heldBytes;
    for (const [id, { entry }] of this.#near) {
      if ((this.#near.size <= NEAR_RECORDS_MAX && bytes <= NEAR_BYTES_MAX) || id === record.entry.id) break;
      bytes -= entry.sizes.heldBytes;
      this.#near.delete(id);
    }
  }
}

/** The other record that a piece could not be read for; null when it is the record's own. */
function brokenIn({ details }: MementoError): string | null {
  const { needs } = details;
  return typeof needs === "string" ? needs : null;
}
