import { MementoError } from "../../../core/errors.ts";
import { systemClock, systemRandom } from "../../../core/ports.ts";
import { Chain } from "./chain.ts";
import { nodeDatasetFiles } from "./files.ts";
import type { Columns } from "./format/columns.ts";
import type { FileEntry } from "./manifest.ts";
import { type DatasetFormat, folderPath } from "./options.ts";
import type { DatasetState, DatasetStream } from "./state.ts";

/** What `readDataset` takes besides the folder. */
export interface ReadDatasetOptions {
  /** The version to read; the newest by default. */
  readonly version?: number;
}

/** A file of a dataset's version. */
export interface DatasetFile {
  /** The file's path, absolute. */
  readonly path: string;
  /** Below the dataset's folder: how the file is named in plans, as `files/<name>`. */
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
  /** SHA-256 of the file's content, as base64url. */
  readonly digest: string;
}

/** One version of a dataset, whole. */
export interface Dataset {
  readonly version: number;
  /** The oldest version that can still be read. */
  readonly oldest: number;
  readonly format: DatasetFormat;
  /** The columns of its files; null where rows are free (JSONL), or where there are no files. */
  readonly columns: Columns | null;
  readonly rows: number;
  /** In the order in which their rows came. */
  readonly files: readonly DatasetFile[];
}

/**
 * The files of one version of a dataset. The files do not change, and stay for the sink's grace period after the version is
 * no longer needed, so read on within that time. NOT_FOUND where there is no dataset, or not that version yet; TRIMMED for one that is
 * too old.
 */
export async function readDataset(folder: string | URL, options: ReadDatasetOptions = {}): Promise<Dataset> {
  const root = folderPath(folder);
  const chain = new Chain({ folder: root, files: nodeDatasetFiles, clock: systemClock, random: systemRandom });
  const state = await chain.open();
  const { version = state.version } = options;
  if (state.format === null) throw new MementoError("NOT_FOUND", `${root} holds no dataset`);
  if (version > state.version)
    throw new MementoError("NOT_FOUND", `${root} is at version ${state.version}, and version ${version} was asked for`);
  const oldest = Math.max(...[...state.streams.values()].map(({ settled }) => settled));
  if (version < oldest) {
    throw new MementoError("TRIMMED", `Of ${root}, version ${oldest} is the oldest that can still be read`, {
      details: { oldest },
    });
  }
  const listed = [...state.streams.values()]
    .flatMap((stream) => [...filesAt(stream, version)])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const files = listed.map(([name, { path, rows, bytes, digest }]) => ({
    path: chain.path(path),
    name: `files/${name}`,
    rows,
    bytes,
    digest,
  }));
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  return { version, oldest, format: state.format, columns: columnsOf(state, listed[0]?.[1]), rows, files };
}

/** The files of a stream as of a version: what came since is undone, merges too. */
function filesAt({ files, books }: DatasetStream, version: number): Map<string, FileEntry> {
  const then = new Map(files);
  for (const { commit, changes } of books.steps.toReversed()) {
    for (const { item, before, after } of changes.toReversed()) {
      const isMerged =
        after === null &&
        changes.some((other) => (other.after?.version ?? 0) > version && other.after?.of?.includes(item));
      const isSince = commit > version || isMerged || (after?.of !== undefined && after.version > version);
      if (!isSince) continue;
      if (before === null) then.delete(item);
      else then.set(item, before);
    }
  }
  return then;
}

function columnsOf(state: DatasetState, entry: FileEntry | undefined): Columns | null {
  return state.schemas[entry?.schema ?? -1] ?? null;
}
