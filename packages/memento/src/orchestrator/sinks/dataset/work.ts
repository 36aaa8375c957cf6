import { MementoError } from "../../../core/errors.ts";
import { systemRandom } from "../../../core/ports.ts";
import type { SinkContext } from "../sink.ts";
import { Chain } from "./chain.ts";
import { DataFiles } from "./data-files.ts";
import { findFile, nodeDatasetFiles } from "./files.ts";
import { csvFormat } from "./format/csv.ts";
import type { DataFormat } from "./format/data-format.ts";
import { jsonlFormat } from "./format/jsonl.ts";
import { parquetFormat } from "./format/parquet.ts";
import type { Look } from "./moves.ts";
import { type DatasetFolderOptions, folderPath } from "./options.ts";
import type { DatasetStream } from "./state.ts";
import type { UpkeepPorts } from "./upkeep.ts";

/** An open dataset, as one timeline's sink has it. */
export interface DatasetWork extends UpkeepPorts {
  readonly options: DatasetFolderOptions;
  /** The timeline and the sink's name. */
  readonly name: string;
  readonly dataFormat: DataFormat;
  readonly data: DataFiles;
  readonly look: Look;
  /** For people. */
  readonly place: string;
}

/** What a sink with these options works with, before anything is read. */
export function openWork(
  options: DatasetFolderOptions,
  { timeline, name, clock }: SinkContext,
  place: string,
): DatasetWork {
  const {
    files = nodeDatasetFiles,
    random = systemRandom,
    fileRowsMax = 1_000_000,
    graceMs = 900_000,
    format,
  } = options;
  const dataFormat = formatOf(options);
  const chain = new Chain({ folder: folderPath(options.folder), files, clock, random });
  return {
    options,
    name: JSON.stringify([timeline, name]),
    chain,
    files,
    clock,
    random,
    format,
    graceMs,
    place,
    dataFormat,
    data: new DataFiles({ chain, files, random, format: dataFormat, fileRowsMax }),
    look: async (path) => await findFile(files, chain.path(path)),
  };
}

function formatOf({ format, rowGroupRows = 100_000 }: DatasetFolderOptions): DataFormat {
  switch (format) {
    case "parquet":
      return parquetFormat(rowGroupRows);
    case "jsonl":
      return jsonlFormat;
    case "csv":
      return csvFormat;
  }
}

/** Throws FENCED for a lower epoch than the stream was fenced with. */
export function admit({ books }: DatasetStream, epoch: number): void {
  if (epoch >= books.epoch) return;
  throw new MementoError("FENCED", `The sink is held with epoch ${books.epoch}, and epoch ${epoch} was offered`);
}
