// The floor under the stores on databases: one prepared INSERT, or one SET, a value, each acknowledged durably by the same
// server that our store is on. Pools are as large as there are writers, up to the clients' own default of ten.
import { Redis } from "ioredis";
import { Binary, MongoClient } from "mongodb";
import { createPool, type RowDataPacket } from "mysql2/promise";
import { Pool } from "pg";

import type { BareStore } from "./store-engine.ts";

const POOL_MAX = 10;

/** A URL without what only our driver understands. */
function plain(url: string): string {
  return url.split("?")[0] ?? url;
}

/** A table in a PostgreSQL database. */
export async function barePostgres(url: string, writers: number): Promise<BareStore> {
  const pool = new Pool({ connectionString: plain(url), max: Math.min(writers, POOL_MAX) });
  await pool.query("DROP TABLE IF EXISTS bare; CREATE TABLE bare (key text PRIMARY KEY, body bytea)");
  return {
    put: async (key, bytes) => {
      await pool.query({ name: "put", text: "INSERT INTO bare (key, body) VALUES ($1, $2)", values: [key, bytes] });
    },
    get: async (key) => {
      const { rows } = await pool.query<{ body: Buffer }>({
        name: "get",
        text: "SELECT body FROM bare WHERE key = $1",
        values: [key],
      });
      return rows[0]?.body ?? Buffer.alloc(0);
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

const PREPARED_BYTES_MAX = 65_000;

/** A table in a MariaDB database. */
export async function bareMysql(url: string, writers: number): Promise<BareStore> {
  const pool = createPool({ uri: plain(url), connectionLimit: Math.min(writers, POOL_MAX) });
  await pool.query("DROP TABLE IF EXISTS bare");
  await pool.query("CREATE TABLE bare (id VARCHAR(64) PRIMARY KEY, body LONGBLOB) ENGINE=InnoDB");
  return {
    put: async (key, bytes) => {
      // mysql2 3.24.0 cannot send prepared values of 65,535 bytes to 16 MB; those go in the statement's text.
      if (bytes.length < PREPARED_BYTES_MAX)
        await pool.execute("INSERT INTO bare (id, body) VALUES (?, ?)", [key, bytes]);
      else await pool.query("INSERT INTO bare (id, body) VALUES (?, ?)", [key, bytes]);
    },
    get: async (key) => {
      const [rows] = await pool.execute<RowDataPacket[]>("SELECT body FROM bare WHERE id = ?", [key]);
      return (rows[0]?.["body"] as Buffer | undefined) ?? Buffer.alloc(0);
    },
    [Symbol.asyncDispose]: () => pool.end(),
  };
}

/** A collection, written with `w: "majority", j: true`. */
export async function bareMongodb(url: string): Promise<BareStore> {
  const client = await new MongoClient(plain(url)).connect();
  const bare = client
    .db("bare")
    .collection<{ _id: string; body: Binary }>("bare", { writeConcern: { w: "majority", journal: true } });
  await bare.drop();
  return {
    put: async (key, bytes) => {
      await bare.insertOne({ _id: key, body: new Binary(bytes) });
    },
    get: async (key) => {
      const found = await bare.findOne({ _id: key });
      return found === null ? Buffer.alloc(0) : Buffer.from(found.body.buffer);
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}

/** Keys of a Redis that syncs each write; one connection, as ioredis pipelines what is under way. */
export async function bareRedis(url: string): Promise<BareStore> {
  const client = new Redis(plain(url));
  return {
    put: async (key, bytes) => {
      await client.set(`bare:${key}`, bytes);
    },
    get: async (key) => (await client.getBuffer(`bare:${key}`)) ?? Buffer.alloc(0),
    [Symbol.asyncDispose]: async () => {
      await client.quit();
    },
  };
}

/** Everything goes: values of a megabyte would soon fill the memory. */
export async function wipeRedis(url: string): Promise<void> {
  const client = new Redis(plain(url));
  await client.flushall();
  await client.quit();
}
