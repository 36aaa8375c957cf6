import { MemoryBooks, type MemoryStep } from "../memory-table.ts";
import type { Columns } from "./format/columns.ts";
import type { FileEntry, Listed } from "./manifest.ts";
import type { DatasetFormat } from "./options.ts";
import { DatasetState, type DatasetStream } from "./state.ts";

type Tokens = MemoryBooks<FileEntry>["tokens"] extends Map<string, infer Taken> ? Taken : never;

/** A dataset's state as JSON. */
interface Snapshot {
  readonly version: number;
  readonly digest: string;
  readonly place: string;
  readonly format: DatasetFormat | null;
  readonly schemas: readonly Columns[];
  readonly garbage: readonly (readonly [path: string, since: number])[];
  readonly streams: readonly StreamSnapshot[];
}

interface StreamSnapshot {
  readonly name: string;
  readonly epoch: number;
  readonly position: number;
  readonly oldest: number;
  readonly settled: number;
  readonly files: readonly Listed[];
  readonly steps: readonly MemoryStep<FileEntry>[];
  readonly tokens: readonly (readonly [string, Tokens])[];
  readonly reverts: readonly (readonly [string, unknown])[];
}

/** All that a state holds, as plain data. */
export function snapshotOf(state: DatasetState): Snapshot {
  const { version, digest, place, format, schemas, garbage, streams } = state;
  return {
    version,
    digest,
    place,
    format,
    schemas,
    garbage: [...garbage],
    streams: [...streams].map(([name, { books, files, settled }]) => ({
      name,
      epoch: books.epoch,
      position: books.position,
      oldest: books.oldest,
      settled,
      files: [...files],
      steps: books.steps,
      tokens: [...books.tokens],
      reverts: [...books.reverts],
    })),
  };
}

/** The state that a snapshot holds. */
export function stateOf(content: unknown): DatasetState {
  const { version, digest, place, format, schemas, garbage, streams } = content as Snapshot;
  const state = new DatasetState();
  Object.assign(state, { version, digest, place, format });
  state.schemas.push(...schemas);
  for (const [path, since] of garbage) state.garbage.set(path, since);
  for (const stream of streams) state.streams.set(stream.name, streamOf(stream));
  return state;
}

function streamOf({ epoch, position, oldest, settled, files, steps, tokens, reverts }: StreamSnapshot): DatasetStream {
  const books = new MemoryBooks<FileEntry>();
  Object.assign(books, { epoch, position, oldest, steps: [...steps] });
  for (const [token, taken] of tokens) books.tokens.set(token, taken);
  for (const [token, result] of reverts) books.reverts.set(token, result);
  return { books, files: new Map(files), settled };
}
