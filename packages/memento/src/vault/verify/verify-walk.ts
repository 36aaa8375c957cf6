import { isMementoError, MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { entryText } from "../../store/entry-text.ts";
import { decodeHeader, type NoticeHeader, type PackHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import type { StoredCommit, StoredMemento } from "../../store/store.ts";
import { Turns } from "../turns.ts";
import type { Vault } from "../vault.ts";
import { RecordJudge, type Verdict } from "./record-judge.ts";
import { RecordTable, type SequenceRanges } from "./record-table.ts";
import type { Finding } from "./verify-report.ts";

/** Where a verification stands that was interrupted: plain JSON, to be kept anywhere. */
export interface VerifyState {
  readonly version: 1;
  /** The store that it is of. */
  readonly store: string;
  /** Behind the last commit that was read. */
  readonly cursor: string;
  readonly mementos: number;
  readonly bytes: number;
  readonly judged: SequenceRanges;
  readonly findings: readonly Finding[];
}

/** How far a verification is. */
export interface VerifyProgress {
  readonly mementos: number;
  readonly bytes: number;
  /** Live mementos in the index. */
  readonly total: number;
}

/** What a walk is told. */
export interface WalkOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: VerifyProgress) => void) | undefined;
  readonly resume?: VerifyState | undefined;
  /** False: bodies are measured and not opened. */
  readonly opens: boolean;
}

const DAMAGE: ReadonlySet<string> = new Set(["DAMAGED", "FORMAT_UNKNOWN", "NOT_FOUND"]);

/** Goes through a store and collects what is wrong. */
export class VerifyWalk {
  readonly #vault: Vault;
  readonly #options: WalkOptions;
  readonly #findings: Finding[] = [];
  /** Mementos that a finding is about. */
  readonly #named = new Set<string>();
  /** Who judges the records; knows what others say of those that do not open. */
  readonly judge: RecordJudge;
  readonly table: RecordTable;
  readonly #turns: Turns;
  #cursor: string | null;
  isListed = true;
  mementos: number;
  bytes: number;

  constructor(vault: Vault, options: WalkOptions) {
    const { resume } = options;
    if (resume !== undefined && (resume.version !== 1 || resume.store !== vault.meta.id))
      throw new MementoError("INVALID_ARGUMENT", "The state is of the verification of another store");
    this.#vault = vault;
    this.#options = options;
    this.table = new RecordTable(resume?.judged);
    this.#turns = new Turns(vault.clock);
    this.judge = new RecordJudge(vault, this.table);
    this.#cursor = resume?.cursor ?? null;
    this.mementos = resume?.mementos ?? 0;
    this.bytes = resume?.bytes ?? 0;
    for (const finding of resume?.findings ?? [])
      this.#find(finding.problem, finding.mementos, finding.lost, finding.broken);
  }

  get findings(): readonly Finding[] {
    return this.#findings;
  }

  /** Where it stands now; null before the first commit. */
  state(): VerifyState | null {
    if (this.#cursor === null) return null;
    return {
      version: 1,
      store: this.#vault.meta.id,
      cursor: this.#cursor,
      mementos: this.mementos,
      bytes: this.bytes,
      judged: this.table.judged(),
      findings: this.#findings,
    };
  }

  /** Everything: structure, checks, and every commit. */
  async whole(): Promise<void> {
    if (this.#cursor === null) {
      for await (const { problem, mementos } of this.#vault.store.check()) {
        await this.#turns.take(this.#options.signal);
        this.#find(problem, mementos, {}, mementos);
      }
    }
    await this.listLive();
    await this.rows();
    await this.#commits();
  }

  /** Judges these mementos and all that they need, and nothing else. */
  async some(ids: Iterable<string>): Promise<void> {
    const { signal } = this.#options;
    for (const id of ids) {
      await this.#turns.take(signal);
      await this.#alone(id, signal);
    }
  }

  /** Lists what lives; where damage ends the list, it is read from its other end too, so that what lies behind is judged as well. */
  async listLive(timeline: string | null = null): Promise<void> {
    for (const order of ["ascending", "descending"] as const) {
      const whole = await this.#guard("The rows of the store", [], async () => {
        for await (const { entry } of this.#vault.store.query(mementoQuery({ order, timeline }))) {
          await this.#turns.take(this.#options.signal);
          this.table.addLive(entry);
        }
      });
      if (whole) return;
      this.isListed = false;
    }
  }

  /** The keyed checks of timelines and caretakers. */
  async rows(): Promise<void> {
    const { store, checks } = this.#vault;
    await this.#guard("The timelines of the store", [], async () => {
      for await (const state of store.timelines(null)) {
        await this.#turns.take(this.#options.signal);
        const head = state.head === null ? [] : [state.head.id];
        await this.#guard(`Timeline ${state.record.key}`, head, async () => void this.#vault.verified(state));
      }
    });
    await this.#guard("The caretakers of the store", [], async () => {
      for (const record of await store.caretakers()) {
        const what = `The record of caretaker ${record.name}`;
        await this.#guard(`Caretaker ${record.name}`, [], async () =>
          checks.demand(what, record.check, checks.caretaker(record)),
        );
      }
    });
  }

  async #commits(): Promise<void> {
    const whole = await this.#guard("The log of the store", [], async () => {
      for await (const commit of this.#vault.store.commits(this.#cursor)) {
        await this.#turns.take(this.#options.signal);
        await this.#guard(`Commit ${commit.cursor.slice(0, 40)}`, [], async () => await this.#commit(commit));
        this.#cursor = commit.cursor;
        this.#tell();
      }
    });
    for (const id of this.table.live()) {
      if (this.table.state(id) !== "unseen" || this.#named.has(id) || this.table.wasBefore(id)) continue;
      await this.#turns.take(this.#options.signal);
      if (whole)
        this.#find(`Memento ${id} is in the index and its record was not found in the log`, [id], { [id]: null }, [id]);
      // Damage ended the walk; what lies behind it is still judged, one by one, each to its end: the state counts whole ones.
      else if (this.#options.opens) await this.#alone(id);
    }
  }

  async #alone(id: string, signal?: AbortSignal): Promise<void> {
    const before = this.judge.bytes;
    await this.#guard(`Memento ${id}`, [id], async () => this.#count(id, await this.judge.alone(id, signal)));
    this.bytes += this.judge.bytes - before;
    this.#tell();
  }

  async #commit(commit: StoredCommit): Promise<void> {
    const where = `commit ${commit.cursor.slice(0, 40)}`;
    const header = decodeHeader(commit.header, where);
    if (header.type === "notice") {
      this.#notice(header, where);
      return;
    }
    this.bytes += commit.header.length + (commit.body?.length ?? 0);
    const entries: (readonly [number, MementoEntry])[] = [];
    for (const slot of commit.accepted) {
      const entry = header.entries[slot];
      if (entry === undefined) throw new MementoError("DAMAGED", `${where} has no slot ${slot}`);
      if (this.#isSound(entry, commit.body)) entries.push([slot, entry]);
    }
    if (commit.body === null) return;
    if (this.#options.opens) await this.#bodies(commit, commit.body, entries);
    else this.#lengths(header, commit.body, entries);
  }

  #notice(header: NoticeHeader, where: string): void {
    this.#vault.checks.demand(`The notice in ${where}`, header.check, this.#vault.checks.notice(header.notice));
  }

  /** Compares an entry with the index; false when it is not worth to look further. */
  #isSound(entry: MementoEntry, body: Uint8Array | null): boolean {
    const { id } = entry;
    if (!this.table.isLive(id)) return body !== null;
    if (body === null) {
      this.#breaks(id, `Memento ${id} is live and its body is gone`);
      return false;
    }
    if (this.table.agrees(entry)) return true;
    this.#breaks(
      id,
      `The index says other things of memento ${id} than its sealed header: ${entryText(entry).slice(0, 80)}`,
    );
    return false;
  }

  async #bodies(
    commit: StoredCommit,
    body: Uint8Array,
    entries: readonly (readonly [number, MementoEntry])[],
  ): Promise<void> {
    const [first] = entries;
    if (first === undefined) return;
    const where = `memento ${first[1].id}`;
    const pack = await this.judge.open({ header: commit.header, body }, where).catch(onlyDamage);
    if (pack instanceof MementoError) {
      await this.#parts({ header: commit.header, body }, entries, pack);
      return;
    }
    for (const [slot, { id }] of entries) {
      // Stopped between commits alone: what is kept of where it stands counts whole ones.
      await this.#turns.take();
      const isLive = this.table.isLive(id);
      await this.#guard(`Memento ${id}`, [id], async () => this.#count(id, await this.judge.slot(pack, slot, isLive)));
    }
  }

  /** A pack that does not open as a whole: each memento is judged by what opens of it. */
  async #parts(
    pack: Pick<StoredMemento, "header" | "body">,
    entries: readonly (readonly [number, MementoEntry])[],
    damage: MementoError,
  ): Promise<void> {
    const before = this.#findings.length;
    for (const [slot, { id }] of entries) {
      const isLive = this.table.isLive(id);
      const stored = { ...pack, slot, removed: !isLive };
      await this.#guard(`Memento ${id}`, [id], async () => this.#count(id, await this.judge.part(id, stored, isLive)));
    }
    if (this.#findings.length === before)
      this.#find(
        `${damage.message}; nothing that lives needs what is lost`,
        [],
        {},
        entries.map(([, { id }]) => id),
      );
  }

  #lengths(header: PackHeader, body: Uint8Array, entries: readonly (readonly [number, MementoEntry])[]): void {
    const whole = header.sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
    for (const [, { id }] of entries) {
      if (body.length !== whole)
        this.#breaks(id, `The pack of memento ${id} has ${body.length} bytes where ${whole} were written`);
      else {
        this.table.setOpened(id, "");
        if (this.table.isLive(id)) this.mementos += 1;
      }
    }
  }

  #count(id: string, { problem, lost, broken }: Verdict): void {
    if (problem !== null) this.#find(problem, [id], { [id]: lost }, broken);
    else if (this.table.isLive(id)) this.mementos += 1;
  }

  #breaks(id: string, problem: string): void {
    this.table.setBroken(id);
    this.#find(problem, [id], { [id]: null }, [id]);
  }

  #find(problem: string, mementos: readonly string[], lost: Finding["lost"], broken: readonly string[]): void {
    for (const id of mementos) this.#named.add(id);
    if (!this.#findings.some((finding) => finding.problem === problem))
      this.#findings.push({ problem, mementos, lost, broken });
  }

  #tell(): void {
    this.#options.onProgress?.({ mementos: this.mementos, bytes: this.bytes, total: this.table.liveCount });
  }

  /** Runs a check; damage becomes a finding, and false is returned. Anything else that goes wrong is thrown. */
  async #guard(what: string, mementos: readonly string[], work: () => Promise<void>): Promise<boolean> {
    try {
      await work();
      return true;
    } catch (error) {
      if (!isMementoError(error) || !DAMAGE.has(error.code)) throw error;
      for (const id of mementos) if (this.table.state(id) === "unseen") this.table.setBroken(id);
      this.#find(`${what}: ${error.message}`, mementos, Object.fromEntries(mementos.map((id) => [id, null])), mementos);
      return false;
    }
  }
}

function onlyDamage(error: unknown): MementoError {
  if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) return error;
  throw error;
}
