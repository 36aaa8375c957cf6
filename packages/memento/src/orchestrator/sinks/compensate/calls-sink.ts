import { sha256OfJson } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import type { Json } from "../../../core/json.ts";
import { checkEpoch } from "../epoch.ts";
import { fileSink } from "../file-sink.ts";
import { demandKept, positionOf, TOKEN_POSITIONS_KEPT } from "../position-mark.ts";
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
import { CallMaker, demand, isRefusal } from "./call-maker.ts";
import { type CallEntry, CallJournal, type CallStream } from "./journal.ts";
import { type CallsOptions, checkOptions, randomOf } from "./options.ts";
import { planCalls, rowsLeft } from "./planned-calls.ts";
import { jsonOfRows } from "./row-json.ts";
import { staysOf } from "./stays.ts";

/**
 * A sink into calls: an HTTP API, a queue, a mail server; anything that a function reaches and another function takes back. A
 * journal in a SQLite file says of each call whether it was made, so that a resumed run makes none twice that was answered. A
 * call whose answer was lost is what `unanswered` says: by default it is made again with the same idempotency key.
 *
 * Going back calls `compensate` for each call since the mark, the newest first; going forth again makes them anew, with keys of
 * their own. Both go on where they stopped. Rows are plain JSON; anything else is UNSUPPORTED_VALUE. CALL_UNANSWERED as
 * `unanswered` says; LOCKED, DISK_FULL, IO_FAILED and DAMAGED name the journal; what the functions throw passes.
 */
export function compensatingCalls<Row = Json>(options: CallsOptions<Row>): Sink<Row> {
  checkOptions(options);
  return fileSink(new CallsSink<Row>(options), options.journal);
}

interface OpenCalls<Row> {
  readonly journal: CallJournal;
  readonly maker: CallMaker<Row>;
}

class CallsSink<Row> implements Sink<Row> {
  readonly kind = "compensating-calls";
  readonly supports: SinkSupports;
  readonly #options: CallsOptions<Row>;
  #opened: OpenCalls<Row> | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: CallsOptions<Row>) {
    this.#options = options;
    const revert = options.compensate === undefined ? "none" : "compensate";
    this.supports = { revert, foreignChanges: false, tokens: true };
  }

  describe(): string {
    return `calls of ${this.#options.name}`;
  }

  async open(context: SinkContext): Promise<void> {
    if (this.#opened !== null)
      throw new MementoError("INVALID_ARGUMENT", `The sink of ${this.describe()} is open already`);
    const { journal: path, busyTimeoutMs } = this.#options;
    const journal = await CallJournal.open(path, context, randomOf(this.#options), busyTimeoutMs);
    this.#opened = { journal, maker: new CallMaker(journal, this.#options, context) };
  }

  async place(): Promise<string> {
    const { journal } = this.#demand();
    return await journal.read((stream) => (stream === null || stream.position === 0 ? "" : journal.place));
  }

  async fence(epoch: number): Promise<void> {
    checkEpoch(epoch);
    await this.#demand().journal.write(epoch, () => undefined);
  }

  async mark(): Promise<SinkMark> {
    const { journal } = this.#demand();
    return await journal.read((stream) => (stream === null ? null : journal.markAt(stream, stream.position)));
  }

  async write(rows: readonly Row[], write: SinkWrite): Promise<SinkWritten> {
    checkEpoch(write.epoch);
    return await this.#inTurn(async () => {
      const { journal } = this.#demand();
      await this.#finishReverts(write.epoch);
      const texts = jsonOfRows(rows);
      await this.#settleOpenWrites(write.epoch, ({ token }) => token === write.token);
      const begun = await this.#begin(texts, write);
      if (begun.isDone) {
        return { rows: 0, duplicate: true, mark: await journal.read((stream) => begun.doneAt(demand(stream))) };
      }
      await this.#makeCalls(begun.entry, write.epoch);
      const { position, token } = begun.entry;
      return { rows: rows.length, duplicate: false, mark: { position, token } };
    });
  }

  async inspect(mark: SinkMark): Promise<SinkInspection> {
    const { journal } = this.#demand();
    return await journal.read((stream) => {
      const position = positionOf(mark, stream?.position ?? 0, this.describe());
      const facts = { mark: position, position: stream?.position ?? 0, oldest: stream?.oldest ?? 0 };
      const oldest = stream === null ? null : journal.markAt(stream, stream.oldest);
      const nothing = { remove: 0, restore: 0, foreign: [], foreignTotal: 0, oldest };
      if (stream === null || position < stream.oldest)
        return { ...nothing, trimmed: stream !== null, fingerprint: sha256OfJson(facts) };
      const changed = journal.changedSince(stream, position);
      const rowsOf = (entry: CallEntry): number =>
        journal.callsOf(stream, entry.position).reduce((sum, { count }) => sum + count, 0);
      const counted = changed.map((entry) => ({ entry, rows: rowsOf(entry) }));
      const total = (live: boolean): number =>
        counted.filter(({ entry }) => entry.live === live).reduce((sum, { rows }) => sum + rows, 0);
      const written = counted.filter(({ entry }) => entry.live).map(({ entry: { token }, rows }) => ({ token, rows }));
      const reverts = this.#options.compensate !== undefined;
      const [remove, restore] = reverts ? [total(true), total(false)] : [0, 0];
      const stays = reverts ? {} : { stays: staysOf(written) };
      const fingerprint = sha256OfJson({ ...facts, remove, restore, written });
      return { ...nothing, remove, restore, trimmed: false, ...stays, fingerprint };
    });
  }

  async revertTo(mark: SinkMark, { epoch, token }: SinkWrite): Promise<SinkReverted> {
    checkEpoch(epoch);
    return await this.#inTurn(async () => {
      const { journal } = this.#demand();
      await this.#finishReverts(epoch);
      const done = await journal.write(epoch, (stream) => this.#doneBefore(stream, token));
      if (done !== null) return done;
      const back = await journal.read((stream) => positionOf(mark, stream?.position ?? 0, this.describe()));
      if (this.#options.compensate !== undefined)
        await this.#settleOpenWrites(epoch, ({ position }) => position > back);
      const begun = await journal.write(epoch, (stream) => this.#beginRevert(stream, mark, token));
      return "entry" in begun ? await this.#finishRevert(begun.entry, epoch, false) : begun;
    });
  }

  async trim(oldest: SinkMark): Promise<void> {
    await this.#inTurn(async () => {
      const { journal } = this.#demand();
      await journal.tidy((stream) => {
        const position = positionOf(oldest, stream?.position ?? 0, this.describe());
        if (stream !== null && position > stream.oldest) journal.trim(stream, position, TOKEN_POSITIONS_KEPT);
      });
    });
  }

  async close(): Promise<void> {
    const opened = this.#opened;
    this.#opened = null;
    await opened?.journal.close();
  }

  /** Journals a write before the first of its calls; or finds that it was journaled before. */
  async #begin(
    rows: readonly string[],
    { epoch, token, records = 0 }: SinkWrite,
  ): Promise<
    | { readonly isDone: false; readonly entry: CallEntry }
    | { readonly isDone: true; readonly doneAt: (stream: CallStream) => SinkMark }
  > {
    const { journal } = this.#demand();
    return await journal.write(epoch, (stream) => {
      const known = journal.entriesOf(stream, token).findLast(({ kind, live }) => kind === "write" && live);
      if (known?.open === true) {
        this.#planAgain(stream, known, rows);
        return { isDone: false, entry: known } as const;
      }
      if (known !== undefined)
        return {
          isDone: true,
          doneAt: (now: CallStream) => journal.markAt(now, journal.lastEvent(now, known.position)),
        } as const;
      const position = stream.position + 1;
      const use = journal.nextUse(stream, token);
      const entry = {
        position,
        kind: "write",
        token,
        use,
        records,
        live: true,
        open: true,
        back: null,
        result: null,
      } as const;
      journal.addEntry(stream, entry);
      journal.addEvent(stream, position, position, true);
      for (const [number, call] of planCalls(rows, this.#options.rowsPerCall).entries())
        journal.addCall(stream, { entry: position, number, state: "planned", turn: 0, answer: null, ...call });
      journal.moveTo(stream, position);
      return { isDone: false, entry } as const;
    });
  }

  /**
   * A batch that comes again may have other rows, for the code was corrected: the calls that were not made take them. What was
   * made stays as it was made.
   */
  #planAgain(stream: CallStream, { position, token }: CallEntry, rows: readonly string[]): void {
    const { journal } = this.#demand();
    const calls = journal.callsOf(stream, position);
    const left = rowsLeft(calls, rows);
    if (left === null) {
      throw new MementoError(
        "NOT_REVERTIBLE",
        `${this.describe()}: calls of the batch ${token} were made with rows that it does not have any more, and it has ${rows.length} rows now`,
        {
          hint: "Let the code give these rows again, or leave the run behind by fresh: true (--fresh), which takes back what can be taken back.",
          details: { token },
        },
      );
    }
    const planned = calls.filter(({ state }) => state === "planned");
    const wanted = planCalls(left, this.#options.rowsPerCall);
    const isSame = planned.length === wanted.length && wanted.every((call, at) => call.rows === planned[at]?.rows);
    if (!isSame) journal.replan(stream, position, wanted);
  }

  /** Makes a write's calls; one that the far end refuses wholly is as if it had never been. */
  async #makeCalls(entry: CallEntry, epoch: number): Promise<void> {
    const { journal, maker } = this.#demand();
    try {
      await maker.make(entry, epoch);
    } catch (error) {
      if (isRefusal(error)) {
        await journal.write(epoch, (stream) => {
          const calls = journal.callsOf(stream, entry.position);
          // What was made of it, or may have been, stays in the journal: a revert takes it back, a repeat makes the rest.
          if (stream.position !== entry.position || calls.some(({ state }) => state !== "planned")) return;
          journal.removeEntry(stream, entry.position);
          journal.moveTo(stream, entry.position - 1);
        });
      }
      throw error;
    }
    await journal.write(epoch, (stream) => {
      journal.closeEntry(stream, entry.position, null);
      if (this.#options.compensate === undefined) journal.forgetRows(stream, entry.position);
    });
  }

  /** What a revert of this token did; null where there was none. */
  #doneBefore(stream: CallStream, token: string): SinkReverted | null {
    const entries = this.#demand().journal.entriesOf(stream, token);
    if (entries.some(({ kind, live }) => kind === "write" && live))
      throw new MementoError("INVALID_ARGUMENT", `The token ${token} was taken by a write`);
    const done = entries.findLast(({ kind }) => kind === "revert");
    return done === undefined ? null : resultOf(done);
  }

  /** Whether a call was made must be known before it is taken back, or made with other rows. */
  async #settleOpenWrites(epoch: number, isMeant: (entry: CallEntry) => boolean): Promise<void> {
    const { journal, maker } = this.#demand();
    const open = await journal.read((stream) => (stream === null ? [] : journal.openEntries(stream)));
    for (const entry of open)
      if (entry.kind === "write" && entry.live && isMeant(entry)) await maker.settle(entry, epoch);
  }

  /** Journals a revert before the first of its calls. */
  #beginRevert(stream: CallStream, mark: SinkMark, token: string): SinkReverted | { readonly entry: CallEntry } {
    const { journal } = this.#demand();
    const back = positionOf(mark, stream.position, this.describe());
    demandKept(back, stream.oldest, this.describe());
    if (stream.position === 0) return { removed: 0, restored: 0, records: 0, kept: [], mark: null };
    const position = stream.position + 1;
    const reverts = this.#options.compensate !== undefined;
    const changed = journal.changedSince(stream, back);
    let [removed, restored, records] = [0, 0, 0];
    for (const entry of reverts ? changed : []) {
      if (entry.live) records += entry.records;
      for (const call of journal.callsOf(stream, entry.position)) {
        if (entry.live) {
          if (call.state === "made") removed += call.count;
          journal.setCall(stream, { ...call, state: call.state === "made" ? "undoing" : "undone" });
        } else {
          restored += call.count;
          journal.setCall(stream, { ...call, state: call.state === "stays" ? "made" : "redoing" });
        }
      }
      journal.closeEntry(stream, entry.position, null);
      journal.addEvent(stream, entry.position, position, !entry.live);
    }
    const kept = changed
      .filter(({ live }) => live && !reverts)
      .map(({ position: at, token: of }) => {
        return { token: of, rows: journal.callsOf(stream, at).reduce((sum, { count }) => sum + count, 0) };
      });
    const reverted: SinkReverted = {
      removed,
      restored,
      records,
      kept: [],
      ...(kept.length === 0 ? {} : { stays: staysOf(kept) }),
      mark: { position, token },
    };
    const result = JSON.stringify(reverted);
    const entry = {
      position,
      kind: "revert",
      token,
      use: 0,
      records: 0,
      live: false,
      open: true,
      back,
      result,
    } as const;
    journal.addEntry(stream, entry);
    journal.moveTo(stream, position);
    return { entry };
  }

  async #finishRevert(entry: CallEntry, epoch: number, repeated: boolean): Promise<SinkReverted> {
    const { journal, maker } = this.#demand();
    const turned = await journal.read((stream) => journal.entriesTurnedAt(demand(stream), entry.position));
    await maker.turn(turned, epoch, repeated);
    return await journal.write(epoch, (stream) => {
      const planned = resultOf(entry);
      const kept = turned.flatMap(({ position, token }) => {
        const calls = journal.callsOf(stream, position).filter(({ state }) => state === "stays");
        return calls.map(({ count }) => ({ token, rows: count }));
      });
      const stays = staysOf(kept);
      const reverted: SinkReverted =
        stays.total === 0 ? planned : { ...planned, removed: planned.removed - stays.total, stays };
      journal.closeEntry(stream, entry.position, JSON.stringify(reverted));
      return reverted;
    });
  }

  /** A revert that was begun is finished before anything else, whoever began it. */
  async #finishReverts(epoch: number): Promise<void> {
    const { journal } = this.#demand();
    const open = await journal.write(epoch, (stream) => {
      return journal.openEntries(stream).filter(({ kind }) => kind === "revert");
    });
    for (const entry of open) await this.#finishRevert(entry, epoch, true);
  }

  /** One call of the contract after the other. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work);
    // The next waits for this one to end, however it ends; its own caller gets its error.
    this.#last = turn.then(
      () => null,
      () => null,
    );
    return turn;
  }

  #demand(): OpenCalls<Row> {
    if (this.#opened !== null) return this.#opened;
    throw new MementoError("STORE_CLOSED", `The sink of ${this.describe()} is not open`);
  }
}

/** What a revert did; earlier releases wrote its mark without the token. */
function resultOf({ position, token, result }: CallEntry): SinkReverted {
  return { ...(JSON.parse(result ?? "null") as SinkReverted), mark: { position, token } };
}
