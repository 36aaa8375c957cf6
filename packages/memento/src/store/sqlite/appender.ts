import { checkBatch, checkRecords } from "../admit.ts";
import type { ApartAppended, ApartAppender, UnmadeBatch } from "../apart.ts";
import type { AppendBatch, AppendResult, StoreMeta } from "../store.ts";
import { AppendThread } from "./append-thread.ts";
import { appendBatch } from "./changes.ts";
import { BODY_BYTES_MAX, type Connection, type ConnectionOptions } from "./connection.ts";
import { isSortingDue } from "./sort-in.ts";

/** What an appender is to know of its store. */
export interface AppenderPorts extends ConnectionOptions {
  /** NOT_A_STORE while nobody has made the store. */
  readonly found: () => Promise<Connection>;
  readonly meta: () => Promise<StoreMeta>;
  /** Throws STORE_CLOSED once the store was closed. */
  readonly checkOpen: () => void;
}

/** Appends to an SQLite store: here what is small, and by another thread, started once there is use for it, what many save at once. */
export class SqliteAppender implements ApartAppender {
  readonly #ports: AppenderPorts;
  #thread: AppendThread | null = null;

  constructor(ports: AppenderPorts) {
    this.#ports = ports;
  }

  get isOpen(): boolean {
    return this.#thread?.isOpen ?? false;
  }

  async append(batch: UnmadeBatch): Promise<ApartAppended | null> {
    checkRecords(batch.records);
    const thread = this.#thread;
    if (thread === null) return null;
    return await this.#besides(await this.#ports.found(), async () => await thread.appendUnmade(batch));
  }

  /** `append` of the store. */
  async appendMade(batch: AppendBatch): Promise<readonly AppendResult[]> {
    const { id, sealed } = await this.#ports.meta();
    const { dataKey } = checkBatch(batch, { sealed, bodyBytesMax: BODY_BYTES_MAX });
    const connection = await this.#ports.found();
    const thread = (this.#thread ??= AppendThread.beside(this.#ports, id));
    if (thread.takes(batch)) {
      const results = await this.#besides(connection, async () => await thread.append(batch, dataKey));
      if (results !== null) return results;
    }
    const [results, isDue] = await connection.write((statements) => {
      const appended = appendBatch(statements, batch, dataKey);
      return [appended, isSortingDue(statements, batch.records.length)] as const;
    });
    if (isDue) await connection.sortIn();
    return results;
  }

  async close(): Promise<void> {
    await this.#thread?.close();
  }

  /** Lets the thread write, while nobody does here. */
  async #besides<T>(connection: Connection, writing: () => Promise<T>): Promise<T> {
    return await connection.waitFor(async () => {
      this.#ports.checkOpen();
      return await writing();
    });
  }
}
