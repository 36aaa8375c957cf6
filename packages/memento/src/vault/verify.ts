import { MementoError } from "../core/errors.ts";
import { parseMementoId } from "../core/ids.ts";
import type { MementoEntry } from "../core/memento.ts";
import { decodeHeader, decodePackHeader, type NoticeHeader, type PackHeader } from "../store/header.ts";
import { mementoQuery } from "../store/query.ts";
import type { StoredCommit } from "../store/store.ts";
import { directNeeds, type RecordNeed } from "./needs.ts";
import { FIELDS_PIECE } from "./record.ts";
import type { Vault } from "./vault.ts";

/** How to verify. */
export interface VerifyOptions {
  readonly signal?: AbortSignal;
  /** Told after each commit; `total` is the number of mementos in the index. */
  readonly onProgress?: (done: { readonly mementos: number; readonly bytes: number; readonly total: number }) => void;
}

/** One thing that is damaged. */
export interface Damage {
  /** One sentence: what is wrong and where. */
  readonly problem: string;
  /** Live mementos that cannot be trusted because of it. */
  readonly mementos: readonly string[];
  /** For each of them the nearest good memento of its timeline; null where there is none. */
  readonly nearestGood: Readonly<Record<string, string | null>>;
}

/** What verifying found. */
export interface VerifyReport {
  readonly sound: boolean;
  /** Live mementos whose every piece was read and checked. */
  readonly mementos: number;
  /** Bytes of the packs that were read. */
  readonly bytes: number;
  readonly damages: readonly Damage[];
}

interface Finding {
  readonly problem: string;
  readonly mementos: readonly string[];
}

/**
 * Reads the whole store: its structure, every keyed check, every pack, every piece, each reference between mementos and
 * the chain of digests. Runs beside writers: it judges what was there when it came by. Memory grows with the number of
 * mementos (about 200 bytes each), not with their size.
 */
export async function verifyVault(vault: Vault, options: VerifyOptions = {}): Promise<VerifyReport> {
  const walk = new VerifyWalk(vault, options);
  await walk.run();
  return walk.report();
}

class VerifyWalk {
  readonly #vault: Vault;
  readonly #options: VerifyOptions;
  readonly #findings: Finding[] = [];
  /** Digest and pieces of every record that opened, by id. */
  readonly #records = new Map<string, { readonly digest: string; readonly pieces: ReadonlyMap<string, string> }>();
  /** What each record needs besides itself, in the order of the log: what is needed comes before what needs it. */
  readonly #needs = new Map<string, readonly RecordNeed[]>();
  readonly #live = new Map<string, MementoEntry>();
  #listed = true;
  #mementos = 0;
  #bytes = 0;
  #total = 0;

  constructor(vault: Vault, options: VerifyOptions) {
    this.#vault = vault;
    this.#options = options;
  }

  async run(): Promise<void> {
    const { store } = this.#vault;
    for await (const { problem, mementos } of store.check()) this.#findings.push({ problem, mementos });
    await this.#findLive();
    this.#total = this.#live.size;
    await this.#timelines();
    await this.#commits();
    this.#references();
  }

  report(): VerifyReport {
    const bad = new Set(this.#findings.flatMap(({ mementos }) => mementos));
    const damages = this.#findings.map(({ problem, mementos }) => {
      // A list that damage cut short cannot say what is not live.
      const live = mementos.filter((id) => !this.#listed || this.#live.has(id));
      return {
        problem,
        mementos: live,
        nearestGood: Object.fromEntries(live.map((id) => [id, this.#nearestGood(id, bad)])),
      };
    });
    return { sound: damages.length === 0, mementos: this.#mementos, bytes: this.#bytes, damages };
  }

  /** Lists what lives; where damage ends the list, it is read from its other end too, so that what lies behind is judged as well. */
  async #findLive(): Promise<void> {
    for (const order of ["ascending", "descending"] as const) {
      const whole = await this.#guard("The rows of the store", [], async () => {
        for await (const { entry } of this.#vault.store.query(mementoQuery({ order }))) this.#live.set(entry.id, entry);
      });
      if (whole) return;
      this.#listed = false;
    }
  }

  async #timelines(): Promise<void> {
    await this.#guard("The timelines of the store", [], async () => {
      for await (const state of this.#vault.store.timelines(null)) {
        const head = state.head === null ? [] : [state.head.id];
        await this.#guard(`Timeline ${state.record.key}`, head, async () => void this.#vault.verified(state));
      }
    });
    await this.#guard("The caretakers of the store", [], async () => {
      for (const record of await this.#vault.store.caretakers()) {
        await this.#guard(`Caretaker ${record.name}`, [], async () =>
          this.#vault.checks.demand(
            `The record of caretaker ${record.name}`,
            record.check,
            this.#vault.checks.caretaker(record),
          ),
        );
      }
    });
  }

  async #commits(): Promise<void> {
    const { store } = this.#vault;
    const whole = await this.#guard("The log of the store", [], async () => {
      for await (const commit of store.commits(null)) {
        this.#options.signal?.throwIfAborted();
        await this.#guard(`Commit ${commit.cursor}`, [], async () => await this.#commit(commit));
        this.#options.onProgress?.({ mementos: this.#mementos, bytes: this.#bytes, total: this.#total });
      }
    });
    const named = new Set(this.#findings.flatMap(({ mementos }) => mementos));
    for (const [id, entry] of this.#live) {
      if (this.#records.has(id) || named.has(id)) continue;
      if (whole)
        this.#findings.push({
          problem: `Memento ${id} is in the index and its record was not found in the log`,
          mementos: [id],
        });
      // Damage ended the walk; what lies behind it is still judged, one by one.
      else await this.#guard(`Memento ${id}`, [id], async () => await this.#alone(entry));
    }
  }

  async #alone(entry: MementoEntry): Promise<void> {
    const stored = await this.#vault.store.read(entry.id);
    if (stored === null) throw new MementoError("DAMAGED", `Memento ${entry.id} is in the index and cannot be read`);
    const header = decodePackHeader(stored.header, `memento ${entry.id}`);
    await this.#record(
      { cursor: "", header: stored.header, body: stored.body, accepted: [stored.slot] },
      header,
      stored.slot,
      entry,
    );
  }

  async #commit(commit: StoredCommit): Promise<void> {
    const where = `commit ${commit.cursor}`;
    const header = decodeHeader(commit.header, where);
    if (header.type === "notice") {
      this.#notice(header, where);
      return;
    }
    this.#bytes += commit.header.length + (commit.body?.length ?? 0);
    for (const slot of commit.accepted) {
      const entry = header.entries[slot];
      if (entry === undefined) throw new MementoError("DAMAGED", `${where} has no slot ${slot}`);
      await this.#guard(`Memento ${entry.id}`, [entry.id], async () => await this.#record(commit, header, slot, entry));
    }
  }

  #notice(header: NoticeHeader, where: string): void {
    this.#vault.checks.demand(`The notice in ${where}`, header.check, this.#vault.checks.notice(header.notice));
  }

  async #record(commit: StoredCommit, header: PackHeader, slot: number, entry: MementoEntry): Promise<void> {
    const live = this.#live.get(entry.id);
    if (commit.body === null) {
      if (live !== undefined) throw new MementoError("DAMAGED", `Memento ${entry.id} is live and its body is gone`);
      return;
    }
    const stored = { slot, header: commit.header, body: commit.body, removed: live === undefined };
    const record = await this.#vault.reader.openStored(entry.id, stored);
    if (live !== undefined && JSON.stringify(live) !== JSON.stringify(header.entries[slot])) {
      throw new MementoError("DAMAGED", `The index says other things of memento ${entry.id} than its sealed header`);
    }
    const pieces = new Map<string, string>();
    const near = new Map();
    for (const [key, place] of record.manifest.held) {
      await this.#vault.reader.content(record, key, near);
      if (key !== FIELDS_PIECE) pieces.set(key, place.digest);
    }
    const { manifest } = record;
    this.#records.set(entry.id, { digest: manifest.digest, pieces });
    this.#needs.set(entry.id, directNeeds(entry.id, manifest));
    if (live !== undefined) this.#mementos += 1;
    await this.#chain(entry, manifest.parentDigest);
  }

  /** The parent's digest is part of each record: a record that was exchanged for another sealed one is found here. */
  async #chain(entry: MementoEntry, parentDigest: string | null): Promise<void> {
    if (entry.parent === null) return;
    const parent = this.#records.get(entry.parent);
    // A parent whose body was reclaimed can no longer be compared; a damaged one has been named already.
    if (parent === undefined || parent.digest === parentDigest) return;
    throw new MementoError("DAMAGED", `Memento ${entry.id} does not follow the ${entry.parent} that is in the store`);
  }

  #references(): void {
    const broken = new Set(this.#findings.flatMap(({ mementos }) => mementos));
    for (const [id, needs] of this.#needs) {
      const missing = needs.find(({ holder, key, digest }) => {
        const record = this.#records.get(holder);
        return (
          record === undefined ||
          broken.has(holder) ||
          (key !== null && (digest === null ? !record.pieces.has(key) : record.pieces.get(key) !== digest))
        );
      });
      if (missing === undefined) continue;
      broken.add(id);
      if (!this.#live.has(id)) continue;
      const what = missing.key === null ? "the directory" : `the piece ${missing.key}`;
      this.#findings.push({
        problem: `Memento ${id} needs ${what} of ${missing.holder}, which is missing or damaged`,
        mementos: [id],
      });
    }
  }

  #nearestGood(id: string, bad: ReadonlySet<string>): string | null {
    const place = parseMementoId(id);
    if (place === undefined) return null;
    const good = [...this.#live.values()].filter((entry) => entry.timeline === place.timeline && !bad.has(entry.id));
    const distance = (entry: MementoEntry): number =>
      Math.abs(entry.sequence - place.sequence) + (entry.sequence > place.sequence ? 0.5 : 0);
    return good.toSorted((a, b) => distance(a) - distance(b))[0]?.id ?? null;
  }

  /** Runs a check; damage becomes a finding, and false is returned. Anything else that goes wrong is thrown. */
  async #guard(what: string, mementos: readonly string[], work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      const damage = error instanceof MementoError && ["DAMAGED", "FORMAT_UNKNOWN", "NOT_FOUND"].includes(error.code);
      if (!damage) throw error;
      const problem = `${what}: ${error.message}`;
      if (!this.#findings.some((finding) => finding.problem === problem)) this.#findings.push({ problem, mementos });
      return false;
    }
  }
}
