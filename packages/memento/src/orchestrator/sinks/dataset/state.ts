import { isDeepStrictEqual } from "node:util";

import { MemoryBooks, type MemoryStep, type RowChange } from "../memory-table.ts";
import { markOf, positionOf, TOKEN_POSITIONS_KEPT } from "../position-mark.ts";
import type { SinkReverted } from "../sink.ts";
import type { Columns } from "./format/columns.ts";
import type { DatasetChange, FileEntry, Manifest } from "./manifest.ts";
import type { DatasetFormat } from "./options.ts";

/** What one timeline's sink has in the dataset: its files as of now, and how they came to be. */
export interface DatasetStream {
  readonly books: MemoryBooks<FileEntry>;
  /** The files of the newest version, by their names. */
  readonly files: Map<string, FileEntry>;
  /** The newest version that changed its files and can no longer be undone. */
  settled: number;
}

/** What the manifests up to a version add up to. */
export class DatasetState {
  version = 0;
  /** The digest of that version's manifest. */
  digest = "";
  place = "";
  format: DatasetFormat | null = null;
  readonly schemas: Columns[] = [];
  readonly streams = new Map<string, DatasetStream>();
  /** Files that no version needs any more, and since when, in milliseconds since 1970. */
  readonly garbage = new Map<string, number>();

  /** The stream of that name; an empty one where there is none yet. */
  stream(name: string): DatasetStream {
    return this.streams.get(name) ?? { books: new MemoryBooks(), files: new Map(), settled: 0 };
  }

  /** The list of columns that the newest version's files have; null where there are no files, -1 for files without. */
  get schema(): number | null {
    for (const { files } of this.streams.values()) for (const { schema } of files.values()) return schema;
    return null;
  }

  /** Goes on to the version of the manifest. */
  apply({ version, at, dataset, change }: Manifest, digest: string): void {
    if (dataset !== undefined) {
      this.place = dataset.place;
      this.format = dataset.format;
    }
    if (change.kind === "collect") for (const path of change.paths) this.garbage.delete(path);
    else this.#applyTo(this.#ownStream(change.stream), change, version, at);
    this.version = version;
    this.digest = digest;
  }

  /** The paths of every file that the newest version lists, or that a way back leads to. */
  neededPaths(): Set<string> {
    const paths = new Set<string>();
    for (const { books, files } of this.streams.values()) {
      for (const { path } of files.values()) paths.add(path);
      for (const { changes } of books.steps) for (const path of pathsOf(changes)) paths.add(path);
    }
    return paths;
  }

  #applyTo(
    stream: DatasetStream,
    change: Exclude<DatasetChange, { kind: "collect" }>,
    version: number,
    at: number,
  ): void {
    const { books, files } = stream;
    switch (change.kind) {
      case "fence":
        books.epoch = Math.max(books.epoch, change.epoch);
        return;
      case "write":
        books.epoch = Math.max(books.epoch, change.epoch);
        if (change.columns !== null && !this.schemas.some((known) => sameColumns(known, change.columns)))
          this.schemas.push(change.columns);
        for (const [name, entry] of change.files) files.set(name, entry);
        addStep(
          books,
          change.files.map(([item, after]) => ({ item, before: null, after })),
          { back: null, complete: true, commit: version },
        );
        books.take(change.token, change.records);
        return;
      case "revert":
        this.#revert(stream, change, version);
        return;
      case "merge":
        for (const { path } of merge(stream, change)) this.garbage.set(path, at);
        return;
      case "trim":
        this.#trim(stream, change.oldest, at);
        return;
    }
  }

  #revert({ books, files }: DatasetStream, change: Extract<DatasetChange, { kind: "revert" }>, version: number): void {
    books.epoch = Math.max(books.epoch, change.epoch);
    for (const { item, after } of change.moves) {
      if (after === null) files.delete(item);
      else files.set(item, after);
    }
    const changes = change.moves
      .filter(({ before, after }) => before?.digest !== after?.digest)
      .map(({ item, before, after }) => ({ item, before, after }));
    addStep(books, changes, { back: change.back, complete: change.complete, commit: version });
    const records = books.restoreTokens(change.back);
    const result: SinkReverted = { ...change.result, records, mark: markOf(books.position) };
    books.reverts.set(change.token, result);
  }

  #trim(stream: DatasetStream, oldest: number, at: number): void {
    const { books } = stream;
    const dropped = books.steps.filter(({ position }) => position <= oldest);
    books.trim(oldest);
    stream.settled = Math.max(stream.settled, ...dropped.map(({ commit }) => commit));
    forgetTokens(books, Math.min(oldest, books.position - TOKEN_POSITIONS_KEPT));
    const needed = this.neededPaths();
    for (const { changes } of dropped) {
      for (const path of pathsOf(changes)) if (!needed.has(path)) this.garbage.set(path, at);
    }
  }

  #ownStream(name: string): DatasetStream {
    const stream = this.stream(name);
    this.streams.set(name, stream);
    return stream;
  }
}

function addStep(
  books: MemoryBooks<FileEntry>,
  changes: readonly RowChange<FileEntry>[],
  step: Omit<MemoryStep<FileEntry>, "position" | "changes">,
): void {
  books.position += 1;
  books.steps.push({ position: books.position, changes, ...step });
}

/**
 * A merge changes no rows, and so makes no position: it belongs to the newest one. Whoever goes back to before that one has to
 * undo the merge too; so a revert that was followed by a merge does not count as complete any more. Gives the files that
 * nothing needs now, because no step is left that could be undone.
 */
function merge({ books, files }: DatasetStream, change: Extract<DatasetChange, { kind: "merge" }>): FileEntry[] {
  const [name, entry] = change.file;
  const merged: FileEntry[] = [];
  const changes: RowChange<FileEntry>[] = [];
  for (const item of change.out) {
    const before = files.get(item) ?? null;
    changes.push({ item, before, after: null });
    if (before !== null) merged.push(before);
    files.delete(item);
  }
  changes.push({ item: name, before: null, after: entry });
  files.set(name, entry);
  const last = books.steps.pop();
  if (last === undefined) return merged;
  books.steps.push({ ...last, changes: [...last.changes, ...changes], complete: false });
  return [];
}

function* pathsOf(changes: readonly RowChange<FileEntry>[]): Generator<string> {
  for (const { before, after } of changes) {
    if (before !== null) yield before.path;
    if (after !== null) yield after.path;
  }
}

function forgetTokens(books: MemoryBooks<FileEntry>, position: number): void {
  for (const [token, { events }] of books.tokens) {
    if ((events.at(-1)?.position ?? 0) <= position) books.tokens.delete(token);
  }
  for (const [token, result] of books.reverts) {
    const { mark } = result as SinkReverted;
    if (positionOf(mark, books.position, "the dataset") <= position) books.reverts.delete(token);
  }
}

/** True: the same names and types in the same order. */
export function sameColumns(a: Columns | null, b: Columns | null): boolean {
  return isDeepStrictEqual(Object.entries(a ?? {}), Object.entries(b ?? {}));
}
