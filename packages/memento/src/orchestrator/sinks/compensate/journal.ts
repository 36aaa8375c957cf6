import { sha256 } from "../../../core/digest.ts";
import { MementoError } from "../../../core/errors.ts";
import { randomText } from "../../../core/ids.ts";
import type { Random } from "../../../core/ports.ts";
import type { SinkContext, SinkMark } from "../sink.ts";
import { SinkDatabase } from "../sqlite/database.ts";
import { JOURNAL_TABLES, JOURNAL_VERSION } from "./journal-tables.ts";

const BUSY_TIMEOUT_MS = 30_000;

/** What one sink of one timeline has done so far. */
export interface CallStream {
  readonly id: number;
  readonly epoch: number;
  readonly position: number;
  readonly oldest: number;
}

/** What a position is. */
export interface CallEntry {
  readonly position: number;
  readonly kind: "write" | "revert";
  readonly token: string;
  /** How often the token was used before. */
  readonly use: number;
  readonly records: number;
  readonly live: boolean;
  readonly open: boolean;
  readonly back: number | null;
  readonly result: string | null;
}

/** See the table. */
export type CallState = "planned" | "asked" | "made" | "undoing" | "undone" | "stays" | "redoing";

/** One call of a write. */
export interface CallRow {
  readonly entry: number;
  readonly number: number;
  readonly state: CallState;
  readonly turn: number;
  /** How many rows it has. */
  readonly count: number;
  readonly rows: string | null;
  readonly answer: string | null;
}

/** The journal's file, opened for one sink of one timeline. */
export class CallJournal {
  readonly database: SinkDatabase;
  readonly #context: SinkContext;

  private constructor(database: SinkDatabase, context: SinkContext) {
    this.database = database;
    this.#context = context;
  }

  /** Opens the file, or makes it. */
  static async open(
    path: string,
    context: SinkContext,
    random: Random,
    busyTimeoutMs = BUSY_TIMEOUT_MS,
  ): Promise<CallJournal> {
    const { clock, signal } = context;
    const options = { path, onOpen: undefined, busyTimeoutMs, mayCreate: true, clock, signal };
    const database = await SinkDatabase.open(options);
    try {
      const journal = new CallJournal(database, context);
      await journal.#prepare(random);
      return journal;
    } catch (error) {
      await database.close();
      throw error;
    }
  }

  /** Runs `work` in one transaction that writes, under `epoch`; FENCED when a higher one was here. */
  async write<T>(epoch: number, work: (stream: CallStream) => T): Promise<T> {
    return await this.#transaction("write", () => work(this.#admit(epoch)));
  }

  /** Runs `work` on one state of the journal. */
  async read<T>(work: (stream: CallStream | null) => T): Promise<T> {
    return await this.#transaction("read", () => work(this.#find()));
  }

  /** Runs `work` in a transaction that needs no right: for trimming. */
  async tidy(work: (stream: CallStream | null) => void): Promise<void> {
    await this.#transaction("write", () => work(this.#find()));
  }

  get place(): string {
    return String(this.#get("SELECT place FROM memento_calls_format")?.["place"]);
  }

  /** The mark of a position, with the token that led there as long as that is kept: a run that goes on behind it takes others. */
  markAt({ id }: CallStream, position: number): SinkMark {
    const row = this.#get("SELECT token FROM memento_calls_entries WHERE stream = ? AND position = ?", id, position);
    return position === 0 ? null : { position, ...(row === undefined ? {} : { token: String(row["token"]) }) };
  }

  moveTo(stream: CallStream, position: number): void {
    this.run("UPDATE memento_calls_streams SET position = ? WHERE id = ?", position, stream.id);
  }

  addEntry({ id }: CallStream, entry: CallEntry): void {
    const { position, kind, token, use, records, live, open, back, result } = entry;
    this.run(
      "INSERT INTO memento_calls_entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      id,
      position,
      kind,
      token,
      use,
      records,
      Number(live),
      Number(open),
      back,
      result,
    );
  }

  addCall({ id }: CallStream, { entry, number, state, turn, count, rows, answer }: CallRow): void {
    this.run(
      "INSERT INTO memento_calls_calls VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
      id,
      entry,
      number,
      state,
      turn,
      count,
      rows,
      answer,
    );
  }

  /** How often the token was used before; it is used once more. */
  nextUse({ id, position }: CallStream, token: string): number {
    const row = this.#get(
      `INSERT INTO memento_calls_uses VALUES (?, ?, 1, ?)
       ON CONFLICT (stream, token) DO UPDATE SET uses = uses + 1, position = excluded.position RETURNING uses`,
      id,
      token,
      position + 1,
    );
    return Number(row?.["uses"]) - 1;
  }

  /** Takes a write of which nothing was made out again. */
  removeEntry({ id }: CallStream, position: number): void {
    for (const table of ["calls", "events"])
      this.run(`DELETE FROM memento_calls_${table} WHERE stream = ? AND entry = ?`, id, position);
    this.run("DELETE FROM memento_calls_entries WHERE stream = ? AND position = ?", id, position);
  }

  addEvent({ id }: CallStream, entry: number, position: number, live: boolean): void {
    this.run("INSERT INTO memento_calls_events VALUES (?, ?, ?, ?)", id, entry, position, Number(live));
    this.run("UPDATE memento_calls_entries SET live = ? WHERE stream = ? AND position = ?", Number(live), id, entry);
  }

  /** Every entry of a token, the oldest first. */
  entriesOf({ id }: CallStream, token: string): CallEntry[] {
    return this.#all(
      "SELECT * FROM memento_calls_entries WHERE stream = ? AND token = ? ORDER BY position",
      id,
      token,
    ).map(entryOf);
  }

  /** The entries whose calls are not all answered. */
  openEntries({ id }: CallStream): CallEntry[] {
    return this.#all("SELECT * FROM memento_calls_entries WHERE stream = ? AND open = 1 ORDER BY position", id).map(
      entryOf,
    );
  }

  /** The position at which a write last came into force. */
  lastEvent({ id }: CallStream, entry: number): number {
    const row = this.#get(
      "SELECT max(position) AS last FROM memento_calls_events WHERE stream = ? AND entry = ?",
      id,
      entry,
    );
    return Number(row?.["last"] ?? entry);
  }

  /** The writes that are in force now and were not at position `mark`, or the other way round. */
  changedSince({ id }: CallStream, mark: number): CallEntry[] {
    const touched = this.#all(
      `SELECT e.*, ifnull((SELECT live FROM memento_calls_events v WHERE v.stream = e.stream AND v.entry = e.position
         AND v.position <= ? ORDER BY v.position DESC LIMIT 1), 0) AS was
       FROM memento_calls_entries e WHERE e.stream = ? AND e.kind = 'write' AND e.position IN
         (SELECT entry FROM memento_calls_events WHERE stream = ? AND position > ?) ORDER BY e.position`,
      mark,
      id,
      id,
      mark,
    );
    return touched.filter((row) => row["was"] !== row["live"]).map(entryOf);
  }

  /** The writes that came into force, or went out of it, at this position. */
  entriesTurnedAt({ id }: CallStream, position: number): CallEntry[] {
    return this.#all(
      `SELECT e.* FROM memento_calls_events v JOIN memento_calls_entries e ON e.stream = v.stream AND e.position = v.entry
       WHERE v.stream = ? AND v.position = ? ORDER BY e.position`,
      id,
      position,
    ).map(entryOf);
  }

  callsOf({ id }: CallStream, entry: number): CallRow[] {
    return this.#all("SELECT * FROM memento_calls_calls WHERE stream = ? AND entry = ? ORDER BY number", id, entry).map(
      callOf,
    );
  }

  setCall({ id }: CallStream, { entry, number, state, turn, rows, answer }: CallRow): void {
    this.run(
      "UPDATE memento_calls_calls SET state = ?, turn = ?, rows = ?, answer = ? WHERE stream = ? AND entry = ? AND number = ?",
      state,
      turn,
      rows,
      answer,
      id,
      entry,
      number,
    );
  }

  /** Puts other calls into the place of those of a write that are still planned: under keys that no call has had. */
  replan(stream: CallStream, entry: number, calls: readonly Pick<CallRow, "rows" | "count">[]): void {
    const of = "FROM memento_calls_calls WHERE stream = ? AND entry = ?";
    const turn = 1 + Number(this.#get(`SELECT max(turn) AS last ${of}`, stream.id, entry)?.["last"] ?? -1);
    this.run(`DELETE ${of} AND state = 'planned'`, stream.id, entry);
    const first = 1 + Number(this.#get(`SELECT max(number) AS last ${of}`, stream.id, entry)?.["last"] ?? -1);
    for (const [index, call] of calls.entries())
      this.addCall(stream, { entry, number: first + index, state: "planned", turn, answer: null, ...call });
  }

  /** The rows of calls that nobody will take back. */
  forgetRows({ id }: CallStream, entry: number): void {
    this.run("UPDATE memento_calls_calls SET rows = NULL WHERE stream = ? AND entry = ?", id, entry);
  }

  closeEntry({ id }: CallStream, position: number, result: string | null): void {
    const sql = "UPDATE memento_calls_entries SET open = 0, result = ? WHERE stream = ? AND position = ?";
    this.run(sql, result, id, position);
  }

  /** Forgets what is needed only for going back to before `mark`; the tokens of the newest positions stay, and how often one was used whose write was refused or taken back. */
  trim({ id, position }: CallStream, mark: number, tokensKept: number): void {
    this.run("UPDATE memento_calls_streams SET oldest = ? WHERE id = ?", mark, id);
    // A write that a later revert has taken back may have to be made again.
    const settled = `stream = ? AND entry <= ? AND entry NOT IN
      (SELECT entry FROM memento_calls_events WHERE stream = ? AND position > ?)
      AND entry NOT IN (SELECT position FROM memento_calls_entries WHERE stream = ? AND open = 1)`;
    this.run(`DELETE FROM memento_calls_calls WHERE ${settled}`, id, mark, id, mark, id);
    const last = Math.min(mark, position - tokensKept);
    const forgotten = `stream = ? AND position <= ? AND open = 0 AND position NOT IN
      (SELECT entry FROM memento_calls_calls WHERE stream = ?)`;
    // A token comes again, however late, unless its write is in force: then with another key, or the far end would know the old call again.
    this.run(
      `DELETE FROM memento_calls_uses WHERE stream = ? AND token IN
      (SELECT token FROM memento_calls_entries WHERE ${forgotten} AND live = 1)`,
      id,
      id,
      last,
      id,
    );
    this.run(`DELETE FROM memento_calls_entries WHERE ${forgotten}`, id, last, id);
    this.run(
      `DELETE FROM memento_calls_events WHERE stream = ? AND entry NOT IN
      (SELECT position FROM memento_calls_entries WHERE stream = ?)`,
      id,
      id,
    );
  }

  run(sql: string, ...values: (string | number | null)[]): void {
    this.database.prepare(sql).run(...values);
  }

  async close(): Promise<void> {
    await this.database.close();
  }

  #get(sql: string, ...values: (string | number)[]): Record<string, unknown> | undefined {
    return this.database.prepare(sql).get(...values);
  }

  #all(sql: string, ...values: (string | number)[]): Record<string, unknown>[] {
    return this.database.prepare(sql).all(...values);
  }

  async #transaction<T>(kind: "read" | "write", work: () => T): Promise<T> {
    return await this.database.transaction(kind, "IO_FAILED", async () => work());
  }

  async #prepare(random: Random): Promise<void> {
    await this.#transaction("write", () => {
      this.database.raw.exec(JOURNAL_TABLES);
      const version = this.#get("SELECT version FROM memento_calls_format")?.["version"];
      if (version === undefined) {
        this.run("INSERT INTO memento_calls_format VALUES (?, ?)", JOURNAL_VERSION, randomText(random, 16));
      } else if (version !== BigInt(JOURNAL_VERSION)) {
        throw new MementoError(
          "FORMAT_UNKNOWN",
          `${this.database.path} is a journal of calls of version ${Number(version)}, and this release knows version ${JOURNAL_VERSION}`,
        );
      }
    });
  }

  #find(): CallStream | null {
    const { timeline, name } = this.#context;
    const row = this.#get("SELECT * FROM memento_calls_streams WHERE timeline = ? AND sink = ?", timeline, name);
    if (row === undefined) return null;
    const [id, epoch, position, oldest] = ["id", "epoch", "position", "oldest"].map((name_) => Number(row[name_]));
    return { id: id ?? 0, epoch: epoch ?? 0, position: position ?? 0, oldest: oldest ?? 0 };
  }

  #admit(epoch: number): CallStream {
    const { timeline, name } = this.#context;
    const found = this.#find();
    if (found !== null && epoch < found.epoch) {
      throw new MementoError(
        "FENCED",
        `${this.database.path}: the sink ${name} is held with epoch ${found.epoch}, and epoch ${epoch} was offered`,
        { details: { epoch: found.epoch, offered: epoch } },
      );
    }
    if (found?.epoch === epoch) return found;
    this.run(
      `INSERT INTO memento_calls_streams (timeline, sink, epoch, position, oldest) VALUES (?, ?, ?, 0, 0)
       ON CONFLICT (timeline, sink) DO UPDATE SET epoch = excluded.epoch`,
      timeline,
      name,
      epoch,
    );
    const made = this.#find();
    if (made === null) throw new Error("A row that was just written is not there");
    return made;
  }
}

/** The idempotency key of a call in one of its turns: the same on every machine, even where the journal was lost. */
export function keyOf(
  { timeline, name }: SinkContext,
  { token, use }: CallEntry,
  number: number,
  turn: number,
): string {
  return sha256(JSON.stringify([timeline, name, token, use, number, turn])).slice(0, 32);
}

function entryOf(row: Record<string, unknown>): CallEntry {
  return {
    position: Number(row["position"]),
    kind: row["kind"] === "revert" ? "revert" : "write",
    token: String(row["token"]),
    use: Number(row["use"]),
    records: Number(row["records"]),
    live: row["live"] === 1n,
    open: row["open"] === 1n,
    back: row["back"] === null ? null : Number(row["back"]),
    result: textOf(row["result"]),
  };
}

function callOf(row: Record<string, unknown>): CallRow {
  return {
    entry: Number(row["entry"]),
    number: Number(row["number"]),
    state: String(row["state"]) as CallState,
    turn: Number(row["turn"]),
    count: Number(row["count"]),
    rows: textOf(row["rows"]),
    answer: textOf(row["answer"]),
  };
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
