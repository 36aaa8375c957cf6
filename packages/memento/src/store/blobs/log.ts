import { isMementoError, MementoError, type ErrorCode } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { BlobPort, BlobTuning } from "./blob-port.ts";
import { damagedFile, frameJson, missingFile, openJson } from "./frame.ts";
import { CHAPTER_ENTRIES, LogReader, type LogPlace, type LogRecord, type WrittenRecord } from "./log-reader.ts";
import { logFile, stateFile } from "./paths.ts";
import type { RecentEntries } from "./recent-entries.ts";
import type { Stamps } from "./stamps.ts";
import { Turns } from "./turns.ts";

/** How a log's entries add up to a state. */
export interface LogMeaning<E, S> {
  /** The state before the first entry. */
  initial(): S;
  /** The state after one more entry; may change the given one in place. */
  fold(state: S, record: LogRecord<E>): S;
  encode(state: S): unknown;
  decode(encoded: unknown): S;
  /** How many entries may pass before the state is written again, at this position. */
  stateEvery(position: number): number;
}

/** Where a log stands. */
export interface Tail<S> {
  /** The last entry's position; 0 for an empty log. */
  readonly position: number;
  /** The last entry's digest; empty for an empty log. */
  readonly digest: string;
  readonly stamp: number;
  readonly state: S;
}

/** What to write next, or nothing; and what to answer the caller once that is settled. */
export interface Proposal<E, R> {
  readonly entry: E | null;
  readonly stamp?: number;
  /** A frame that is to lie behind the entry, in the same blob. */
  readonly attached?: readonly Uint8Array[];
  readonly result: R;
}

interface WrittenState {
  readonly log: string;
  readonly position: number;
  readonly digest: string;
  readonly stamp: number;
  readonly state: unknown;
}

/** What a log is opened with. */
export interface LogOptions<E, S> {
  readonly place: LogPlace;
  readonly meaning: LogMeaning<E, S>;
  readonly files: BlobPort;
  readonly tuning: Pick<BlobTuning, "requestsAtOnce" | "stateEveryMin">;
  readonly recent?: RecentEntries;
  readonly stamps: Stamps;
  readonly random: Random;
}

/** Lost races for one position before the caller is told to try later. */
const ATTEMPTS_MAX = 1_000;

/** Entries that are looked for at once behind the one that the written state knows. */
const FIRST_LOOK = 4;

const HARMLESS_TO_HINTS: ReadonlySet<ErrorCode> = new Set(["DISK_FULL", "IO_FAILED", "DAMAGED", "STORE_UNREACHABLE"]);

/**
 * A log is a folder of entries 1, 2, 3, ..., each created if absent and never changed. Writing the next entry is the one
 * way in which anything in the store is decided: of several writers one gets the position, the others find it taken, read
 * what is there, and decide again.
 *
 * Each entry names the digest of the one before it. `state.json` says where the log stood a while ago: finding the end
 * means reading that and probing forward, and a log that does not reach as far as its own state has lost entries.
 */
export class Log<E, S> {
  readonly reader: LogReader<E>;
  readonly #options: LogOptions<E, S>;
  readonly #turns = new Turns();
  #tail: Tail<S> | null = null;
  /** How far a log could be read whose further entries are damaged. */
  #sound: Tail<S> | null = null;
  #refreshing: Promise<Tail<S>> | null = null;
  /** Entries up to here are known to survive a power loss. */
  #durableThrough = 0;
  #stateAt = 0;
  #wrote = false;

  constructor(options: LogOptions<E, S>) {
    this.#options = options;
    const { recent, tuning } = options;
    const held = recent === undefined ? {} : { recent };
    this.reader = new LogReader(options.place, options.files, { readsAtOnce: tuning.requestsAtOnce, ...held });
  }

  /** Where the log stood when it was last looked at, or how far it is sound; null before the first look. */
  get known(): Tail<S> | null {
    return this.#tail ?? this.#sound;
  }

  /** Takes a log that was just made for empty, so that nobody looks for what is not there. Who was faster is met like any other. */
  beginEmpty(): void {
    this.#tail ??= { position: 0, digest: "", stamp: 0, state: this.#options.meaning.initial() };
  }

  /** Where the log stands now. DAMAGED when that cannot be told. */
  async refresh(): Promise<Tail<S>> {
    // Whoever asks while a look is waiting for its turn is served by it: it begins after the question.
    this.#refreshing ??= this.#turns.run(async () => {
      this.#refreshing = null;
      return await this.#advance();
    });
    return await this.#refreshing;
  }

  /**
   * Writes the entry that `decide` proposes for the log as it stands, and gives its result. `decide` is called again
   * whenever the log turns out to stand elsewhere, and a refusal (`entry: null`) is only taken when the log was looked
   * at; so it must be free of side effects. Never waits for another log's turn.
   */
  async commit<R>(decide: (tail: Tail<S>) => Proposal<E, R>): Promise<R> {
    return await this.#turns.run(async () => {
      let looked = this.#tail === null;
      let tail = this.#tail ?? (await this.#advance());
      for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
        const proposal = decide(tail);
        const { entry } = proposal;
        if (entry !== null && (await this.#write(tail, entry, proposal))) return proposal.result;
        if (entry === null && looked) return proposal.result;
        tail = await this.#advance();
        looked = true;
      }
      throw new MementoError("LOCKED", `Others write to ${this.#options.place.folder} all the time`);
    });
  }

  /**
   * Makes what was seen of the log durable. An entry is seen from its link on, before its writer has synced the folder;
   * whoever decides elsewhere by what it says must not outlive it.
   */
  async settle(): Promise<void> {
    const position = this.#tail?.position ?? 0;
    if (position <= this.#durableThrough) return;
    await this.#options.files.settle(this.#options.place.folder);
    this.#durableThrough = Math.max(this.#durableThrough, position);
  }

  /** Writes down where the log stands, when this process has moved it. A disk that takes no more does not matter. */
  async saveState(): Promise<void> {
    await this.#turns.run(async () => {
      const tail = this.#tail;
      if (this.#wrote && tail !== null && tail.position > this.#stateAt) await asHint(() => this.#writeState(tail));
    });
  }

  /** Writes down where the log stands, whatever was written before: after entries were mended. */
  async rewriteState(): Promise<void> {
    const tail = await this.refresh();
    await this.#turns.run(async () => await this.#writeState(tail));
  }

  /** The state that was written down; null when there is none. DAMAGED, naming the file. */
  async writtenState(): Promise<Tail<S> | null> {
    const { place, files, meaning } = this.#options;
    const file = stateFile(place.folder);
    const bytes = await files.read(file);
    if (bytes === null) return null;
    const { value } = await openJson<WrittenState>(bytes, `${place.kind}-state`, file);
    if (value.log !== place.id) throw damagedFile(file, "it belongs to another place");
    return { ...value, state: meaning.decode(value.state) };
  }

  async #write(
    tail: Tail<S>,
    entry: E,
    { stamp: wantedStamp, attached = [] }: Pick<Proposal<E, unknown>, "stamp" | "attached">,
  ): Promise<boolean> {
    const { place, files, random, stamps } = this.#options;
    const position = tail.position + 1;
    const stamp = wantedStamp !== undefined && wantedStamp > tail.stamp ? wantedStamp : stamps.next();
    const writer = randomText(random, 16);
    const own: WrittenRecord<E> = { log: place.id, position, previous: tail.digest, stamp, writer, entry };
    const written: WrittenRecord<E> = attached.length === 0 ? own : { ...own, attached: true };
    const parts = await frameJson(`${place.kind}-log`, written);
    this.reader.meet(parts.reduce((sum, part) => sum + part.byteLength, 0));
    if (!(await files.createIfAbsent(logFile(place.folder, position), [...parts, ...attached]))) {
      // A link whose answer was lost on the way may have been made all the same: then the file there is ours.
      const there = await this.reader.read(position);
      if (there?.writer !== writer) return false;
      await files.settle(place.folder);
    }
    this.#take(tail, { ...written, digest: digestIn(parts) });
    this.#durableThrough = position;
    this.#wrote = true;
    await this.#leaveHints(position);
    return true;
  }

  /** Reads on from where the log was last seen; from the beginning again when that was damaged. */
  async #advance(): Promise<Tail<S>> {
    try {
      return await this.#readOn();
    } catch (error) {
      this.#sound = this.#tail ?? this.#sound;
      this.#tail = null;
      throw error;
    }
  }

  async #readOn(): Promise<Tail<S>> {
    if (this.#tail !== null) return await this.#readBehind(this.#tail, 1);
    const state = await this.#soundState();
    if (state === null) return await this.#readBehind(await this.#readThrough(), FIRST_LOOK);
    const [last, ...behind] = await this.reader.probe(state.position, 1 + FIRST_LOOK);
    this.#checkState(state, last);
    this.#options.stamps.meet(state.stamp);
    this.#stateAt = state.position;
    this.#tail = state;
    return await this.#readBehind(state, FIRST_LOOK, behind);
  }

  /**
   * Reads entries behind a position until there is none, more and more at once. Where others are seen behind one that is
   * missing, either a writer was here just now or a file is gone; a second look tells.
   */
  async #readBehind(
    from: Tail<S>,
    look: number,
    seen: readonly PromiseSettledResult<LogRecord<E> | null>[] | null = null,
  ): Promise<Tail<S>> {
    let [tail, count, reads, hole] = [from, look, seen, 0];
    for (;;) {
      reads ??= await this.reader.probe(tail.position + 1, count);
      const end = reads.findIndex((read) => read.status === "fulfilled" && read.value === null);
      for (const read of end === -1 ? reads : reads.slice(0, end)) {
        if (read.status === "rejected") throw read.reason;
        if (read.value !== null) tail = this.#take(tail, read.value);
      }
      const isHole = end !== -1 && reads.slice(end).some(isThere);
      if (end !== -1 && !isHole && (end < reads.length - 1 || look === 1)) return tail;
      if (isHole && hole === tail.position + 1) throw missingFile(logFile(this.#options.place.folder, hole));
      // One file that is gone must not look like the end of the log.
      hole = isHole ? tail.position + 1 : 0;
      count = end === -1 ? Math.min(count * 2, Math.max(FIRST_LOOK, this.#options.tuning.requestsAtOnce)) : FIRST_LOOK;
      reads = null;
    }
  }

  #take(tail: Tail<S>, record: LogRecord<E>): Tail<S> {
    const { place, meaning, stamps } = this.#options;
    if (record.previous !== tail.digest) {
      throw damagedFile(logFile(place.folder, record.position), "it does not follow the entry before it");
    }
    stamps.meet(record.stamp);
    const { position, digest, stamp } = record;
    this.reader.keep(record);
    this.#tail = { position, digest, stamp, state: meaning.fold(tail.state, record) };
    return this.#tail;
  }

  /** DAMAGED unless the entry that the written state knows is there. */
  #checkState(state: Tail<S>, last: PromiseSettledResult<LogRecord<E> | null> | undefined): void {
    const file = logFile(this.#options.place.folder, state.position);
    if (last?.status === "rejected") throw last.reason;
    const digest = last?.value?.digest;
    if (digest === undefined) throw missingFile(file);
    if (digest !== state.digest) throw damagedFile(file, "the log's state knows another one");
  }

  async #soundState(): Promise<Tail<S> | null> {
    try {
      return await this.writtenState();
    } catch (error) {
      // The entries say the same, only slower; `check` reports the file.
      if (isMementoError(error, "DAMAGED")) return null;
      throw error;
    }
  }

  /** Reads a log from its first entry to the last one that its folder lists. */
  async #readThrough(): Promise<Tail<S>> {
    let tail: Tail<S> = { position: 0, digest: "", stamp: 0, state: this.#options.meaning.initial() };
    const last = await this.reader.lastListed();
    if (last > 0) for await (const record of this.reader.records(1, last)) tail = this.#take(tail, record);
    this.#tail = tail;
    return tail;
  }

  /**
   * State and chapters save later readers time. The entry is committed already, so a disk that takes no more, or damage in
   * what a chapter would repeat, does not fail the call: the next call, or `check`, meets the same.
   */
  async #leaveHints(position: number): Promise<void> {
    const tail = this.#tail;
    await asHint(async () => {
      if (position % CHAPTER_ENTRIES === 0) await this.reader.writeChapter(position / CHAPTER_ENTRIES);
    });
    const { meaning, tuning } = this.#options;
    const every = Math.max(meaning.stateEvery(position), tuning.stateEveryMin);
    if (tail !== null && position - this.#stateAt >= every) await asHint(() => this.#writeState(tail));
  }

  async #writeState({ position, digest, stamp, state }: Tail<S>): Promise<void> {
    const { place, files, meaning } = this.#options;
    const written: WrittenState = { log: place.id, position, digest, stamp, state: meaning.encode(state) };
    await files.replace(stateFile(place.folder), await frameJson(`${place.kind}-state`, written));
    this.#stateAt = position;
  }
}

/** True for an entry that is there, damaged or not. Passes on why that cannot be told. */
function isThere(read: PromiseSettledResult<unknown>): boolean {
  if (read.status === "fulfilled") return read.value !== null;
  if (isMementoError(read.reason, "DAMAGED")) return true;
  throw read.reason;
}

async function asHint(write: () => Promise<void>): Promise<void> {
  try {
    await write();
  } catch (error) {
    if (!(isMementoError(error) && HARMLESS_TO_HINTS.has(error.code))) throw error;
  }
}

/** The digest that the first line of a framed file names. */
function digestIn([firstLine]: readonly Uint8Array[]): string {
  return (
    Buffer.from(firstLine ?? [])
      .toString("latin1")
      .trimEnd()
      .split(" ")
      .at(-1) ?? ""
  );
}
