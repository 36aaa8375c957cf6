import { sha256OfJson } from "../../../core/digest.ts";
import { isMementoError, MementoError } from "../../../core/errors.ts";
import { checkEpoch } from "../epoch.ts";
import { markOf, positionOf } from "../position-mark.ts";
import type {
  Sink,
  SinkContext,
  SinkInspection,
  SinkMark,
  SinkReverted,
  SinkSupports,
  SinkWrite,
  SinkWritten,
} from "../sink.ts";
import { countRows, foreignOf, movesTo } from "./moves.ts";
import { checkOptions, type DatasetFolderOptions, folderPath } from "./options.ts";
import { revertStream } from "./revert.ts";
import type { DatasetState, DatasetStream } from "./state.ts";
import { collect, renewView } from "./upkeep.ts";
import { admit, type DatasetWork, openWork } from "./work.ts";
import { mergeDue, writeRows } from "./write.ts";

const FOREIGN_NAMED_MAX = 100;

/**
 * A sink into a versioned dataset: a folder of Parquet, JSONL or CSV files. Each write makes new files, which nobody changes
 * again, and publishes them with a new version in one step; each rollback makes a version that lists the files of before.
 * Several timelines may write to one folder at once. `readDataset` gives the files of one version, whole.
 *
 * Files that somebody else has changed or deleted are found by their digest, named and kept; a file is one thing: with one
 * changed row all of its rows stay. Old versions can be read, and gone back to, until `trim` and the grace period have passed.
 * Small files are merged as they add up, without a change to the rows; what they were made from goes with the versions
 * that list it. A batch is an array of objects; docs/sinks.md says how values are kept in each format.
 *
 * No lock is ever held: who is not the first to publish a version looks again and repeats. UNSUPPORTED_VALUE and RECORD_INVALID
 * name the row; DISK_FULL, IO_FAILED and DAMAGED name the file; each leaves the version of before. Folders on file systems
 * without hard links are CAPABILITY_MISSING.
 */
export function datasetFolder<Row = Readonly<Record<string, unknown>>>(options: DatasetFolderOptions): Sink<Row> {
  checkOptions(options);
  return new DatasetSink<Row>(options);
}

class DatasetSink<Row> implements Sink<Row> {
  readonly kind = "dataset-folder";
  readonly supports: SinkSupports = { revert: "versions", foreignChanges: true, tokens: true };
  readonly #options: DatasetFolderOptions;
  readonly #folder: string;
  /** Files that could not be merged, because somebody has changed them. */
  readonly #unmerged = new Set<string>();
  #work: DatasetWork | null = null;

  constructor(options: DatasetFolderOptions) {
    this.#options = options;
    this.#folder = folderPath(options.folder);
  }

  describe(): string {
    return `${this.#options.format} dataset in ${this.#folder}`;
  }

  async open(context: SinkContext): Promise<void> {
    if (this.#work !== null) throw new MementoError("INVALID_ARGUMENT", `The ${this.describe()} is open already`);
    const work = openWork(this.#options, context, this.describe());
    try {
      this.#check(await work.chain.open());
    } catch (error) {
      if (!isMementoError(error, "NOT_A_STORE")) throw error;
      throw new MementoError("INVALID_ARGUMENT", `${this.#folder}, or a part of it, is a file and not a folder`, {
        cause: error,
      });
    }
    this.#work = work;
  }

  async place(): Promise<string> {
    const { stream, state } = await this.#refresh();
    return stream.books.position === 0 ? "" : state.place;
  }

  async fence(epoch: number): Promise<void> {
    checkEpoch(epoch);
    const { chain, name, options } = this.#opened();
    for (;;) {
      const { stream } = await this.#refresh();
      admit(stream, epoch);
      if (stream.books.epoch === epoch) return;
      if (await chain.commit({ kind: "fence", stream: name, epoch }, options.format)) return;
    }
  }

  async mark(): Promise<SinkMark> {
    const { stream } = await this.#refresh();
    return markOf(stream.books.position);
  }

  async write(rows: readonly Row[], write: SinkWrite): Promise<SinkWritten> {
    checkEpoch(write.epoch);
    const work = this.#opened();
    const written = await writeRows(work, rows, write);
    if (!written.duplicate) await mergeDue(work, write.epoch, this.#unmerged);
    return written;
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    const { look } = this.#opened();
    const { stream } = await this.#refresh();
    const { books } = stream;
    const position = positionOf(mark, books.position, this.describe());
    const facts = { mark: position, position: books.position, oldest: books.oldest };
    const trimmed = position < books.oldest;
    const moves = trimmed ? [] : await movesTo(stream, position, false, look);
    const { removed: remove, restored: restore } = countRows(moves, stream);
    const foreign = foreignOf(moves);
    const contents = moves.flatMap(({ item, before, alien }) =>
      alien === null ? [] : [[item, before?.digest ?? null]],
    );
    const fingerprint = sha256OfJson({ ...facts, remove, restore, contents });
    const oldest = markOf(books.oldest);
    const named = foreign.slice(0, FOREIGN_NAMED_MAX);
    return { remove, restore, foreign: named, foreignTotal: foreign.length, trimmed, oldest, fingerprint };
  }

  async revertTo(mark: SinkMark, write: SinkWrite, options: { readonly force: boolean }): Promise<SinkReverted> {
    checkEpoch(write.epoch);
    const work = this.#opened();
    const reverted = await revertStream(work, mark, write, options.force);
    if (this.#options.current !== false) await renewView(work);
    return reverted;
  }

  async trim(oldest: SinkMark): Promise<void> {
    const work = this.#opened();
    for (;;) {
      const { stream } = await this.#refresh();
      const position = positionOf(oldest, stream.books.position, this.describe());
      if (position <= stream.books.oldest) break;
      const change = { kind: "trim", stream: work.name, oldest: position } as const;
      if (await work.chain.commit(change, work.format)) break;
    }
    await collect(work);
    await work.chain.tidy();
    if (this.#options.current !== false) await renewView(work);
  }

  async close(): Promise<void> {
    this.#work = null;
    await Promise.resolve();
  }

  #opened(): DatasetWork {
    if (this.#work !== null) return this.#work;
    throw new MementoError("STORE_CLOSED", `The ${this.describe()} is not open`);
  }

  async #refresh(): Promise<{ state: DatasetState; stream: DatasetStream }> {
    const { chain, name } = this.#opened();
    const state = await chain.refresh();
    return { state, stream: state.stream(name) };
  }

  #check({ format }: DatasetState): void {
    if (format === null || format === this.#options.format) return;
    throw new MementoError("INVALID_ARGUMENT", `${this.#folder} is a ${format} dataset, not ${this.#options.format}`);
  }
}
