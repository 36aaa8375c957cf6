import type { FileMetaData, SchemaTree } from "hyparquet";
import { parquetScan, parquetSchema } from "hyparquet";
import { isFlatColumn } from "hyparquet/src/schema.js";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import { throwIfCancelled } from "../cancellation.ts";
import type { InputFile } from "../file/input-file.ts";
import { rowTemplate } from "../file/row-template.ts";
import { parquetCodecs } from "./parquet-codecs.ts";
import type { GroupPlace, OpenRow, ParquetColumn } from "./parquet-column.ts";
import { unreadableParquet } from "./parquet-errors.ts";
import { FlatColumn } from "./parquet-flat-column.ts";
import { asyncBuffer, parquetMetadata } from "./parquet-metadata.ts";
import { NestedColumn } from "./parquet-nested-column.ts";
import { nestedMetadata, nestedReader } from "./parquet-nested-values.ts";
import { parquetParsers } from "./parquet-parsers.ts";

/** How to read the rows of a Parquet file. */
export interface ParquetTableOptions {
  /** The columns to read, in this order; null for all. */
  readonly columns: readonly string[] | null;
  readonly binaryAsText: boolean;
  readonly batchRecords: number;
  readonly signal: AbortSignal;
}

/** How many rows a Parquet file says that it holds. */
export async function parquetRowCount(file: InputFile): Promise<number> {
  return Number((await parquetMetadata(file)).num_rows);
}

/**
 * The rows of a Parquet file from `firstRow` on, in batches of exactly `batchRecords`, the last one smaller. Rows before
 * one that cannot be read are given first.
 */
export async function* parquetRows(
  file: InputFile,
  firstRow: number,
  options: ParquetTableOptions,
): AsyncGenerator<OpenRow[]> {
  const { batchRecords, signal } = options;
  const metadata = await parquetMetadata(file);
  const columns = await openColumns(file, metadata, options).catch((error: unknown) => {
    throw unreadableParquet(file.path, null, error);
  });
  const template = rowTemplate(columns.map(({ name }) => name));
  let row = firstRow;
  let rows: OpenRow[] = [];
  for (const place of groupPlaces(metadata, firstRow)) {
    let entering: GroupPlace | null = place;
    for (let left = Number(place.group.num_rows) - place.skip; left > 0;) {
      throwIfCancelled(signal, file.path);
      const from = rows.length;
      const count = Math.min(batchRecords - from, left);
      for (let added = 0; added < count; added += 1) rows.push({ ...template });
      const { sound, failure } = await fillColumns(columns, rows, { from, place: entering });
      if (failure !== null) {
        if (sound > 0) yield rows.slice(0, sound);
        throw unreadableParquet(file.path, row + sound, failure.error);
      }
      entering = null;
      left -= count;
      if (rows.length < batchRecords) continue;
      yield rows;
      row += rows.length;
      rows = [];
    }
  }
  if (rows.length > 0) yield rows;
}

interface Filling {
  /** How many rows of the batch are whole. */
  readonly sound: number;
  readonly failure: { readonly error: unknown } | null;
}

/** Fills the rows from `from` on, after it has entered the row group that begins with them. */
async function fillColumns(
  columns: readonly ParquetColumn[],
  rows: readonly OpenRow[],
  { from, place }: { readonly from: number; readonly place: GroupPlace | null },
): Promise<Filling> {
  let sound = rows.length;
  let failure: Filling["failure"] = null;
  for (const column of columns) {
    let entered = false;
    try {
      if (place !== null) await column.enter(place);
      entered = true;
      await column.fill(rows, from, sound);
    } catch (error) {
      if (isMementoError(error, "CANCELLED")) throw error;
      // The rows before it are whole once the other columns have filled them as well.
      sound = entered ? from + column.filled : from;
      failure = { error };
    }
  }
  return { sound, failure };
}

function* groupPlaces(metadata: FileMetaData, firstRow: number): Generator<GroupPlace, undefined> {
  let row = 0;
  for (const group of metadata.row_groups) {
    const end = row + Number(group.num_rows);
    if (end > Math.max(row, firstRow)) yield { group, firstRow: row, skip: Math.max(0, firstRow - row) };
    row = end;
  }
}

const READ_AHEAD_BYTES_IN_ALL = 16 * 1024 * 1024;
const READ_AHEAD_BYTES_MAX = 1024 * 1024;
const READ_AHEAD_BYTES_MIN = 64 * 1024;

async function openColumns(
  file: InputFile,
  metadata: FileMetaData,
  { columns, binaryAsText }: ParquetTableOptions,
): Promise<ParquetColumn[]> {
  const root = parquetSchema(metadata);
  const chosen = columns === null ? root.children : columns.map((name) => childOf(file, root, name));
  const share = Math.floor(READ_AHEAD_BYTES_IN_ALL / Math.max(1, chosen.length));
  const readAheadBytes = Math.max(READ_AHEAD_BYTES_MIN, Math.min(READ_AHEAD_BYTES_MAX, share));
  const buffer = await asyncBuffer(file);
  const opening = chosen.map(async (child): Promise<ParquetColumn> => {
    const schemaPath = [root, child];
    if (isFlatColumn(schemaPath)) return new FlatColumn({ file, schemaPath, readAheadBytes, binaryAsText });
    const { name } = child.element;
    const scan = await parquetScan({
      file: buffer,
      metadata: nestedMetadata(metadata, child, binaryAsText),
      columns: [name],
      compressors: parquetCodecs,
      utf8: false,
      parsers: parquetParsers({ path: file.path, column: name }, (moment) =>
        typeof moment === "number" ? new Date(moment) : moment,
      ),
    });
    return new NestedColumn(name, scan, nestedReader(child));
  });
  return await Promise.all(opening);
}

function childOf(file: InputFile, root: SchemaTree, name: string): SchemaTree {
  const child = root.children.find(({ element }) => element.name === name);
  if (child !== undefined) return child;
  throw new MementoError("INVALID_ARGUMENT", `${file.path} has no column ${JSON.stringify(name)}`, {
    details: { path: file.path },
  });
}
