import { isDeepStrictEqual } from "node:util";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import { throwIfCancelled } from "../cancellation.ts";
import {
  checkBatchRecords,
  checkOffset,
  type FileBatch,
  type FileFormat,
  openViewed,
  problemOf,
} from "../file/file-source.ts";
import type { InputFile } from "../file/input-file.ts";
import type {
  ReadOptions,
  Source,
  SourceBatch,
  SourceContext,
  SourceInspection,
  SourceOffset,
  SourceOffsets,
} from "../source.ts";

/** One of many files. */
export interface ListedFile {
  /** Its name in the place, with `/` between folders: the name of its partition. */
  readonly name: string;
  readonly bytes: number;
  /** The fingerprint of its content, where the listing tells. */
  readonly fingerprint?: string;
}

/** Where many files lie. */
export interface FilesPlace {
  readonly kind: string;
  describe(): string;
  /** For people: the place and the file's name. */
  pathOf(name: string): string;
  open(context: SourceContext): Promise<void>;
  /** The files that are there now, in any order. */
  list(signal: AbortSignal): Promise<readonly ListedFile[]>;
  openFile(file: ListedFile, signal: AbortSignal): Promise<InputFile>;
  close(): Promise<void>;
}

/** What becomes of files that were read and are no longer there. */
export type GoneFiles = "refuse" | "passed";

/** What a source of many files is made of. */
export interface FilesSourceParts<Row> {
  readonly place: FilesPlace;
  readonly schemaVersion: string;
  readonly formatOf: (name: string) => FileFormat<Row>;
  readonly gone: GoneFiles;
}

/**
 * A source of the records of many files, one after the other by name. Each file is a partition, its offset is that of its format;
 * one that can only change as a whole gets `end: true` behind its last record, and is not read again.
 */
export class FilesSource<Row> implements Source<Row> {
  readonly kind: string;
  readonly schemaVersion: string;
  readonly #parts: FilesSourceParts<Row>;
  readonly #reading = new Set<InputFile>();

  constructor(parts: FilesSourceParts<Row>) {
    this.kind = parts.place.kind;
    this.schemaVersion = parts.schemaVersion;
    this.#parts = parts;
  }

  describe(): string {
    return this.#parts.place.describe();
  }

  async open(context: SourceContext): Promise<void> {
    await this.#parts.place.open(context);
  }

  async *read(options: ReadOptions): AsyncGenerator<SourceBatch<Row>> {
    const { from, batchRecords, only, signal } = options;
    const { place, gone } = this.#parts;
    checkBatchRecords(batchRecords);
    throwIfCancelled(signal, place.describe());
    const files = await sorted(place, signal);
    const wanted = only === undefined ? Object.keys(from) : [only];
    const isPassed = gone === "passed" && only === undefined;
    const missing = wanted.find((name) => isGone(files, name, isPassed, from));
    if (missing !== undefined) throw goneFile(place, missing);
    let bytesInAll = 0;
    for (const { bytes } of files.values()) bytesInAll += bytes;
    let bytesBefore = 0;
    for (const file of files.values()) {
      throwIfCancelled(signal, place.describe());
      if (only === undefined || only === file.name) {
        for await (const batch of this.#readFile(file, offsetOf(from, file.name), options)) {
          const share = (bytesBefore + (batch.share ?? 0) * file.bytes) / Math.max(1, bytesInAll);
          yield { ...batch, partition: file.name, share: Math.min(1, share) };
        }
      }
      bytesBefore += file.bytes;
    }
  }

  async inspect(from: SourceOffsets, to: SourceOffsets): Promise<SourceInspection> {
    const { place, formatOf } = this.#parts;
    const recordsBetween = countOf(from, to, (name, offset) =>
      formatOf(name).recordsBefore(place.pathOf(name), offset),
    );
    const problem = await problemOf(async () => await this.#check(from, to));
    if (problem !== "") return { available: false, problem, recordsBetween };
    // An end that does not fit a file counts records of another file.
    const misfit = await problemOf(async () => await this.#check(to, to));
    return { available: true, problem: "", recordsBetween: misfit === "" ? recordsBetween : null };
  }

  async close(): Promise<void> {
    for (const file of this.#reading) await file.close();
    await this.#parts.place.close();
  }

  async *#readFile(
    file: ListedFile,
    offset: SourceOffset | null,
    { batchRecords, signal }: ReadOptions,
  ): AsyncGenerator<FileBatch<Row>> {
    if (offset !== null && isDone(file, offset)) return;
    const { place, formatOf } = this.#parts;
    const format = formatOf(file.name);
    const input = await openViewed(format, await place.openFile(file, signal));
    this.#reading.add(input);
    try {
      if (offset !== null && (isEnd(offset) || (await format.isRead(input, offset)))) {
        await format.check(input, offset);
        return;
      }
      const batches = format.batches(input, offset, { batchRecords, signal });
      yield* format.grows(input) ? batches : withEnd(batches);
    } finally {
      this.#reading.delete(input);
      await input.close();
    }
  }

  /** Throws what stands against reading from these offsets on, up to those. */
  async #check(from: SourceOffsets, to: SourceOffsets): Promise<void> {
    const { place, gone, formatOf } = this.#parts;
    const { signal } = new AbortController();
    const files = await sorted(place, signal);
    for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
      const offset = offsetOf(from, name);
      const file = files.get(name);
      if (file === undefined) {
        const isPassed = gone === "passed" && isDeepStrictEqual(offset, offsetOf(to, name));
        if (isGone(files, name, isPassed, from)) throw goneFile(place, name);
      } else if (offset !== null && !isDone(file, offset)) {
        const input = await openViewed(formatOf(name), await place.openFile(file, signal));
        try {
          await checkOffset(formatOf(name), input, offset);
        } finally {
          await input.close();
        }
      }
    }
  }
}

/** Marks the offset behind the last record; all before an error is given first. */
async function* withEnd<Row>(batches: AsyncIterable<FileBatch<Row>>): AsyncGenerator<FileBatch<Row>> {
  let held: FileBatch<Row> | null = null;
  try {
    for await (const batch of batches) {
      if (held !== null) yield held;
      held = batch;
    }
  } catch (error) {
    if (held !== null && !isMementoError(error, "CANCELLED")) yield held;
    throw error;
  }
  if (held !== null) yield { ...held, offset: { ...(held.offset as object), end: true } };
}

async function sorted(place: FilesPlace, signal: AbortSignal): Promise<ReadonlyMap<string, ListedFile>> {
  const files = (await place.list(signal)).toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return new Map(files.map((file) => [file.name, file]));
}

function offsetOf(offsets: SourceOffsets, name: string): SourceOffset | null {
  return Object.hasOwn(offsets, name) ? (offsets[name] ?? null) : null;
}

function isEnd(offset: SourceOffset): boolean {
  return typeof offset === "object" && offset !== null && (offset as { readonly end?: unknown }).end === true;
}

/** True for a file that was read to its end, of which the listing says that it is still the same. */
function isDone({ fingerprint }: ListedFile, offset: SourceOffset): boolean {
  return isEnd(offset) && fingerprint !== undefined && (offset as { readonly file?: unknown }).file === fingerprint;
}

/** True for a file that is missing, and may have records that were not read. */
function isGone(files: ReadonlyMap<string, ListedFile>, name: string, isPassed: boolean, from: SourceOffsets): boolean {
  if (files.has(name)) return false;
  const offset = offsetOf(from, name);
  return offset === null || !(isPassed || isEnd(offset));
}

function goneFile(place: FilesPlace, name: string): MementoError {
  const path = place.pathOf(name);
  const message = `${path} is no longer there, and is not known to have been read to its end`;
  return new MementoError("SOURCE_RANGE_GONE", message, { details: { path, partition: name } });
}

function countOf(
  from: SourceOffsets,
  to: SourceOffsets,
  recordsBefore: (name: string, offset: SourceOffset) => number,
): number | null {
  try {
    let count = 0;
    for (const name of new Set([...Object.keys(from), ...Object.keys(to)])) {
      const [before, after] = [from, to].map((offsets) => {
        const offset = offsetOf(offsets, name);
        return offset === null ? 0 : recordsBefore(name, offset);
      });
      if (before === undefined || after === undefined || after < before) return null;
      count += after - before;
    }
    return count;
  } catch (error) {
    if (isMementoError(error, "SOURCE_MOVED") || isMementoError(error, "INVALID_ARGUMENT")) return null;
    throw error;
  }
}
