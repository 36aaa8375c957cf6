import type { Binary, ClientSession, Db } from "mongodb";

import { bytesOf } from "./contents.ts";
import { isDriverError } from "./failure.ts";
import type { StoreAccess } from "./tail.ts";

/** The document that tells others of a session with transactions. */
const sessionKey = (session: ClientSession): string => `s/${Buffer.from(bytesOf(idOf(session))).toString("hex")}`;
const idOf = (session: ClientSession): Binary => session.serverSession.id.id;

/**
 * The sessions whose transactions write the log, by their ids. A client that dies inside a transaction keeps what it has
 * written locked for as long as the server's limit says, a minute by default; whoever has waited long enough ends the
 * sessions of all others. For one that is alive this is a conflict as any other: it tries again.
 */
export class Sessions {
  readonly #access: StoreAccess;
  readonly #database: Db;
  #own: string | null = null;

  constructor(access: StoreAccess, database: Db) {
    this.#access = access;
    this.#database = database;
  }

  async remember(session: ClientSession): Promise<void> {
    const { documents, maxTimeMS } = this.#access;
    this.#own = sessionKey(session);
    const update = { $set: { is: "session", session: idOf(session) } };
    await documents.updateOne({ _id: this.#own }, update, { upsert: true, maxTimeMS });
  }

  async forget(session: ClientSession): Promise<void> {
    const { documents, maxTimeMS } = this.#access;
    await documents.deleteOne({ _id: sessionKey(session) }, { maxTimeMS });
  }

  /** Ends all sessions that are known but one's own. Those of other accounts stay, and end by the server's own limit. */
  async endOthers(): Promise<void> {
    const { documents, maxTimeMS } = this.#access;
    const all = await documents.find({ is: "session" }, { maxTimeMS }).toArray();
    const others = all.filter(({ _id }) => _id !== this.#own);
    if (others.length === 0) return;
    const ids = others.map(({ session }) => ({ id: session }));
    try {
      await this.#database.command({ killSessions: ids, maxTimeMS });
    } catch (error) {
      // 13: not allowed for this account; 59: a server without sessions.
      if (!isDriverError(error) || (error.code !== 13 && error.code !== 59)) throw error;
      return;
    }
    await documents.deleteMany({ _id: { $in: others.map(({ _id }) => _id) } }, { maxTimeMS });
  }
}
