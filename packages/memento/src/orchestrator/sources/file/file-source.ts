import { isMementoError, MementoError } from "../../../core/errors.ts";
import { throwIfCancelled } from "../cancellation.ts";
import type { ReadOptions, Source, SourceBatch, SourceInspection, SourceOffset, SourceOffsets } from "../source.ts";
import type { InputFile } from "./input-file.ts";
import { openInputFile } from "./input-file.ts";

/** The one partition of a source that has no partitions. */
export const ONLY_PARTITION = "0";

/** How one batch is to be read. */
export type BatchOptions = Pick<ReadOptions, "batchRecords" | "signal">;

/** What a file format knows; everything else about a file source is the same for all of them. */
export interface FileFormat<Row> {
  /** For example `csv-file`. */
  readonly kind: string;
  /** For example `CSV file`. */
  readonly title: string;
  /** What is to be read in place of the file, such as its decompressed text; the file itself where there is nothing to do. */
  view?(file: InputFile): Promise<InputFile>;
  /** True when more records may come to stand behind those that the file has. */
  grows(file: InputFile): boolean;
  /** True when it is known without reading that nothing stands behind an offset. */
  isRead(file: InputFile, offset: SourceOffset): Promise<boolean>;
  /** The batches from an offset on; null is the beginning. Checks the offset first, and never closes the file. */
  batches(file: InputFile, from: SourceOffset | null, options: BatchOptions): AsyncIterable<FileBatch<Row>>;
  /** Throws SOURCE_MOVED or SOURCE_RANGE_GONE unless the file still holds all that was read before the offset. */
  check(file: InputFile, offset: SourceOffset): Promise<void>;
  /** The records that were read before an offset. */
  recordsBefore(path: string, offset: SourceOffset): number;
}

/** Some records, the offset after them, and how much of the file that is. */
export type FileBatch<Row> = Pick<SourceBatch<Row>, "records" | "offset" | "share">;

/** What makes a file source. */
export interface FileSourceParts<Row> {
  readonly path: string;
  readonly schemaVersion: string;
  readonly format: FileFormat<Row>;
}

/** A source that reads one file. Each read opens the file anew and closes it when its iterator ends or is returned. */
export function fileSource<Row>({ path, schemaVersion, format }: FileSourceParts<Row>): Source<Row> {
  const reading = new Set<InputFile>();

  async function withFile<Result>(work: (file: InputFile) => Promise<Result>): Promise<Result> {
    const file = await openViewed(format, await openInputFile(path));
    try {
      return await work(file);
    } finally {
      await file.close();
    }
  }

  async function* read({ from, ...options }: ReadOptions): AsyncGenerator<SourceBatch<Row>> {
    checkBatchRecords(options.batchRecords);
    const offset = onlyOffset(path, from);
    throwIfCancelled(options.signal, path);
    const file = await openViewed(format, await openInputFile(path));
    reading.add(file);
    try {
      for await (const batch of format.batches(file, offset, options)) yield { ...batch, partition: ONLY_PARTITION };
    } finally {
      reading.delete(file);
      await file.close();
    }
  }

  async function inspect(from: SourceOffsets, to: SourceOffsets): Promise<SourceInspection> {
    const recordsBetween = recordCount(path, format, from, to);
    const problem = await problemOf(async () => {
      await withFile(async (file) => await checkOffset(format, file, onlyOffset(path, from)));
    });
    if (problem !== "") return { available: false, problem, recordsBetween };
    // An end that does not fit the file counts records of another file.
    const misfit = await problemOf(async () => {
      await withFile(async (file) => await checkOffset(format, file, onlyOffset(path, to)));
    });
    return { available: true, problem: "", recordsBetween: misfit === "" ? recordsBetween : null };
  }

  const source: Source<Row> = {
    kind: format.kind,
    schemaVersion,
    describe: () => `${format.title} ${path}`,
    open: async () => await withFile(async () => {}),
    read,
    inspect,
    close: async () => {
      for (const file of reading) await file.close();
    },
  };
  formats.set(source, format);
  return source;
}

/** What each file source reads by, for sources that read many files alike. */
const formats = new WeakMap<object, FileFormat<unknown>>();

/** The format of a source that `csvFile`, `jsonFile`, `jsonlFile`, `parquetFile` or `recordsFile` has made; INVALID_ARGUMENT for any other. */
export function formatOf<Row>(source: Source<Row>): FileFormat<Row> {
  const format = formats.get(source);
  if (format !== undefined) return format as FileFormat<Row>;
  const known = "csvFile, jsonFile, jsonlFile, parquetFile or recordsFile";
  throw new MementoError("INVALID_ARGUMENT", `The files are read by what ${known} gives, not by ${source.describe()}`);
}

/** A file as its format reads it; closed where it cannot be read so. */
export async function openViewed(format: Pick<FileFormat<unknown>, "view">, file: InputFile): Promise<InputFile> {
  try {
    return (await format.view?.(file)) ?? file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Throws INVALID_ARGUMENT unless a batch may hold at least one record. */
export function checkBatchRecords(batchRecords: number): void {
  if (Number.isSafeInteger(batchRecords) && batchRecords >= 1) return;
  throw new MementoError("INVALID_ARGUMENT", `batchRecords takes a whole number from 1 on, not ${batchRecords}`);
}

/** The offset of the only partition; null at the beginning. SOURCE_MOVED where the offsets name any other partition. */
export function onlyOffset(what: string, offsets: SourceOffsets): SourceOffset | null {
  const other = Object.keys(offsets).find((partition) => partition !== ONLY_PARTITION);
  if (other === undefined) return offsets[ONLY_PARTITION] ?? null;
  throw new MementoError("SOURCE_MOVED", `${what} has no partition ${JSON.stringify(other)}, but the offsets name it`);
}

/** Throws where the file does not fit an offset into it. */
export async function checkOffset(
  format: FileFormat<unknown>,
  file: InputFile,
  offset: SourceOffset | null,
): Promise<void> {
  if (offset !== null) await format.check(file, offset);
}

function recordCount(path: string, format: FileFormat<unknown>, from: SourceOffsets, to: SourceOffsets): number | null {
  try {
    const [before, after] = [from, to].map((offsets) => {
      const offset = onlyOffset(path, offsets);
      return offset === null ? 0 : format.recordsBefore(path, offset);
    });
    return before === undefined || after === undefined || after < before ? null : after - before;
  } catch (error) {
    if (isMementoError(error, "SOURCE_MOVED")) return null;
    throw error;
  }
}

const ANSWERS = [
  "SOURCE_MOVED",
  "SOURCE_RANGE_GONE",
  "INPUT_MISSING",
  "INPUT_CUT",
  "RECORD_INVALID",
  "IO_FAILED",
  "PLACE_MISSING",
] as const;

/** What stands against reading, in one sentence; empty where nothing does. */
export async function problemOf(check: () => Promise<void>): Promise<string> {
  try {
    await check();
    return "";
  } catch (error) {
    if (isMementoError(error) && ANSWERS.some((code) => code === error.code)) return error.message;
    throw error;
  }
}
