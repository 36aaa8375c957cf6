import { sha256 } from "../../core/digest.ts";
import { isMementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import { decodeHeader, type CommitHeader, type NoticeHeader } from "../header.ts";
import { findAll } from "./changes.ts";
import type { Contents } from "./contents.ts";
import { mementoKey, orderOf, type LogDocument } from "./documents.ts";
import type { StoreAccess } from "./tail.ts";

/** What the log says of one memento. */
export interface Claim {
  readonly entry: MementoEntry;
  readonly commit: number;
  readonly slot: number;
  readonly order: number;
  /** The notice that removed it; 0 while it lives. */
  removedBy: number;
}

/** What the log says, read from its first commit to the last one that was there when the reading began. */
export interface Evidence {
  readonly end: number;
  /** By the `_id` of its index document: every memento that was appended. */
  readonly claims: ReadonlyMap<string, Claim>;
  /** By its JSON text of caretaker and name: the last memento that was given it. */
  readonly names: ReadonlyMap<string, Claim>;
  /** Commits whose header does not read, or whose notice is not genuine. */
  readonly unreadable: ReadonlySet<number>;
  readonly missing: readonly number[];
  /** What is wrong with the log itself, with the mementos that it concerns. */
  readonly problems: readonly { readonly problem: string; readonly mementos: readonly string[] }[];
  readonly lastNotice: number;
}

const COMMITS_AT_ONCE = 100;

/** Reads the log up to a number. `isGenuine` says whether a notice is believed. */
export async function readEvidence(
  access: StoreAccess,
  contents: Contents,
  end: number,
  isGenuine: (header: NoticeHeader) => boolean,
): Promise<Evidence> {
  const reading = new Reading(end);
  for (let last = 0; last < end; last += COMMITS_AT_ONCE) {
    const count = Math.min(COMMITS_AT_ONCE, end - last);
    const numbers = Array.from({ length: count }, (_, index) => last + 1 + index);
    const page = await findAll(access, numbers, { body: 0, effects: 0 });
    for (const number of numbers) {
      const log = page.get(number) as LogDocument | undefined;
      if (log === undefined) reading.missing.push(number);
      else if (log.kind !== "hidden") reading.note(log, await headerOf(contents, log), isGenuine);
    }
  }
  reading.close();
  return reading;
}

/** The header of a commit; what is wrong with it where it does not read, or is another one than was written. */
async function headerOf(contents: Contents, { _id, header, digest }: LogDocument): Promise<CommitHeader | string> {
  const bytes = header === null ? null : await contents.fetch(header);
  if (bytes === null) return `The header of commit ${_id} is missing`;
  if (digest !== sha256(bytes)) return `The header of commit ${_id} was changed`;
  try {
    return decodeHeader(bytes, `commit ${_id}`);
  } catch (error) {
    if (!isMementoError(error, "DAMAGED") && !isMementoError(error, "FORMAT_UNKNOWN")) throw error;
    return error.message;
  }
}

class Reading implements Evidence {
  readonly end: number;
  readonly claims = new Map<string, Claim>();
  readonly names = new Map<string, Claim>();
  readonly unreadable = new Set<number>();
  readonly missing: number[] = [];
  readonly problems: { readonly problem: string; readonly mementos: readonly string[] }[] = [];
  lastNotice = 0;
  readonly #removals: { readonly commit: number; readonly id: string }[] = [];
  readonly #byId = new Map<string, Claim>();

  constructor(end: number) {
    this.end = end;
  }

  note(log: LogDocument, header: CommitHeader | string, isGenuine: (header: NoticeHeader) => boolean): void {
    if (typeof header === "string") {
      this.unreadable.add(log._id);
      this.#problem(header);
    } else if (header.type !== log.kind) {
      this.unreadable.add(log._id);
      this.#problem(`Commit ${log._id} says that it is a ${log.kind}, and its header that it is a ${header.type}`);
    } else if (header.type === "notice") this.#noteNotice(log, header, isGenuine);
    else this.#notePack(log, header.entries, header.sections);
  }

  /** Removals may stand in the log before what they name could be read, so they are counted at last. */
  close(): void {
    for (const { commit, id } of this.#removals) {
      const claim = this.#byId.get(id);
      if (claim !== undefined && claim.removedBy === 0) claim.removedBy = commit;
    }
  }

  #noteNotice(log: LogDocument, header: NoticeHeader, isGenuine: (header: NoticeHeader) => boolean): void {
    if (!isGenuine(header)) {
      this.unreadable.add(log._id);
      this.#problem(`The notice of commit ${log._id} is not genuine`);
      return;
    }
    this.lastNotice = log._id;
    const named = new Set(header.notice.mementos);
    const removed = log.removed ?? [];
    const unnamed = removed.filter((id) => !named.has(id));
    if (unnamed.length > 0)
      this.#problem(`Commit ${log._id} is to have removed mementos that its notice does not name`, unnamed);
    for (const id of removed) if (named.has(id)) this.#removals.push({ commit: log._id, id });
  }

  #notePack(
    log: LogDocument,
    entries: readonly MementoEntry[],
    sections: readonly { readonly sealedBytes: number }[],
  ): void {
    const ids: string[] = [];
    for (const slot of log.accepted) {
      const entry = entries[slot];
      if (entry === undefined) this.#problem(`Commit ${log._id} has no slot ${slot}`);
      else ids.push(this.#claim(entry, log._id, slot));
    }
    if (log.accepted.length === 0) this.#problem(`No slot of commit ${log._id} was taken`);
    const whole = sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
    if (log.bodyBytes !== null && log.bodyBytes !== whole)
      this.#problem(`The body of commit ${log._id} has ${log.bodyBytes} bytes, not ${whole}`, ids);
  }

  #claim(entry: MementoEntry, commit: number, slot: number): string {
    const key = mementoKey(entry.timeline, entry.sequence);
    const other = this.claims.get(key);
    if (other !== undefined) {
      const both = [other.entry.id, entry.id];
      this.#problem(`Commits ${other.commit} and ${commit} have a memento for one place`, both);
      return entry.id;
    }
    const claim = { entry, commit, slot, order: orderOf(commit, slot), removedBy: 0 };
    this.claims.set(key, claim);
    this.#byId.set(entry.id, claim);
    if (entry.name !== undefined) this.names.set(JSON.stringify([entry.caretaker, entry.name]), claim);
    return entry.id;
  }

  #problem(problem: string, mementos: readonly string[] = []): void {
    this.problems.push({ problem, mementos });
  }
}
