// The floor under our store on PostgreSQL: one connection, one prepared INSERT of 300 bytes into a table without any index,
// each committed (and so synced) by itself before the next one starts. Same server as our store and DBOS.
import { randomBytes } from "node:crypto";

import { Client } from "pg";

const PAYLOAD_BYTES = 300;

export interface BarePostgres extends AsyncDisposable {
  /** Commits that many single inserts, one after the other. */
  commit(count: number): Promise<void>;
}

/** Connects to a database, which is made where it does not exist. */
export async function openBarePostgres(url: string, administrationUrl: string): Promise<BarePostgres> {
  await makeDatabase(url, administrationUrl);
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query("CREATE TABLE bare (body bytea)");
  const insert = { name: "bare", text: "INSERT INTO bare (body) VALUES ($1)", values: [randomBytes(PAYLOAD_BYTES)] };
  return {
    commit: async (count) => {
      for (let i = 0; i < count; i++) await client.query(insert);
    },
    [Symbol.asyncDispose]: () => client.end(),
  };
}

/** Makes the database that a URL names. */
export async function makeDatabase(url: string, administrationUrl: string): Promise<void> {
  const client = new Client({ connectionString: administrationUrl });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE "${new URL(url).pathname.slice(1)}"`);
  } finally {
    await client.end();
  }
}
