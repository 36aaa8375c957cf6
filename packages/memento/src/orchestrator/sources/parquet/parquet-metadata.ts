import type { AsyncBuffer, FileMetaData } from "hyparquet";
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
    return await parquetMetadataAsync(await asyncBuffer(file));
  } catch (error) {
    throw unreadableParquet(path, null, error);
  }
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
