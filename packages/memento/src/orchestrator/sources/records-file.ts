import { extname } from "node:path";

import { MementoError } from "../../core/errors.ts";
import { csvFile } from "./csv/csv-file.ts";
import { COMPRESSED_ENDING } from "./file/compression.ts";
import { filePath } from "./file/input-file.ts";
import { jsonFile } from "./json/json-file.ts";
import { jsonlFile } from "./json/jsonl-file.ts";
import { parquetFile } from "./parquet/parquet-file.ts";
import type { Source } from "./source.ts";

/** What every kind of file takes. */
interface AnyFile {
  readonly path: string | URL;
  readonly schemaVersion?: string;
}

const BY_ENDING = new Map<string, <Row>(file: AnyFile) => Source<Row>>([
  [".csv", csvFile],
  [".tsv", (file) => csvFile({ ...file, delimiter: "\t" })],
  [".json", jsonFile],
  [".jsonl", jsonlFile],
  [".ndjson", jsonlFile],
  [".parquet", parquetFile],
]);

/**
 * A source of the records of a file, read as its ending says: `.csv`, `.tsv`, `.json`, `.jsonl`, `.ndjson` or
 * `.parquet`, each with its default options; text files may be compressed, and end in `.gz` or `.zst` then. INVALID_ARGUMENT for any other ending.
 */
export function recordsFile<Row = Record<string, unknown>>(
  path: string | URL,
  options: { readonly schemaVersion?: string } = {},
): Source<Row> {
  const name = filePath(path);
  const ending = extname(name.replace(COMPRESSED_ENDING, "")).toLowerCase();
  const sourceOf = BY_ENDING.get(ending);
  if (sourceOf !== undefined) return sourceOf<Row>({ path, ...options });
  const known = [...BY_ENDING.keys()].join(", ");
  throw new MementoError(
    "INVALID_ARGUMENT",
    `recordsFile reads files that end in ${known}, not ${JSON.stringify(ending)}`,
  );
}
