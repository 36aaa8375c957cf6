import { sha256OfJson } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import { checkEpoch } from "../epoch.ts";
import { fileSink } from "../file-sink.ts";
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
import { appendRows } from "./append.ts";
import { SinkConnection } from "./connection.ts";
import { readForeign } from "./foreign.ts";
import { readShapes, trimEntries } from "./journal.ts";
import { writeKeyed } from "./keyed.ts";
import { clearNet, findNet } from "./net.ts";
import { applyNet, countNet } from "./revert.ts";
import { readPlace } from "./schema.ts";
import { admit, findStream, moveTo, type Stream } from "./stream.ts";
import { checkOptions, mayCreate, type SqliteTableOptions } from "./table.ts";
import { findToken, restoreTokens, takeToken, trimTokens } from "./tokens.ts";
import type { Workspace } from "./workspace.ts";

/**
 * A sink into a table of a SQLite database. Data, token, epoch and what is needed to go back are one transaction in that
 * database (WAL, synchronous FULL; its books are the tables `memento_sink_*`, see schema.ts).
 *
 * A batch is an array of objects of columns: string, number, bigint, boolean (0 or 1), Date (ISO text), Uint8Array, null; what is
 * missing is NULL. Anything else is UNSUPPORTED_VALUE, an unknown column or a broken constraint RECORD_INVALID, each naming the
 * row; nothing of the batch is then written, and the sink stays usable.
 *
 * A row is found again by its key, or else by its rowid, and known again by a 64-bit check of its stored values. One that
 * somebody else has `changed` or `deleted`, or whose place was `taken` after it was reverted, is named and kept; so is one
 * that another timeline wrote since, even if it wrote the same (as far back as that one's journal reaches). Where somebody
 * else wrote between two of our writes, only the later ones are undone. Kept for going back are 8 bytes a row for rows
 * appended by rowid, else the image before each change; a revert keeps what it takes away until it is trimmed. Rows come back
 * with their rowids; under a key, where those are free. VACUUM may renumber the rowids of a table without INTEGER PRIMARY KEY
 * or index, whose rows then count as changed: give such a table a key.
 *
 * Memory stays flat, and the event loop turns every 8,192 rows. Throws LOCKED after `busyTimeoutMs`, DISK_FULL, IO_FAILED and
 * DAMAGED naming the file, NOT_REVERTIBLE where a constraint or a lost column forbids going back.
 */
export function sqliteTable<Row = Readonly<Record<string, unknown>>>(options: SqliteTableOptions): Sink<Row> {
  checkOptions(options);
  const sink = new SqliteTableSink<Row>(options);
  if (!mayCreate(options)) return sink;
  return fileSink(sink, options.path, async (context) => await SinkConnection.findsTable(options, context));
}

class SqliteTableSink<Row> implements Sink<Row> {
  readonly kind = "sqlite-table";
  readonly supports: SinkSupports = { revert: "rows", foreignChanges: true, tokens: true };
  readonly #options: SqliteTableOptions;
  #connection: SinkConnection | null = null;

  constructor(options: SqliteTableOptions) {
    this.#options = options;
  }

  describe(): string {
    return `sqlite table ${this.#options.table} in ${this.#options.path}`;
  }

  async open(context: SinkContext): Promise<void> {
    if (this.#connection !== null) throw new MementoError("INVALID_ARGUMENT", `The ${this.describe()} is open already`);
    this.#connection = await SinkConnection.open(this.#options, context);
  }

  async place(): Promise<string> {
    const { address, transaction } = this.#opened();
    return await transaction("read", async ({ database, target }) => {
      const stream = findStream(database, address, target);
      return stream === null || stream.position === 0 ? "" : readPlace(database);
    });
  }

  async fence(epoch: number): Promise<void> {
    checkEpoch(epoch);
    const { address, transaction } = this.#opened();
    await transaction("write", async ({ database, target }) => void admit(database, address, target, epoch));
  }

  async mark(): Promise<SinkMark> {
    const { address, transaction } = this.#opened();
    return await transaction("read", async ({ database, target }) => {
      return markOf(findStream(database, address, target)?.position ?? 0);
    });
  }

  async write(rows: readonly Row[], { epoch, token, records = 0 }: SinkWrite): Promise<SinkWritten> {
    checkEpoch(epoch);
    const { address, transaction } = this.#opened();
    return await transaction("write", async (work) => {
      const { database, target } = work;
      const stream = admit(database, address, target, epoch);
      const taken = findToken(database, stream, token);
      if (taken !== null) return { rows: 0, duplicate: true, mark: markOf(taken.position) };
      const position = stream.position + 1;
      const { mode } = this.#options;
      const packed = mode === "append" && target.identity.kind === "rowid";
      const written = packed
        ? await appendRows(work, stream, position, rows)
        : await writeKeyed(work, stream, position, mode, rows);
      takeToken(database, stream, token, { position, kind: "write", records, result: null });
      moveTo(database, stream, position);
      return { rows: written, duplicate: false, mark: markOf(position) };
    });
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    const { address, transaction } = this.#opened();
    return await transaction("read", async (work) => {
      const stream = findStream(work.database, address, work.target);
      const position = positionOf(mark, stream?.position ?? 0, this.describe());
      const facts = { mark: position, position: stream?.position ?? 0, oldest: stream?.oldest ?? 0 };
      if (stream === null || position < stream.oldest) {
        const nothing = { remove: 0, restore: 0, foreign: [], foreignTotal: 0, oldest: markOf(facts.oldest) };
        return { ...nothing, trimmed: stream !== null, fingerprint: sha256OfJson(facts) };
      }
      await findNet(work, stream, position, readShapes(work.database, work.target));
      const { removed: remove, restored: restore } = await countNet(work, false);
      const { named: foreign, total: foreignTotal, digest } = await readForeign(work);
      clearNet(work);
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
      const { database, target } = work;
      const stream = admit(database, address, target, epoch);
      const taken = findToken(database, stream, token);
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
    await transaction("write", async ({ database, target }) => {
      const stream = findStream(database, address, target);
      const position = positionOf(oldest, stream?.position ?? 0, this.describe());
      if (stream === null || position <= stream.oldest) return;
      trimEntries(database, stream, position, readShapes(database, target));
      trimTokens(database, stream, position);
    });
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = null;
    await connection?.close();
  }

  async #revert(work: Workspace, stream: Stream, mark: number, token: string, force: boolean): Promise<SinkReverted> {
    const { database, target } = work;
    // Rows that refer to each other go out and come back in any order; what remains is checked at the end.
    database.raw.exec("PRAGMA defer_foreign_keys = ON");
    const position = stream.position + 1;
    const net = await findNet(work, stream, mark, readShapes(database, target));
    const { named, total } = await readForeign(work);
    const kept = force ? [] : named;
    const counts = await applyNet(work, stream, net, { position, back: mark, force, complete: force || total === 0 });
    clearNet(work);
    const records = restoreTokens(database, stream, mark, position);
    const reverted: SinkReverted = { ...counts, records, kept, mark: markOf(position) };
    takeToken(database, stream, token, { position, kind: "revert", records: 0, result: JSON.stringify(reverted) });
    moveTo(database, stream, position);
    return reverted;
  }

  /** The connection's transaction; data that the engine refuses becomes `refused`. */
  #opened(refused: "RECORD_INVALID" | "NOT_REVERTIBLE" = "RECORD_INVALID"): {
    address: SinkConnection["address"];
    transaction: <T>(kind: "read" | "write", work: (workspace: Workspace) => Promise<T>) => Promise<T>;
  } {
    const connection = this.#connection;
    if (connection === null) throw new MementoError("STORE_CLOSED", `The ${this.describe()} is not open`);
    return {
      address: connection.address,
      transaction: async (kind, work) => await connection.transaction(kind, refused, work),
    };
  }
}
