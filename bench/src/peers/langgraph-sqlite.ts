// LangGraph's SqliteSaver as published, on better-sqlite3 (13 instead of 12: an addon that needs no compiler). It sets WAL
// and leaves `synchronous` at NORMAL, so its saves are not synced to the disk: it is measured as it is.
import { join } from "node:path";

import { SqliteSaver } from "@langchain/langgraph-checkpoint-sqlite";

import { connect, LangGraphThread, loadThread } from "./langgraph.ts";
import { bytesIn, type OpenKeeper } from "./state-keeper.ts";

/** A database file of its own. On disk is what its folder holds once it is closed: the WAL is then part of the database. */
export const openLangGraphSqlite: OpenKeeper = async (folder) => {
  const file = join(folder, "langgraph.db");
  const saver = SqliteSaver.fromConnString(file);
  await connect(saver);
  const thread = new LangGraphThread(saver);
  return {
    save: (state) => thread.save(state),
    finish: () => {
      saver.db.close();
      return bytesIn(folder);
    },
    reader: async () => {
      const reading = SqliteSaver.fromConnString(file);
      await connect(reading);
      return {
        load: () => loadThread(reading),
        [Symbol.asyncDispose]: async () => void reading.db.close(),
      };
    },
    [Symbol.asyncDispose]: async () => void saver.db.close(),
  };
};
