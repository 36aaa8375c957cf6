import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { isMementoError } from "../../packages/memento/src/core/errors.ts";
import type { MementoError } from "../../packages/memento/src/core/errors.ts";
import type { Source, SourceBatch, SourceOffset } from "../../packages/memento/src/orchestrator/sources/source.ts";

/** How a test reads. */
export interface Reading {
  readonly from?: SourceOffset;
  readonly batchRecords?: number;
  readonly signal?: AbortSignal;
}

/** What a read gave before it ended, well or not. */
export interface ReadResult<Row> {
  readonly records: Row[];
  readonly batches: SourceBatch<Row>[];
  /** The offset after the last record; null where there was none. */
  readonly offset: SourceOffset | null;
  readonly error: MementoError | null;
}

/** Reads a source to its end; an error of ours is part of the result, any other is thrown. */
export async function readAll<Row>(source: Source<Row>, reading: Reading = {}): Promise<ReadResult<Row>> {
  const { from, batchRecords = 1000, signal = new AbortController().signal } = reading;
  const batches: SourceBatch<Row>[] = [];
  let error: MementoError | null = null;
  try {
    const options = { from: from === undefined ? {} : { "0": from }, batchRecords, signal };
    for await (const batch of source.read(options)) batches.push(batch);
  } catch (caught) {
    if (!isMementoError(caught)) throw caught;
    error = caught;
  }
  const records = batches.flatMap((batch) => batch.records);
  return { records, batches, offset: batches.at(-1)?.offset ?? null, error };
}

/** Lends a folder that is removed afterwards. */
export async function withFolder<Result>(work: (folder: string) => Promise<Result>): Promise<Result> {
  const folder = await mkdtemp(path.join(tmpdir(), "memento-source-"));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Lends a file with this content. */
export async function withFile<Result>(
  content: string | Uint8Array,
  work: (file: string) => Promise<Result>,
): Promise<Result> {
  return await withFolder(async (folder) => {
    const file = path.join(folder, "input");
    await writeFile(file, content);
    return await work(file);
  });
}

/** A file of the public data that the tests read. */
export function publicData(name: string): string {
  return path.join(import.meta.dirname, "../../node_modules/vega-datasets/data", name);
}

/** How many bytes text files are read at a time; a test that slides a place across it meets every way to be cut there. */
export const CHUNK_BYTES = 256 * 1024;
