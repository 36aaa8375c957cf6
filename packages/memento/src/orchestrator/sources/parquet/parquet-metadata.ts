import type { AsyncBuffer, ColumnMetaData, FileMetaData } from "hyparquet";
import { parquetMetadataAsync } from "hyparquet";

import { MementoError } from "../../../core/errors.ts";
import type { InputFile } from "../file/input-file.ts";
import { readExactly } from "../file/input-file.ts";
import { unreadableParquet } from "./parquet-errors.ts";

const MAGIC = "PAR1";
const ENCRYPTED = "PARE";
/** Magic at both ends, and the length of the metadata. */
const LEAST_BYTES = 12;

/** The metadata of a Parquet file; INPUT_CUT where its end is not that of one, RECORD_INVALID where it is none at all. */
export async function parquetMetadata(file: InputFile): Promise<FileMetaData> {
  const { path } = file;
  const size = await file.size();
  if (size < LEAST_BYTES) throw cut(path, size);
  const [begin, end] = await Promise.all([magicAt(file, 0), magicAt(file, size - MAGIC.length)]);
  if (begin === ENCRYPTED) throw new MementoError("CAPABILITY_MISSING", `${path} is encrypted`, { details: { path } });
  if (begin !== MAGIC)
    throw new MementoError("RECORD_INVALID", `${path} is no Parquet file`, { details: { path, byte: 0 } });
  if (end !== MAGIC) throw cut(path, size);
  try {
    const metadata = await parquetMetadataAsync(await asyncBuffer(file));
    checkExtent(metadata, size);
    return metadata;
  } catch (error) {
    throw unreadableParquet(path, null, error);
  }
}

/** Metadata whose own numbers do not agree, or point out of the file, is not read by. */
function checkExtent({ row_groups, num_rows }: FileMetaData, size: number): void {
  let rows = 0n;
  for (const group of row_groups) {
    rows += group.num_rows;
    if (group.num_rows < 0n) throw new Error("parquet row group has less than no rows");
    for (const { meta_data } of group.columns) {
      if (meta_data === undefined) continue;
      const { start, end } = chunkExtent(meta_data);
      if (!(start >= 0 && end >= start && end <= size)) throw new Error("parquet column stands outside of the file");
    }
  }
  if (rows !== num_rows) throw new Error("parquet row groups have not as many rows as the file");
}

/** The bytes of the file between which a column of a row group stands. */
export function chunkExtent(metadata: ColumnMetaData): { readonly start: number; readonly end: number } {
  const { data_page_offset, dictionary_page_offset, total_compressed_size } = metadata;
  // Some writers leave the dictionary's offset out or 0, and let the data begin with it.
  const withDictionary = dictionary_page_offset !== undefined && dictionary_page_offset !== 0n;
  const start = Number(withDictionary ? dictionary_page_offset : data_page_offset);
  return { start, end: start + Number(total_compressed_size) };
}

/** A file as hyparquet takes it. */
export async function asyncBuffer(file: InputFile): Promise<AsyncBuffer> {
  const byteLength = await file.size();
  const slice = async (start: number, end = byteLength): Promise<ArrayBuffer> =>
    (await readExactly(file, start, end - start)).buffer;
  return { byteLength, slice };
}

async function magicAt(file: InputFile, position: number): Promise<string> {
  return (await readExactly(file, position, MAGIC.length)).toString("latin1");
}

function cut(path: string, byte: number): MementoError {
  const message = `${path} ends at byte ${byte} without the end of a Parquet file`;
  return new MementoError("INPUT_CUT", message, { details: { path, byte } });
}
