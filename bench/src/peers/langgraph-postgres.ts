// LangGraph's PostgresSaver as published, on a PostgreSQL with default durability, over TCP on loopback. Each sequence has a
// database of its own, dropped afterwards. On disk is pg_total_relation_size of its tables (with indexes and TOAST, after
// VACUUM); the server's WAL is not counted.
import { PostgresSaver } from "@langchain/langgraph-checkpoint-postgres";
import { Client, Pool } from "pg";

import { peerFailed } from "../bench-error.ts";
import { startPostgres } from "../engines/postgres.ts";
import type { Scratch } from "../scratch.ts";
import { connect, LangGraphThread, loadThread } from "./langgraph.ts";
import type { OpenKeeper, StateKeeper } from "./state-keeper.ts";

const NAME = "langgraph-postgres";

export interface LangGraphPostgres extends AsyncDisposable {
  readonly open: OpenKeeper;
}

/** Starts PostgreSQL. Throws an error that names the peer when that fails. */
export async function startLangGraphPostgres(scratch: Scratch): Promise<LangGraphPostgres> {
  await using started = new AsyncDisposableStack();
  try {
    const postgres = started.use(await startPostgres(scratch));
    const admin = new Client({ connectionString: postgres.url("postgres") });
    admin.on("error", nextQuerySaysSo);
    await admin.connect();
    started.defer(() => admin.end());
    const running = started.move();
    let databases = 0;
    return {
      open: async () => {
        const name = `states_${databases++}`;
        await admin.query(`CREATE DATABASE ${name}`);
        return await openDatabase(postgres.url(name), async () => void (await admin.query(`DROP DATABASE ${name}`)));
      },
      [Symbol.asyncDispose]: () => running.disposeAsync(),
    };
  } catch (cause) {
    throw peerFailed(NAME, "start", cause);
  }
}

async function openDatabase(url: string, drop: () => Promise<void>): Promise<StateKeeper> {
  const pool = connections(url);
  const saver = new PostgresSaver(pool);
  await saver.setup();
  const thread = new LangGraphThread(saver);
  return {
    save: (state) => thread.save(state),
    finish: async () => {
      await pool.query("VACUUM");
      const { rows } = await pool.query<{ bytes: string }>(
        "SELECT sum(pg_total_relation_size(relid)) AS bytes FROM pg_stat_user_tables",
      );
      return Number(rows[0]?.bytes);
    },
    reader: async () => {
      const reading = new PostgresSaver(connections(url));
      await connect(reading);
      return { load: () => loadThread(reading), [Symbol.asyncDispose]: () => reading.end() };
    },
    [Symbol.asyncDispose]: async () => {
      await pool.end();
      await drop();
    },
  };
}

/** What `PostgresSaver.fromConnString` makes, save that a lost connection is no crash of the bench. */
function connections(url: string): Pool {
  const pool = new Pool({ connectionString: url });
  pool.on("error", nextQuerySaysSo);
  return pool;
}

/** A connection that is lost while it idles, as when the bench is told to stop, fails the next query: nothing is hidden. */
function nextQuerySaysSo(): void {}
