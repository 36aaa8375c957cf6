import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { BlobPort } from "./blob-port.ts";
import { problemOr } from "./check-log.ts";
import { frameJson } from "./frame.ts";
import {
  CHAPTER_ENTRIES,
  LogReader,
  splitEntry,
  type LogPlace,
  type LogRecord,
  type WrittenRecord,
} from "./log-reader.ts";
import type { Tail } from "./log.ts";
import { chapterFile, chapterNumber, logFile, stateFile } from "./paths.ts";

/** A lost entry, among those that are left. */
export interface LostEntry<E> {
  readonly position: number;
  /** The entry before it, and the next one that is not lost. */
  readonly before: LogRecord<E> | null;
  readonly after: LogRecord<E> | null;
  /** How many more are lost before the next one that is not. */
  readonly more: number;
}

/** How to mend a log. */
export interface LogMending<E, S> {
  readonly place: LogPlace;
  readonly files: BlobPort;
  readonly random: Random;
  readonly writtenState: () => Promise<Tail<S> | null>;
  /** What takes the place of a lost entry; null when nothing can be said. Asked in the order of the log. */
  readonly substitute: (
    lost: LostEntry<E>,
    state: Tail<S> | null,
    sound: readonly (LogRecord<E> | null)[],
  ) => Promise<E | null>;
  /** True for an entry whose pack lies behind it; none by default. */
  readonly isAttached?: (entry: E) => boolean;
  readonly dryRun: boolean;
}

/** What mending a log came to. */
export interface MendedLog<E> {
  readonly changes: readonly string[];
  readonly problems: readonly string[];
  /** The entries as they are now, or would be; null for those that are lost for good. */
  readonly records: readonly (LogRecord<E> | null)[];
  /** Positions whose entries nobody has any more, and which something else now takes. */
  readonly substituted: readonly number[];
  /** True: where the log stands is to be written down anew. */
  readonly stateIsStale: boolean;
}

/**
 * Mends a log's entries: from the chapter that repeats them, or by a substitute, after which all later entries are linked
 * anew. What was written down about the log goes away first, so that whatever a crash leaves is mended by a repeat.
 */
export async function mendLog<E, S>(mending: LogMending<E, S>): Promise<MendedLog<E>> {
  const { place, files, dryRun } = mending;
  const reader = new LogReader<E>(place, files);
  const state = await problemOr(mending.writtenState);
  const last = Math.max(await reader.lastListed(), state.value?.position ?? 0);
  const records: (LogRecord<E> | null)[] = [];
  for (let position = 1; position <= last; position++)
    records.push((await problemOr(() => reader.read(position))).value);
  const chapters = await badChapters(reader, files, records);
  const changes = chapters.map(
    (number) => `The file ${chapterFile(place.folder, number)} repeats other entries than there are`,
  );
  const problems: string[] = [];
  const write = new Map<number, LogRecord<E>>();
  const substituted = await fill(mending, reader, { records, state: state.value, changes, problems, write });
  const first = new Map(write);
  if (problems.length === 0) await relink(records, write, changes, place);
  const stateWrong =
    state.problem !== null ||
    (state.value !== null && (records[state.value.position - 1]?.digest ?? state.value.digest) !== state.value.digest);
  if (stateWrong) changes.push(`The file ${stateFile(place.folder)} does not say how its log stands`);
  if (!dryRun) {
    // What was found first: a substitute may rest on the state that is about to go.
    await writeEntries(mending, first);
    await forgetHints(mending, chapters, Math.min(...write.keys(), Infinity), stateWrong);
    await writeEntries(mending, write);
  }
  return { changes, problems, records, substituted, stateIsStale: stateWrong || write.size > 0 };
}

async function writeEntries<E, S>(
  { place, files }: LogMending<E, S>,
  records: ReadonlyMap<number, LogRecord<E>>,
): Promise<void> {
  for (const [position, record] of [...records].toSorted(([a], [b]) => a - b)) {
    const file = logFile(place.folder, position);
    const there = record.attached === true ? await files.read(file) : null;
    // The pack that lies behind the entry stays, whatever it says: it is judged by itself.
    const behind = there === null ? [] : [splitEntry(there).behind];
    await files.replace(file, [...(await frameJson(`${place.kind}-log`, written(record))), ...behind]);
  }
}

interface Filling<E, S> {
  readonly records: (LogRecord<E> | null)[];
  readonly state: Tail<S> | null;
  readonly changes: string[];
  readonly problems: string[];
  readonly write: Map<number, LogRecord<E>>;
}

async function fill<E, S>(
  { place, random, substitute, isAttached }: LogMending<E, S>,
  reader: LogReader<E>,
  { records, state, changes, problems, write }: Filling<E, S>,
): Promise<number[]> {
  const substituted: number[] = [];
  for (const [index, known] of records.entries()) {
    if (known !== null) continue;
    const position = index + 1;
    const [before, nextAt] = [records[index - 1] ?? null, records.findIndex((one, at) => at > index && one !== null)];
    const after = nextAt < 0 ? null : (records[nextAt] ?? null);
    const copy = await copyIn(reader, position, before, nextAt === index + 1 ? after : null);
    if (copy !== null) {
      records[index] = copy;
      write.set(position, copy);
      changes.push(`The file ${logFile(place.folder, position)} is written again from its chapter`);
      continue;
    }
    const more = (nextAt < 0 ? records.length : nextAt) - index - 1;
    const entry = await substitute({ position, before, after, more }, state, records);
    if (entry === null) {
      problems.push(`The file ${logFile(place.folder, position)} is lost, and nothing says what was in it`);
      continue;
    }
    const stamp = Math.max(before?.stamp ?? 0, Math.min((before?.stamp ?? 0) + 1, after?.stamp ?? Infinity));
    const record = {
      log: place.id,
      position,
      previous: before?.digest ?? "",
      stamp,
      writer: randomText(random, 16),
      entry,
      ...(isAttached?.(entry) === true ? { attached: true as const } : {}),
    };
    records[index] = await digested(record, place);
    write.set(position, records[index]);
    substituted.push(position);
    changes.push(`The file ${logFile(place.folder, position)} is lost; what can be said of it takes its place`);
  }
  return substituted;
}

/** The entry as a chapter has it, where it fits between its neighbours. */
async function copyIn<E>(
  reader: LogReader<E>,
  position: number,
  before: LogRecord<E> | null,
  next: LogRecord<E> | null,
): Promise<LogRecord<E> | null> {
  const chapter = await reader.soundChapter(Math.ceil(position / CHAPTER_ENTRIES));
  const copy = chapter?.[(position - 1) % CHAPTER_ENTRIES];
  if (copy?.position !== position || (before !== null && copy.previous !== before.digest)) return null;
  if (next !== null && next.previous !== copy.digest) return null;
  return (await digested(written(copy), reader.place)).digest === copy.digest ? copy : null;
}

/** Links every entry to the one before it. */
async function relink<E>(
  records: (LogRecord<E> | null)[],
  write: Map<number, LogRecord<E>>,
  changes: string[],
  place: LogPlace,
): Promise<void> {
  let count = 0;
  for (const [index, record] of records.entries()) {
    const previous = index === 0 ? "" : (records[index - 1]?.digest ?? "");
    if (record === null || record.previous === previous) continue;
    const linked = await digested({ ...written(record), previous }, place);
    records[index] = linked;
    write.set(record.position, linked);
    count += 1;
  }
  if (count > 0) changes.push(`${count} entries in ${place.folder} are linked anew to the ones before them`);
}

async function badChapters<E>(
  reader: LogReader<E>,
  files: BlobPort,
  records: readonly (LogRecord<E> | null)[],
): Promise<number[]> {
  const bad: number[] = [];
  for await (const name of files.list(reader.place.folder)) {
    const number = chapterNumber(name);
    if (number === null) continue;
    const chapter = await reader.soundChapter(number);
    const same = chapter?.every(({ position, digest }) => (records[position - 1]?.digest ?? digest) === digest);
    if (same !== true || number * CHAPTER_ENTRIES > records.length) bad.push(number);
  }
  return bad;
}

/** Takes away what was written down about entries that are about to change. */
async function forgetHints<E, S>(
  { place, files }: LogMending<E, S>,
  badOnes: readonly number[],
  first: number,
  stateToo: boolean,
): Promise<void> {
  const numbers = new Set(badOnes);
  for await (const name of files.list(place.folder)) {
    const number = chapterNumber(name);
    if (number !== null && number * CHAPTER_ENTRIES >= first) numbers.add(number);
  }
  for (const number of numbers) await files.remove(chapterFile(place.folder, number));
  const stateGoes = stateToo || first < Infinity;
  if (stateGoes) await files.remove(stateFile(place.folder));
  if (numbers.size > 0 || stateGoes) await files.settle(place.folder);
}

function written<E>({ log, position, previous, stamp, writer, entry, attached }: LogRecord<E>): WrittenRecord<E> {
  const own = { log, position, previous, stamp, writer, entry };
  return attached === true ? { ...own, attached } : own;
}

async function digested<E>(record: WrittenRecord<E>, { kind }: LogPlace): Promise<LogRecord<E>> {
  const [firstLine] = await frameJson(`${kind}-log`, record);
  const digest =
    Buffer.from(firstLine ?? [])
      .toString("latin1")
      .trimEnd()
      .split(" ")
      .at(-1) ?? "";
  return { ...record, digest };
}
