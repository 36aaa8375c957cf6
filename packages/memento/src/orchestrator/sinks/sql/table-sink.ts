import { sha256OfJson } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import { mustRepeat } from "../../../store/sql/session.ts";
import { checkEpoch } from "../epoch.ts";
import { madeByWrites } from "../made-by-writes.ts";
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
import { isRefused, untilAnswered } from "./attempts.ts";
import { readPlace } from "./books.ts";
import type { SqlTableDriver } from "./engine.ts";
import { readForeign } from "./foreign.ts";
import { trimEntries } from "./journal.ts";
import { clearNet, findNet } from "./net.ts";
import { OpenTable } from "./open-table.ts";
import { applyNet } from "./revert.ts";
import { admit, findStream, moveTo, type Stream } from "./stream.ts";
import { findToken, restoreTokens, takeToken, trimTokens } from "./tokens.ts";
import type { Workspace } from "./workspace.ts";
import { writeBatch } from "./write.ts";

/**
 * A sink into a table on an SQL server. Data, token, epoch and what is needed to go back are one transaction in its database. With
 * `madeByWrites` of its context the first call that writes makes the table: who only looks makes none in the place of one that was
 * dropped or renamed, and a run whose rows went with it is told so.
 */
export function sqlTableSink<Row>(driver: SqlTableDriver): Sink<Row> {
  return madeByWrites(new SqlTableSink<Row>(driver), async (context) => {
    // Nothing would make it: what is missing is said when the sink is opened.
    if (driver.columns === null) return true;
    const engine = await driver.open(context);
    try {
      return await untilAnswered(engine.clock, context.signal, async () => {
        return await engine.transaction(async (session) => (await engine.readTarget(session)) !== null);
      });
    } finally {
      await engine.close();
    }
  });
}

class SqlTableSink<Row> implements Sink<Row> {
  readonly kind: string;
  readonly supports: SinkSupports = { revert: "rows", foreignChanges: true, tokens: true };
  readonly #driver: SqlTableDriver;
  #table: OpenTable | null = null;

  constructor(driver: SqlTableDriver) {
    this.#driver = driver;
    this.kind = driver.kind;
  }

  describe(): string {
    return this.#driver.describe();
  }

  async open(context: SinkContext): Promise<void> {
    if (this.#table !== null) throw new MementoError("INVALID_ARGUMENT", `The ${this.describe()} is open already`);
    this.#table = await OpenTable.open(this.#driver, context);
  }

  async place(): Promise<string> {
    const { address, transaction } = this.#opened();
    return await transaction(async (work) => {
      const stream = await findStream(work, address);
      return stream === null || stream.position === 0 ? "" : await readPlace(work.session, work.dialect);
    });
  }

  async fence(epoch: number): Promise<void> {
    checkEpoch(epoch);
    const { address, transaction } = this.#opened();
    await transaction(async (work) => void (await admit(work, address, epoch)));
  }

  async mark(): Promise<SinkMark> {
    const { address, transaction } = this.#opened();
    return await transaction(async (work) => markOf((await findStream(work, address))?.position ?? 0));
  }

  async write(rows: readonly Row[], write: SinkWrite): Promise<SinkWritten> {
    checkEpoch(write.epoch);
    // What was done on a connection that was lost before it said so is found by its token, and is no duplicate.
    const done: { written: SinkWritten | null } = { written: null };
    try {
      return await this.#write(rows, write, false, done);
    } catch (error) {
      if (!isRefused(error)) throw error;
    }
    return await this.#write(rows, write, true, done);
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    const { address, transaction } = this.#opened();
    return await transaction(async (work) => {
      const stream = await findStream(work, address);
      const inspection = await this.#inspect(work, stream, mark);
      // Nothing is held while it is looked at: what a write did in between would look like somebody else's doing.
      const now = await findStream(work, address);
      if (now?.position !== stream?.position) throw mustRepeat(`The ${this.describe()} was written to meanwhile`);
      return inspection;
    });
  }

  async revertTo(
    mark: SinkMark,
    { epoch, token }: SinkWrite,
    options: { readonly force: boolean },
  ): Promise<SinkReverted> {
    checkEpoch(epoch);
    const { address, transaction } = this.#opened();
    try {
      return await transaction(async (work) => {
        const stream = await admit(work, address, epoch);
        const taken = await findToken(work, stream, token);
        if (taken?.kind === "write")
          throw new MementoError("INVALID_ARGUMENT", `The token ${token} was taken by a write`);
        if (taken !== null) return JSON.parse(taken.result ?? "null") as SinkReverted;
        const position = positionOf(mark, stream.position, this.describe());
        demandKept(position, stream.oldest, this.describe());
        if (stream.position === 0) return { removed: 0, restored: 0, records: 0, kept: [], mark: null };
        return await this.#revert(work, stream, position, token, options.force);
      });
    } catch (error) {
      if (!isRefused(error)) throw error;
      const { refused: _refused, ...details } = error.details;
      throw new MementoError("NOT_REVERTIBLE", error.message, { details });
    }
  }

  async trim(oldest: SinkMark): Promise<void> {
    const { address, transaction } = this.#opened();
    await transaction(async (work) => {
      const stream = await findStream(work, address, " FOR UPDATE");
      const position = positionOf(oldest, stream?.position ?? 0, this.describe());
      if (stream === null || position <= stream.oldest) return;
      await trimEntries(work, stream, position);
      await trimTokens(work, stream, position);
    });
  }

  async close(): Promise<void> {
    const table = this.#table;
    this.#table = null;
    await table?.close();
  }

  async #write(
    rows: readonly Row[],
    { epoch, token, records = 0 }: SinkWrite,
    findsRow: boolean,
    done: { written: SinkWritten | null },
  ): Promise<SinkWritten> {
    const { address, transaction, engine } = this.#opened();
    return await transaction(async (work) => {
      const stream = await admit(work, address, epoch);
      const taken = await findToken(work, stream, token);
      const mark = markOf(taken?.position ?? stream.position + 1);
      if (taken !== null) return done.written ?? { rows: 0, duplicate: true, mark };
      const position = stream.position + 1;
      const { mode } = this.#driver;
      const count = await writeBatch(engine, work, { rows, stream, position, mode, findsRow });
      await takeToken(work, stream, token, { position, kind: "write", records, result: null });
      await moveTo(work, stream, position);
      done.written = { rows: count, duplicate: false, mark };
      return done.written;
    });
  }

  async #inspect(work: Workspace, stream: Stream | null, mark: SinkMark): Promise<SinkInspection> {
    const position = positionOf(mark, stream?.position ?? 0, this.describe());
    const facts = { mark: position, position: stream?.position ?? 0, oldest: stream?.oldest ?? 0 };
    if (stream === null || position < stream.oldest) {
      const nothing = { remove: 0, restore: 0, foreign: [], foreignTotal: 0, oldest: markOf(facts.oldest) };
      return { ...nothing, trimmed: stream !== null, fingerprint: sha256OfJson(facts) };
    }
    const net = await findNet(work, stream, position, false);
    const { removed: remove, restored: restore } = net.gentle;
    const { named: foreign, digest } = await readForeign(work);
    await clearNet(work);
    const fingerprint = sha256OfJson({ ...facts, remove, restore, foreignTotal: net.foreign, digest });
    const oldest = markOf(stream.oldest);
    return { remove, restore, foreign, foreignTotal: net.foreign, trimmed: false, oldest, fingerprint };
  }

  async #revert(work: Workspace, stream: Stream, mark: number, token: string, force: boolean): Promise<SinkReverted> {
    const position = stream.position + 1;
    const net = await findNet(work, stream, mark, true);
    const kept = force ? [] : (await readForeign(work)).named;
    const counts = await applyNet(work, stream, net, { position, back: mark, force });
    await clearNet(work);
    const records = await restoreTokens(work, stream, mark, position);
    const reverted: SinkReverted = { ...counts, records, kept, mark: markOf(position) };
    await takeToken(work, stream, token, { position, kind: "revert", records: 0, result: JSON.stringify(reverted) });
    await moveTo(work, stream, position);
    return reverted;
  }

  #opened(): OpenTable {
    if (this.#table !== null) return this.#table;
    throw new MementoError("STORE_CLOSED", `The ${this.describe()} is not open`);
  }
}
