import { sha256OfJson } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import { checkEpoch } from "../epoch.ts";
import { fileSink } from "../file-sink.ts";
import { type Existence, madeByWrites } from "../made-by-writes.ts";
import { demandKept, markOf, positionOf } from "../position-mark.ts";
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
import { SinkConnection, type Workspace } from "./connection.ts";
import { isRefusedData } from "./failures.ts";
import { readForeign } from "./foreign.ts";
import { readShapes, trimEntries } from "./journal.ts";
import { clearNet, findNet } from "./net.ts";
import { refusedRow } from "./refused-row.ts";
import { applyNet, countNet } from "./revert.ts";
import { admit, findStream, moveTo, type Stream } from "./stream.ts";
import { checkOptions, mayCreate, type DuckdbTableOptions } from "./table.ts";
import { findToken, restoreTokens, takeToken, trimTokens } from "./tokens.ts";
import { writeRows } from "./write.ts";

/**
 * A sink into a table of a DuckDB database. Data, token, epoch and what is needed to go back are one transaction in that database; its
 * books are the schema `memento_sink` there (see schema.ts). Needs the package `@duckdb/node-api`.
 *
 * DuckDB lets one process at a time have a file open, readers included. The file is therefore opened for each use and closed when the
 * sink has had nothing to do for `holdMs`; who finds it open waits, and is told LOCKED after `busyTimeoutMs`. All sinks of one
 * process share it. Other code of the same process must use it by the sink's `instance`, or while no sink is open.
 *
 * A batch is an array of objects of columns; what is missing is NULL. Whole numbers come as number, bigint or digits, decimals as text
 * (kept exactly) or number, moments as Date or text (without a zone: UTC), bytes as Uint8Array, lists, structs, maps and JSON as
 * arrays and objects; every other type as DuckDB's own text. A value that its column could not hold unchanged, and a broken constraint,
 * are RECORD_INVALID, one of a kind that the column does not take UNSUPPORTED_VALUE, each naming the row and no value; nothing of the
 * batch is then written.
 *
 * A row is found again by its key. DuckDB gives rows no lasting name, so without a key the sink numbers its rows in a column
 * `memento_row`, which it makes with the table. A row is known again by DuckDB's 64-bit hash of its values; a revert past an upgrade to
 * a DuckDB that hashes differently is NOT_REVERTIBLE unless forced. One that somebody else has `changed` or `deleted`, or whose place was
 * `taken` after it was reverted, is named and kept; so is one that another timeline wrote since, even if it wrote the same. Kept for
 * going back are 8 bytes and the key of an added row, else the image before each change.
 *
 * Throws LOCKED, DISK_FULL, IO_FAILED and DAMAGED naming the file, NOT_REVERTIBLE where a constraint or a lost column forbids going back.
 */
export function duckdbTable<Row = Readonly<Record<string, unknown>>>(options: DuckdbTableOptions): Sink<Row> {
  checkOptions(options);
  const sink = new DuckdbTableSink<Row>(options);
  if (!mayCreate(options)) return sink;
  const hasTable: Existence = async (context) => await SinkConnection.findsTable(options, context);
  return "path" in options ? fileSink(sink, options.path, hasTable) : madeByWrites(sink, hasTable);
}

class DuckdbTableSink<Row> implements Sink<Row> {
  readonly kind = "duckdb-table";
  readonly supports: SinkSupports = { revert: "rows", foreignChanges: true, tokens: true };
  readonly #options: DuckdbTableOptions;
  #connection: SinkConnection | null = null;

  constructor(options: DuckdbTableOptions) {
    this.#options = options;
  }

  describe(): string {
    const place = "path" in this.#options ? this.#options.path : "an instance of this process";
    return `duckdb table ${this.#options.table} in ${place}`;
  }

  async open(context: SinkContext): Promise<void> {
    if (this.#connection !== null) throw new MementoError("INVALID_ARGUMENT", `The ${this.describe()} is open already`);
    this.#connection = await SinkConnection.open(this.#options, context);
  }

  async place(): Promise<string> {
    return await this.#opened().connection.place();
  }

  async fence(epoch: number): Promise<void> {
    checkEpoch(epoch);
    const { address, transaction } = this.#opened();
    await transaction("write", async ({ session, target }) => void (await admit(session, address, target, epoch)));
  }

  async mark(): Promise<SinkMark> {
    const { address, transaction } = this.#opened();
    return await transaction("read", async ({ session, target }) => {
      return markOf((await findStream(session, address, target))?.position ?? 0);
    });
  }

  async write(rows: readonly Row[], write: SinkWrite): Promise<SinkWritten> {
    checkEpoch(write.epoch);
    const { connection, transaction } = this.#opened();
    let isRefused = false;
    try {
      return await transaction("write", async (work) => {
        try {
          return await this.#write(work, rows, write);
        } catch (error) {
          isRefused = isRefusedData(error);
          throw error;
        }
      });
    } catch (error) {
      if (!isRefused) throw error;
      throw await refusedRow(connection, this.#options.mode, rows);
    }
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    const { address, transaction } = this.#opened();
    return await transaction("read", async (work) => {
      const stream = await findStream(work.session, address, work.target);
      const position = positionOf(mark, stream?.position ?? 0, this.describe());
      const facts = { mark: position, position: stream?.position ?? 0, oldest: stream?.oldest ?? 0 };
      if (stream === null || position < stream.oldest) {
        const nothing = { remove: 0, restore: 0, foreign: [], foreignTotal: 0, oldest: markOf(facts.oldest) };
        return { ...nothing, trimmed: stream !== null, fingerprint: sha256OfJson(facts) };
      }
      await findNet(work, stream, position, await readShapes(work.session, work.target));
      const { removed: remove, restored: restore } = await countNet(work, false);
      const { named: foreign, total: foreignTotal, digest } = await readForeign(work);
      const fingerprint = sha256OfJson({ ...facts, remove, restore, foreignTotal, digest });
      return { remove, restore, foreign, foreignTotal, trimmed: false, oldest: markOf(stream.oldest), fingerprint };
    });
  }

  async revertTo(
    mark: SinkMark,
    { epoch, token }: SinkWrite,
    options: { readonly force: boolean },
  ): Promise<SinkReverted> {
    checkEpoch(epoch);
    const { address, transaction } = this.#opened("NOT_REVERTIBLE");
    return await transaction("write", async (work) => {
      const { session, target } = work;
      const stream = await admit(session, address, target, epoch);
      const taken = await findToken(session, stream, token);
      if (taken?.kind === "write")
        throw new MementoError("INVALID_ARGUMENT", `The token ${token} was taken by a write`);
      if (taken !== null) return JSON.parse(taken.result ?? "null") as SinkReverted;
      const position = positionOf(mark, stream.position, this.describe());
      demandKept(position, stream.oldest, this.describe());
      if (stream.position === 0) return { removed: 0, restored: 0, records: 0, kept: [], mark: null };
      return await this.#revert(work, stream, position, token, options.force);
    });
  }

  async trim(oldest: SinkMark): Promise<void> {
    const { address, transaction } = this.#opened();
    await transaction("write", async (work) => {
      const stream = await findStream(work.session, address, work.target);
      const position = positionOf(oldest, stream?.position ?? 0, this.describe());
      if (stream === null || position <= stream.oldest) return;
      await trimEntries(work, stream, position);
      await trimTokens(work.session, stream, position);
    });
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.close();
  }

  async #write(work: Workspace, rows: readonly Row[], { epoch, token, records = 0 }: SinkWrite): Promise<SinkWritten> {
    const { session, target } = work;
    const stream = await admit(session, this.#opened().address, target, epoch);
    const taken = await findToken(session, stream, token);
    if (taken !== null) return { rows: 0, duplicate: true, mark: markOf(taken.position) };
    const position = stream.position + 1;
    await writeRows(work, stream, position, this.#options.mode, rows);
    await takeToken(session, stream, token, { position, kind: "write", records, result: null });
    await moveTo(session, stream, position);
    return { rows: rows.length, duplicate: false, mark: markOf(position) };
  }

  async #revert(work: Workspace, stream: Stream, mark: number, token: string, force: boolean): Promise<SinkReverted> {
    const { session, target } = work;
    const position = stream.position + 1;
    const net = await findNet(work, stream, mark, await readShapes(session, target));
    if (net.foreignHash && !force) throw otherHash(session.path);
    const { named, total } = await readForeign(work);
    const kept = force ? [] : named;
    const counts = await applyNet(work, stream, net, { position, back: mark, force, complete: force || total === 0 });
    await clearNet(work);
    const records = await restoreTokens(session, stream, mark, position);
    const reverted: SinkReverted = { ...counts, records, kept, mark: markOf(position) };
    await takeToken(session, stream, token, { position, kind: "revert", records: 0, result: JSON.stringify(reverted) });
    await moveTo(session, stream, position);
    return reverted;
  }

  /** The connection's transaction; data that the engine refuses becomes `refused`. */
  #opened(refused: "RECORD_INVALID" | "NOT_REVERTIBLE" = "RECORD_INVALID"): {
    connection: SinkConnection;
    address: SinkConnection["address"];
    transaction: <T>(kind: "read" | "write", work: (workspace: Workspace) => Promise<T>) => Promise<T>;
  } {
    const connection = this.#connection;
    if (connection === null) throw new MementoError("STORE_CLOSED", `The ${this.describe()} is not open`);
    return {
      connection,
      address: connection.address,
      transaction: async (kind, work) => await connection.transaction(kind, refused, work),
    };
  }
}

function otherHash(path: string): MementoError {
  return new MementoError(
    "NOT_REVERTIBLE",
    `${path}: the rows to be taken back were written with a version of DuckDB that hashes them differently, so changes by others cannot be told`,
    { hint: "Use the version of before once, or force the sink by name; what it takes can be brought back." },
  );
}
