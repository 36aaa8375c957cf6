import { readdir, stat } from "node:fs/promises";
import path from "node:path";

import { MementoError } from "../../../core/errors.ts";
import { formatOf } from "../file/file-source.ts";
import { filePath, openInputFile, orInputError } from "../file/input-file.ts";
import { recordsFile } from "../records-file.ts";
import type { Source } from "../source.ts";
import { FilesSource, type FilesPlace, type GoneFiles, type ListedFile } from "./files-source.ts";
import { globFilter } from "./glob.ts";

/** How to read the files of a folder. */
export interface FolderFilesOptions<Row> {
  /** A path or a `file:` URL. */
  readonly folder: string | URL;
  /** Which files, by their path in the folder: `*.csv`, `2026/**`, `2026-*.{json,jsonl}.gz`; by default all, in all folders beneath. */
  readonly files?: string;
  /** How a file is read: what `csvFile`, `jsonFile`, `jsonlFile` or `parquetFile` gives for its path. By its ending by default. */
  readonly read?: (path: string) => Source<Row>;
  /**
   * `refuse`, the default: a file that is gone before it is known to be read to its end is SOURCE_RANGE_GONE. `passed`: who takes files
   * away has seen to it that they are read. Compressed, JSON and Parquet files are known to be read to their end, and may always go.
   */
  readonly gone?: GoneFiles;
  /** `1` by default. */
  readonly schemaVersion?: string;
}

/**
 * A source of the records of all files of a folder, by the names of the files (compared code unit by code unit). Each file is a
 * partition with an offset of its own: files that come later are read by the next run, wherever they stand in the order; one that
 * has grown is read on; one that was replaced is SOURCE_MOVED. The list is made once, when a read begins. Names that begin with a dot
 * are left out, so a file is best written under such a name, or elsewhere, and renamed once it is whole; folders that are symbolic links
 * are not entered. Offsets grow with the files: about 120 bytes for each.
 */
export function folderFiles<Row = Record<string, unknown>>(options: FolderFilesOptions<Row>): Source<Row> {
  const { files = "**/*", read = recordsFile<Row>, gone = "refuse" } = options;
  const folder = filePath(options.folder);
  const place: FilesPlace = {
    kind: "folder-files",
    describe: () => `files ${files} of the folder ${folder}`,
    pathOf: (name) => path.join(folder, ...name.split("/")),
    open: async () => void (await entriesOf(folder)),
    list: async () => await listFolder(folder, globFilter(files)),
    openFile: async ({ name }) => await openInputFile(place.pathOf(name)),
    close: async () => await Promise.resolve(),
  };
  globFilter(files);
  checkGone(gone);
  return new FilesSource<Row>({
    place,
    schemaVersion: options.schemaVersion ?? "1",
    formatOf: (name) => formatOf(read(place.pathOf(name))),
    gone,
  });
}

/** INVALID_ARGUMENT for a word that says nothing of files that are gone. */
export function checkGone(gone: GoneFiles): void {
  if (gone === "refuse" || gone === "passed") return;
  throw new MementoError("INVALID_ARGUMENT", `gone takes refuse or passed, not ${JSON.stringify(gone)}`);
}

async function listFolder(folder: string, fits: (name: string) => boolean): Promise<readonly ListedFile[]> {
  const found: ListedFile[] = [];
  const folders = [""];
  for (let beneath = folders.pop(); beneath !== undefined; beneath = folders.pop()) {
    for (const entry of await entriesOf(path.join(folder, beneath))) {
      if (entry.name.startsWith(".")) continue;
      const name = `${beneath}${entry.name}`;
      if (entry.isDirectory()) folders.push(`${name}/`);
      else if (fits(name)) {
        // A link is what it points to; one that points to nothing any more, and a file that was just taken away, are no files.
        const file = path.join(folder, name);
        const facts = await orInputError(file, stat(file).catch(nothingThere));
        if (facts?.isFile() === true) found.push({ name, bytes: facts.size });
      }
    }
  }
  return found;
}

async function entriesOf(folder: string): Promise<readonly Entry[]> {
  return await orInputError(folder, readdir(folder, { withFileTypes: true }), "folder");
}

interface Entry {
  readonly name: string;
  isDirectory(): boolean;
}

function nothingThere(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ELOOP") return null;
  throw error;
}
