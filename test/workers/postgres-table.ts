import { escapeLiteral, Pool } from "pg";

import { postgresTable } from "../../packages/memento/src/orchestrator/sinks/postgres/index.ts";
import type { Sink } from "../../packages/memento/src/orchestrator/sinks/sink.ts";
import type { KitRow, SinkPlace } from "../../packages/memento/src/testing/sink/kit.ts";
import type { PostgresServer } from "../harness/servers/postgres.ts";

/** A table that the sink kit is run on. */
export interface PostgresKitTable {
  readonly mode: "append" | "upsert";
  /** Its columns; id, amount and note are among them. */
  readonly columns: string;
  readonly key?: string | readonly string[];
  /** The column that names a row, as the sink's users are told. */
  readonly name: "id" | "n";
  /** True: the column `note` is of JSON, where text may hold what PostgreSQL's text may not. */
  readonly jsonNote?: boolean;
}

interface Address {
  readonly port: number;
  readonly schema: string;
  readonly table: PostgresKitTable;
}

/** What changes nothing on disk. */
const READS = /^\s*(?:SELECT|CREATE TEMPORARY|DROP TABLE IF EXISTS pg_temp|ANALYZE)\b/iu;

/** What a worker process of the sink kit opens. The process is told of each statement before it is sent. */
export function kitSink(address: string, step: () => void): Sink<KitRow> {
  const { port, schema, table } = JSON.parse(address) as Address;
  const pool = new Pool({ host: "127.0.0.1", port, user: "postgres", database: "postgres", max: 2 });
  pool.on("error", () => undefined);
  pool.on("connect", (client) => {
    const query = client.query.bind(client) as (...args: readonly unknown[]) => unknown;
    const counted = (...args: readonly unknown[]): unknown => {
      if (!READS.test(String(args[0]))) step();
      return query(...args);
    };
    Object.assign(client, { query: counted });
  });
  const sink = postgresTable<KitRow>({
    pool,
    schema,
    table: "kit",
    mode: table.mode,
    ...(table.key === undefined ? {} : { key: table.key }),
    lockTimeoutMs: 2_000,
  });
  const close = sink.close.bind(sink);
  return Object.assign(sink, {
    close: async () => {
      await close();
      if (!pool.ended) await pool.end();
    },
  });
}

let schemas = 0;

/** Makes places of the sink kit: a schema of its own with a table `kit`. */
export function postgresTablePlace(server: () => PostgresServer, table: PostgresKitTable): () => Promise<SinkPlace> {
  return async () => {
    const schema = `sink_${(schemas += 1)}`;
    const kit = `${schema}.kit`;
    await server().query(`CREATE SCHEMA ${schema}; CREATE TABLE ${kit} (${table.columns})`);
    const address = JSON.stringify({ port: server().port, schema, table } satisfies Address);
    const label = table.name === "id" ? "to_json(id)" : table.name;
    return {
      sink: () => kitSink(address, () => undefined),
      read: async () => {
        const rows = await server().query(
          `SELECT 'kit[${table.name}=' || ${label} || ']' AS item, id, amount, note FROM ${kit}`,
        );
        return new Map(
          rows.map(({ item, id, amount, note }) => [
            String(item),
            { id: String(id), amount: Number(amount), note: note as string | null },
          ]),
        );
      },
      meddle: async (item, row) => await meddle(server(), kit, table, item, row),
      address,
      dispose: async () => void (await server().query(`DROP SCHEMA ${schema} CASCADE`)),
    };
  };
}

async function meddle(
  server: PostgresServer,
  kit: string,
  { name, jsonNote }: PostgresKitTable,
  item: string,
  row: KitRow | null,
): Promise<void> {
  const key = JSON.parse(item.slice(`kit[${name}=`.length, -1)) as string | number;
  const literal = (value: string | number | null): string =>
    value === null ? "NULL" : typeof value === "number" ? String(value) : escapeLiteral(value);
  const where = `"${name}" = ${literal(key)}`;
  if (row === null) {
    await server.query(`DELETE FROM ${kit} WHERE ${where}`);
    return;
  }
  const note = jsonNote === true && row.note !== null ? JSON.stringify(row.note) : row.note;
  const set = `id = ${literal(row.id)}, amount = ${row.amount}, note = ${literal(note)}`;
  const changed = await server.query(`UPDATE ${kit} SET ${set} WHERE ${where} RETURNING 1`);
  if (changed.length > 0) return;
  const values = `${literal(row.id)}, ${row.amount}, ${literal(note)}`;
  if (name === "id") await server.query(`INSERT INTO ${kit} (id, amount, note) VALUES (${values})`);
  else
    await server.query(
      `INSERT INTO ${kit} (n, id, amount, note) OVERRIDING SYSTEM VALUE VALUES (${literal(key)}, ${values})`,
    );
}
