import { DatabaseSync } from "node:sqlite";

import { MementoError, type ParticipantInspection, type PipelineParticipant } from "@mementojs/memento";

interface Answer {
  readonly removed: number;
  readonly restored: number;
  readonly kept: readonly [];
  readonly mark: number | null;
}

/** A ledger in a SQLite file, as an ingestion might have one: each entry is a new page with all that holds, and going back is one too. */
export class FileLedger implements PipelineParticipant {
  readonly kind = "ledger";
  readonly #path: string;
  #database: DatabaseSync | null = null;
  #timeline = "";
  #epoch = 0;

  constructor(path: string) {
    this.#path = path;
  }

  describe(): string {
    return `the ledger ${this.#path}`;
  }

  async open({ timeline }: { readonly timeline: string }): Promise<void> {
    this.#timeline = timeline;
    this.#database = new DatabaseSync(this.#path, { timeout: 5_000 });
    this.#database.exec(`PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS holder (timeline TEXT PRIMARY KEY, epoch INTEGER);
      CREATE TABLE IF NOT EXISTS page (timeline TEXT, position INTEGER, entries TEXT, PRIMARY KEY (timeline, position));
      CREATE TABLE IF NOT EXISTS answer (token TEXT PRIMARY KEY, answer TEXT);`);
  }

  async fence(epoch: number): Promise<void> {
    this.#epoch = epoch;
    this.#change(() => undefined);
  }

  /** What a stage calls, for the records of a batch. */
  async enter(entries: readonly string[]): Promise<void> {
    this.#change(() => this.#add([...this.#entries(this.#position()), ...entries]));
  }

  async mark(): Promise<number | null> {
    return this.#position() === 0 ? null : this.#position();
  }

  async inspect(mark: unknown): Promise<ParticipantInspection> {
    const [now, then] = [this.#entries(this.#position()), this.#entries(Number(mark ?? 0))];
    return {
      remove: now.filter((entry) => !then.includes(entry)).length,
      restore: then.filter((entry) => !now.includes(entry)).length,
      foreign: [],
      foreignTotal: 0,
      problem: "",
      fingerprint: JSON.stringify([now, then]),
    };
  }

  async revertTo(mark: unknown, { epoch, token }: { readonly epoch: number; readonly token: string }): Promise<Answer> {
    this.#epoch = epoch;
    const { remove: removed, restore: restored } = await this.inspect(mark);
    return this.#change(() => {
      const known = this.#opened().prepare("SELECT answer FROM answer WHERE token = ?").get(token);
      if (known !== undefined) return JSON.parse(String(known["answer"])) as Answer;
      if (this.#position() > 0) this.#add(this.#entries(Number(mark ?? 0)));
      const answer: Answer = { removed, restored, kept: [], mark: this.#position() === 0 ? null : this.#position() };
      this.#opened().prepare("INSERT INTO answer VALUES (?, ?)").run(token, JSON.stringify(answer));
      return answer;
    });
  }

  async close(): Promise<void> {
    this.#database?.close();
    this.#database = null;
  }

  #add(entries: readonly string[]): void {
    const insert = this.#opened().prepare("INSERT INTO page VALUES (?, ?, ?)");
    insert.run(this.#timeline, this.#position() + 1, JSON.stringify(entries));
  }

  #position(): number {
    const row = this.#opened()
      .prepare("SELECT max(position) AS position FROM page WHERE timeline = ?")
      .get(this.#timeline);
    return Number(row?.["position"] ?? 0);
  }

  #entries(position: number): readonly string[] {
    const row = this.#opened()
      .prepare("SELECT entries FROM page WHERE timeline = ? AND position = ?")
      .get(this.#timeline, position);
    return row === undefined ? [] : (JSON.parse(String(row["entries"])) as string[]);
  }

  /** One transaction, refused when a higher epoch was here. */
  #change<T>(work: () => T): T {
    const database = this.#opened();
    database.exec("BEGIN IMMEDIATE");
    try {
      const held = database.prepare("SELECT epoch FROM holder WHERE timeline = ?").get(this.#timeline);
      if (Number(held?.["epoch"] ?? 0) > this.#epoch) throw new MementoError("FENCED", "The ledger was taken over");
      database.prepare("INSERT OR REPLACE INTO holder VALUES (?, ?)").run(this.#timeline, this.#epoch);
      const result = work();
      database.exec("COMMIT");
      return result;
    } catch (error) {
      database.exec("ROLLBACK");
      throw error;
    }
  }

  #opened(): DatabaseSync {
    if (this.#database === null) throw new MementoError("STORE_CLOSED", "The ledger is not open");
    return this.#database;
  }
}
