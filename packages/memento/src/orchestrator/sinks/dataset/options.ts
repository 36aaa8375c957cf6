import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { MementoError } from "../../../core/errors.ts";
import type { Random } from "../../../core/ports.ts";
import type { DatasetFiles } from "./files.ts";
import { type Columns, COLUMN_TYPES } from "./format/columns.ts";

/** The kinds of data files that a dataset can be kept in. */
export type DatasetFormat = "parquet" | "jsonl" | "csv";

/** What `datasetFolder` takes. */
export interface DatasetFolderOptions {
  /** The dataset's folder, as a path or a `file:` URL; made with all above it at the first write. */
  readonly folder: string | URL;
  readonly format: DatasetFormat;
  /**
   * The columns and their types. Without them, Parquet and CSV take them from the first batch, and keep them from then on;
   * JSONL takes whatever comes.
   */
  readonly columns?: Columns;
  /** A batch of more rows is cut into several files; default 1,000,000. */
  readonly fileRowsMax?: number;
  /** Rows in a row group of Parquet; default 100,000. */
  readonly rowGroupRows?: number;
  /** Small files are merged whenever so many of one size follow each other; default 16, false for never. */
  readonly mergeFiles?: number | false;
  /** Files of more bytes are not merged any further; default 32 MiB. */
  readonly mergeBytesMax?: number;
  /** How long a file that no version needs any more stays for readers that are under way; default 15 minutes. */
  readonly graceMs?: number;
  /** True by default: `current` is a folder of the newest version's files, renewed by each rollback and at the end of each run. */
  readonly current?: boolean;
  /** Where names come from; the machine's own by default. */
  readonly random?: Random;
  /** The file system; the machine's own by default. */
  readonly files?: DatasetFiles;
}

/** The folder's absolute path. */
export function folderPath(folder: string | URL): string {
  return resolve(folder instanceof URL ? fileURLToPath(folder) : folder);
}

/** Throws INVALID_ARGUMENT for options that cannot work, before anything is touched. */
export function checkOptions(options: DatasetFolderOptions): void {
  const { folder, format, columns, mergeFiles = 16 } = options;
  if (folder === "") throw invalid("datasetFolder needs the path of a folder");
  if (!["parquet", "jsonl", "csv"].includes(format)) throw invalid(`format is ${format}: it is parquet, jsonl or csv`);
  for (const [name, type] of Object.entries(columns ?? {})) {
    if (!COLUMN_TYPES.includes(type))
      throw invalid(`The column ${name} is of type ${type}: ${COLUMN_TYPES.join(", ")}`);
  }
  if (columns !== undefined && Object.keys(columns).length === 0) throw invalid("columns takes at least one column");
  for (const name of ["fileRowsMax", "rowGroupRows", "mergeBytesMax"] as const) {
    const value = options[name] ?? 1;
    if (!Number.isSafeInteger(value) || value < 1) throw invalid(`${name} is ${value}: it is a whole number from 1 on`);
  }
  if (mergeFiles !== false && !(Number.isSafeInteger(mergeFiles) && mergeFiles >= 2))
    throw invalid(`mergeFiles is ${mergeFiles}: it is a whole number from 2 on, or false`);
  if (!((options.graceMs ?? 0) >= 0)) throw invalid(`graceMs is ${options.graceMs} and must not be negative`);
}

function invalid(message: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", message);
}
