import { isMementoError } from "../../core/errors.ts";
import type { BlobPort } from "./blob-port.ts";
import type { LogReader, LogRecord } from "./log-reader.ts";
import { CHAPTER_ENTRIES } from "./log-reader.ts";
import type { Log } from "./log.ts";
import { chapterFile, chapterNumber, logFile, stateFile } from "./paths.ts";
import { concurrently } from "./turns.ts";

/** One step through a log: an entry that is sound, or what is wrong. */
export type LogStep<E> =
  | { readonly record: LogRecord<E>; readonly problem?: undefined }
  /** `position`: of an entry that is damaged or missing. */
  | { readonly record: null; readonly problem: string; readonly position?: number };

const READ_AHEAD = 64;
const READS_AT_ONCE = 8;

/**
 * Goes through every file of a log: entries in their order, each one there, whole and following the one before; the state
 * and the chapters in agreement with them.
 */
export async function* walkLog<E, S>(
  { reader, writtenState }: WalkedLog<E, S>,
  files: BlobPort,
): AsyncIterable<LogStep<E>> {
  // The state first: it is behind the entries, so what is listed after it must reach at least as far.
  const state = await problemOr(writtenState);
  if (state.problem !== null) yield { record: null, problem: state.problem };
  const { folder } = reader.place;
  const listed = await reader.lastListed();
  const last = Math.max(listed, state.value?.position ?? 0);
  const chapters = await listChapters(files, folder);
  let previous: string | null = "";
  let digests: (string | null)[] = [];
  for (let first = 1; first <= last; first += READ_AHEAD) {
    const positions = Array.from({ length: Math.min(READ_AHEAD, last - first + 1) }, (_, index) => first + index);
    for (const { position, value, problem } of await concurrently(positions, READS_AT_ONCE, (at) =>
      probe(reader, at),
    )) {
      const broken = problem ?? linkProblem(folder, position, value, previous);
      if (value !== null && broken === null) yield { record: value };
      else yield { record: null, problem: broken ?? `The file ${logFile(folder, position)} is missing`, position };
      previous = value?.digest ?? null;
      digests.push(previous);
      if (state.value?.position === position && previous !== null && previous !== state.value.digest) {
        yield { record: null, problem: `The file ${stateFile(folder)} knows another entry ${position} of its log` };
      }
      if (position % CHAPTER_ENTRIES > 0) continue;
      const wrong = chapters.delete(position / CHAPTER_ENTRIES) && (await chapterProblem(reader, position, digests));
      if (wrong) yield { record: null, problem: wrong };
      digests = [];
    }
  }
  for (const number of chapters) {
    yield { record: null, problem: `The entries of ${chapterFile(folder, number)} are missing from its log` };
  }
}

/** What `walkLog` needs of a log. */
export interface WalkedLog<E, S> {
  readonly reader: LogReader<E>;
  readonly writtenState: () => ReturnType<Log<E, S>["writtenState"]>;
}

/** A call's value, or the problem when it met damage. */
export async function problemOr<T>(
  call: () => Promise<T>,
): Promise<{ readonly value: T | null; readonly problem: string | null }> {
  try {
    return { value: await call(), problem: null };
  } catch (error) {
    if (isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN")) {
      return { value: null, problem: error.message };
    }
    throw error;
  }
}

async function probe<E>(
  reader: LogReader<E>,
  position: number,
): Promise<{ readonly position: number; readonly value: LogRecord<E> | null; readonly problem: string | null }> {
  return { position, ...(await problemOr(() => reader.read(position))) };
}

function linkProblem<E>(
  folder: string,
  position: number,
  record: LogRecord<E> | null,
  previous: string | null,
): string | null {
  if (record === null || previous === null || record.previous === previous) return null;
  return `The file ${logFile(folder, position)} does not follow the entry before it`;
}

async function listChapters(files: BlobPort, folder: string): Promise<Set<number>> {
  const numbers = new Set<number>();
  for await (const name of files.list(folder)) {
    const number = chapterNumber(name);
    if (number !== null) numbers.add(number);
  }
  return numbers;
}

async function chapterProblem<E>(
  reader: LogReader<E>,
  end: number,
  digests: readonly (string | null)[],
): Promise<string | null> {
  const number = end / CHAPTER_ENTRIES;
  const { value, problem } = await problemOr(() => reader.chapter(number));
  if (value === null) return problem;
  const same = value.every(({ digest }, index) => digests[index] === null || digests[index] === digest);
  return same ? null : `The file ${chapterFile(reader.place.folder, number)} differs from the entries that it repeats`;
}
