import mysql from "mysql2";

import { mysqlTable } from "../../packages/memento/src/orchestrator/sinks/mysql/index.ts";
import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import type { KitRow, SinkPlace } from "../../packages/memento/src/testing/sink/kit.ts";
import type { MariadbServer } from "../harness/servers/mariadb.ts";

/** A table that the sink kit is run on. */
export interface MysqlKitTable {
  readonly mode: "append" | "upsert";
  /** Its columns; id, amount and note are among them. */
  readonly columns: string;
  readonly key?: string | readonly string[];
  /** The column that names a row, as the sink's users are told. */
  readonly name: "id" | "n";
}

interface Address {
  readonly port: number;
  readonly database: string;
  readonly table: MysqlKitTable;
}

/** What changes nothing on disk. */
const READS = /^\s*(?:SELECT|SHOW|SET|(?:CREATE|DROP) TEMPORARY|INSERT INTO memento_)\b/iu;

/** What a worker process of the sink kit opens. The process is told of each statement before it is sent. */
export function kitSink(address: string, step: () => void): Sink<KitRow> {
  const { port, database, table } = JSON.parse(address) as Address;
  const pool = mysql.createPool({
    host: "127.0.0.1",
    port,
    user: "root",
    database,
    connectionLimit: 2,
    charset: "utf8mb4",
  });
  pool.on("connection", (connection) => {
    connection.on("error", () => undefined);
    const query = connection.query.bind(connection) as (...args: readonly unknown[]) => unknown;
    const counted = (...args: readonly unknown[]): unknown => {
      if (!READS.test(String(args[0]))) step();
      return query(...args);
    };
    Object.assign(connection, { query: counted });
  });
  const sink = mysqlTable<KitRow>({
    pool: pool.promise(),
    table: "kit",
    mode: table.mode,
    ...(table.key === undefined ? {} : { key: table.key }),
    lockTimeoutMs: 2_000,
  });
  const close = sink.close.bind(sink);
  let isEnded = false;
  return Object.assign(sink, {
    close: async () => {
      await close();
      if (!isEnded) await pool.promise().end();
      isEnded = true;
    },
  });
}

let databases = 0;

/** Makes places of the sink kit: a database of its own with a table `kit`. */
export function mysqlTablePlace(server: () => MariadbServer, table: MysqlKitTable): () => Promise<SinkPlace> {
  return async () => {
    const database = `sink_${(databases += 1)}`;
    const kit = `${database}.kit`;
    await server().query(
      `CREATE DATABASE ${database}; CREATE TABLE ${kit} (${table.columns}) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin`,
    );
    const address = JSON.stringify({ port: server().port, database, table } satisfies Address);
    return {
      sink: () => kitSink(address, () => undefined),
      read: async () => {
        const rows = await server().query(`SELECT ${table.name} AS name, id, amount, note FROM ${kit}`);
        return new Map(
          rows.map(({ name, id, amount, note }) => [
            `kit[${table.name}=${JSON.stringify(name)}]`,
            { id: String(id), amount: Number(amount), note: note as string | null },
          ]),
        );
      },
      meddle: async (item, row) => await meddle(server(), kit, table, item, row),
      address,
      dispose: async () => void (await server().query(`DROP DATABASE ${database}`)),
    };
  };
}

async function meddle(
  server: MariadbServer,
  kit: string,
  { name }: MysqlKitTable,
  item: string,
  row: KitRow | null,
): Promise<void> {
  const key = JSON.parse(item.slice(`kit[${name}=`.length, -1)) as string | number;
  const where = `${name} = ${mysql.escape(key)}`;
  if (row === null) {
    await server.query(`DELETE FROM ${kit} WHERE ${where}`);
    return;
  }
  const [id, amount, note] = [row.id, row.amount, row.note].map((value) => mysql.escape(value));
  const others = name === "id" ? "" : `${name}, `;
  const values = name === "id" ? "" : `${mysql.escape(key)}, `;
  await server.query(
    `INSERT INTO ${kit} (${others}id, amount, note) VALUES (${values}${id}, ${amount}, ${note})
      ON DUPLICATE KEY UPDATE id = ${id}, amount = ${amount}, note = ${note}`,
  );
}
