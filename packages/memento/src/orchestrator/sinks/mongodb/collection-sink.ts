import { sha256OfJson, runningSha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import { randomText } from "../../../core/ids.ts";
import { failureOf } from "../../../store/mongodb/failure.ts";
import { checkEpoch } from "../epoch.ts";
import { madeByWrites } from "../made-by-writes.ts";
import { demandKept, markOf, positionOf, TOKEN_POSITIONS_KEPT } from "../position-mark.ts";
import type {
  ForeignChange,
  Sink,
  SinkContext,
  SinkInspection,
  SinkMark,
  SinkReverted,
  SinkSupports,
  SinkWrite,
  SinkWritten,
} from "../sink.ts";
import { type EntryDocument, padded, type StreamDocument, type TokenDocument } from "./books.ts";
import { CollectionConnection } from "./connection.ts";
import { Net } from "./net.ts";
import { type CommitWay, inParts } from "./operation.ts";
import { checkOptions, type MongodbCollectionOptions } from "./options.ts";
import { changesBack, collectMoves, countMoves } from "./revert.ts";
import { StagedWay } from "./staged-way.ts";
import { admit, findStream } from "./stream.ts";
import { restoreTokens } from "./tokens.ts";
import { TransactionWay } from "./transaction-way.ts";
import { changesOfRows } from "./write.ts";

const FOREIGN_NAMED_MAX = 100;

/**
 * A sink into a MongoDB collection. Documents, token, epoch and what is needed to go back change together: in one transaction
 * where the server has them, else by a staged write that whoever comes next completes (see docs/sinks.md for what that
 * leaves open). The sink's books are collections `memento_sink_*` beside the target; they are made when it is opened.
 *
 * A row is a plain object: what BSON holds, the driver's own classes among it; a field of `undefined` is left out. Anything
 * else is UNSUPPORTED_VALUE; a missing key, a key that is there already (`append`), or what a unique index or the
 * collection's validator refuses is RECORD_INVALID; each names the row, and nothing of the batch is then written.
 *
 * A document is found again by its key and known again by a check of its bytes. One that somebody else has `changed` or
 * `deleted`, or whose key was `taken` after it was reverted, is named and kept. For going back the document before each change
 * is kept as the bytes that it was. Throws LOCKED after `lockTimeoutMs`, STORE_UNREACHABLE, ACCESS_DENIED, DISK_FULL, and
 * NOT_REVERTIBLE where a unique index forbids going back.
 */
export function mongodbCollection<Row = Readonly<Record<string, unknown>>>(
  options: MongodbCollectionOptions,
): Sink<Row> {
  checkOptions(options);
  const sink = new MongodbCollectionSink<Row>(options);
  return madeByWrites(sink, async (context) => await CollectionConnection.findsCollection(options, context));
}

class MongodbCollectionSink<Row> implements Sink<Row> {
  readonly kind = "mongodb-collection";
  readonly supports: SinkSupports = { revert: "rows", foreignChanges: true, tokens: true };
  readonly #options: MongodbCollectionOptions;
  #opened: { readonly connection: CollectionConnection; readonly way: CommitWay; readonly staged: StagedWay } | null =
    null;

  constructor(options: MongodbCollectionOptions) {
    this.#options = options;
  }

  describe(): string {
    const { collection, url, database = "" } = this.#options;
    const place = url === undefined ? database : (/^[^?]*\/(?<name>[^?/]*)/u.exec(url)?.groups?.["name"] ?? "");
    return `mongodb collection ${collection} in ${this.#opened?.connection.where ?? place}`;
  }

  async open(context: SinkContext): Promise<void> {
    if (this.#opened !== null) throw new MementoError("INVALID_ARGUMENT", `The ${this.describe()} is open already`);
    const connection = await CollectionConnection.open(this.#options, context);
    const staged = new StagedWay(connection);
    const way = connection.staged ? staged : new TransactionWay(connection, async () => void (await staged.settle()));
    this.#opened = { connection, way, staged };
    await this.#read(async () => await findStream(connection, connection.access));
  }

  async place(): Promise<string> {
    return await this.#read(async ({ connection, stream }) => {
      return stream === null || stream.position === 0 ? "" : (await connection.place()).place;
    });
  }

  async fence(epoch: number): Promise<void> {
    checkEpoch(epoch);
    const { connection, way } = this.#demand();
    await way.commit(async ({ access }) => {
      const stream = await admit(connection, epoch, access);
      return { op: this.#newOp(), stream, entry: null, tokens: [], parts: () => inParts([]), answer: null };
    }, epoch);
  }

  async mark(): Promise<SinkMark> {
    return await this.#read(async ({ stream }) => markOf(stream?.position ?? 0));
  }

  async write(rows: readonly Row[], { epoch, token, records = 0 }: SinkWrite): Promise<SinkWritten> {
    checkEpoch(epoch);
    const { connection, way } = this.#demand();
    const by = this.#newOp();
    const { mode } = this.#options;
    return await way.commit<SinkWritten>(async ({ access, commit, place }) => {
      const before = await admit(connection, epoch, access);
      const taken = await connection.books.findToken(before._id, token, access);
      if (taken !== null) {
        const mark = markOf(taken.position);
        // Its answer was lost on the way to us.
        if (taken.by === by) return { answer: { rows: rows.length, duplicate: false, mark } };
        return { answer: { rows: 0, duplicate: true, mark } };
      }
      const position = before.position + 1;
      const op = this.#newOp();
      const changes = await changesOfRows(connection, rows, { mode, place: place.place, position, access });
      return {
        op,
        stream: { ...before, position },
        entry: entryOf(before, { op, commit, back: null, complete: true }),
        tokens: [tokenOf(before, token, { kind: "write", records, result: null, by })],
        parts: () => inParts(changes()),
        answer: { rows: rows.length, duplicate: false, mark: markOf(position) },
      };
    }, epoch);
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    return await this.#read(async ({ connection, stream }) => {
      const position = positionOf(mark, stream?.position ?? 0, this.describe());
      const facts = { mark: position, position: stream?.position ?? 0, oldest: stream?.oldest ?? 0 };
      const oldest = markOf(facts.oldest);
      if (stream === null || position < stream.oldest) {
        const nothing = { remove: 0, restore: 0, foreign: [], foreignTotal: 0, oldest };
        return { ...nothing, trimmed: stream !== null, fingerprint: sha256OfJson(facts) };
      }
      const net = await Net.read(connection, stream, position, connection.access);
      const digest = runningSha256();
      const foreign: ForeignChange[] = [];
      let [remove, restore, foreignTotal] = [0, 0, 0];
      for await (const move of net.moves(false)) {
        const { removed, restored } = countMoves([move]);
        remove += removed;
        restore += restored;
        if (move.alien === null) continue;
        const item = connection.identity.name(move.key);
        digest.update(`${item} ${move.alien} ${move.now}\n`);
        foreignTotal += 1;
        if (foreign.length < FOREIGN_NAMED_MAX) foreign.push({ item, change: move.alien });
      }
      const fingerprint = sha256OfJson({ ...facts, remove, restore, foreignTotal, digest: digest.current() });
      return { remove, restore, foreign, foreignTotal, trimmed: false, oldest, fingerprint };
    });
  }

  async revertTo(
    mark: SinkMark,
    { epoch, token }: SinkWrite,
    { force }: { readonly force: boolean },
  ): Promise<SinkReverted> {
    checkEpoch(epoch);
    const { connection, way } = this.#demand();
    try {
      return await way.commit<SinkReverted>(async ({ access, commit }) => {
        const stream = await admit(connection, epoch, access);
        const taken = await connection.books.findToken(stream._id, token, access);
        if (taken?.kind === "write")
          throw new MementoError("INVALID_ARGUMENT", `The token ${token} was taken by a write`);
        if (taken !== null) return { answer: JSON.parse(taken.result ?? "null") as SinkReverted };
        const back = positionOf(mark, stream.position, this.describe());
        demandKept(back, stream.oldest, this.describe());
        if (stream.position === 0) return { answer: { removed: 0, restored: 0, records: 0, kept: [], mark: null } };
        const net = await Net.read(connection, stream, back, access);
        const { moves, foreign, foreignTotal } = await collectMoves(net, connection.identity, force);
        const position = stream.position + 1;
        const { tokens, records } = await restoreTokens(connection.books, stream, back, access);
        const kept = force ? [] : foreign;
        const answer: SinkReverted = { ...countMoves(moves), records, kept, mark: markOf(position) };
        const op = this.#newOp();
        const result = JSON.stringify(answer);
        const changes = changesBack(connection, moves, access);
        return {
          op,
          stream: { ...stream, position },
          entry: entryOf(stream, { op, commit, back, complete: force || foreignTotal === 0 }),
          tokens: [...tokens, tokenOf(stream, token, { kind: "revert", records: 0, result, by: op })],
          parts: () => inParts(changes()),
          answer,
        };
      }, epoch);
    } catch (error) {
      throw notRevertible(error);
    }
  }

  async trim(oldest: SinkMark): Promise<void> {
    await this.#read(async ({ connection, stream }) => {
      const { books, access } = connection;
      const position = positionOf(oldest, stream?.position ?? 0, this.describe());
      if (stream === null || position === 0) return;
      const { _id } = stream;
      // First nobody counts on them any more; what a crash leaves then goes with the next trim.
      await books.streams.updateOne({ _id }, { $max: { oldest: position } }, { ...access });
      await books.images.deleteMany({ stream: _id, position: { $lte: position } }, { ...access });
      const entries = { $gte: `${_id}/${padded(0)}`, $lte: `${_id}/${padded(position)}` };
      await books.entries.deleteMany({ _id: entries }, { ...access });
      const last = Math.min(position, stream.position - TOKEN_POSITIONS_KEPT);
      if (last > 0) await books.tokens.deleteMany({ stream: _id, position: { $lte: last } }, { ...access });
    });
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = null;
    if (opened === null) return;
    try {
      await opened.way.close();
    } finally {
      await opened.connection.close();
    }
  }

  /** Reads what is decided: a staged write that somebody has left is completed before. */
  async #read<T>(
    work: (view: { connection: CollectionConnection; stream: StreamDocument | null }) => Promise<T>,
  ): Promise<T> {
    const { connection, staged } = this.#demand();
    try {
      await staged.settle();
      return await work({ connection, stream: await findStream(connection, connection.access) });
    } catch (error) {
      throw failureOf(error, connection.where);
    }
  }

  #demand(): { connection: CollectionConnection; way: CommitWay; staged: StagedWay } {
    if (this.#opened !== null) return this.#opened;
    throw new MementoError("STORE_CLOSED", `The ${this.describe()} is not open`);
  }

  #newOp(): string {
    return randomText(this.#demand().connection.random, 20);
  }
}

function entryOf(
  { _id: stream, position: before }: StreamDocument,
  facts: Pick<EntryDocument, "op" | "commit" | "back" | "complete">,
): EntryDocument {
  const position = before + 1;
  return { _id: `${stream}/${padded(position)}`, stream, position, ...facts };
}

function tokenOf(
  { _id: stream, position: before }: StreamDocument,
  token: string,
  facts: Pick<TokenDocument, "kind" | "records" | "result" | "by">,
): TokenDocument {
  const position = before + 1;
  return { _id: `${stream}/${padded(position)}/${token}`, stream, token, position, live: true, ...facts };
}

/** What the engine refuses while going back is no fault of a row's. */
function notRevertible(error: unknown): unknown {
  if (!(error instanceof MementoError) || error.code !== "RECORD_INVALID") return error;
  return new MementoError("NOT_REVERTIBLE", error.message, { cause: error.cause });
}
