import { createHash } from "node:crypto";

import { sqlStatements, type SqlDialect, type SqlStatements } from "../sql/statements.ts";

/** "Mmto" in ASCII: our part of the database's advisory locks. */
const LOCKS = 0x4d6d746f;

/** The two numbers of the advisory lock that is a store's gate. Stores whose numbers meet wait for each other without need. */
export function gateOf(schema: string): string {
  return `${LOCKS}, ${createHash("sha256").update(schema).digest().readInt32BE()}`;
}

/** The two numbers of the advisory lock under which a store's tables are made. */
export function makingLockOf(schema: string): string {
  return `${LOCKS + 1}, ${createHash("sha256").update(schema).digest().readInt32BE()}`;
}

/** A store's statements in PostgreSQL's language. */
export function postgresStatements(schema: string): SqlStatements {
  const quoted = `"${schema}"`;
  const dialect: SqlDialect = {
    table: (name) => `${quoted}.${name}`,
    inPlaces: `(timeline, sequence) IN
      (SELECT place ->> 0, (place ->> 1)::bigint FROM jsonb_array_elements(CAST(? AS jsonb)) AS place)`,
    inTexts: (column) => `${column} = ANY (CAST(? AS text[]))`,
    inNumbers: (column) => `${column} = ANY (CAST(? AS bigint[]))`,
    contains: (column) => `position(CAST(? AS bytea) IN ${column}) > 0`,
    orNothing: " ON CONFLICT DO NOTHING",
    orChange: (keys, columns) =>
      ` ON CONFLICT (${keys.join(", ")}) DO UPDATE SET ${columns.map((each) => `${each} = excluded.${each}`).join(", ")}`,
    givingId: " RETURNING id",
    durably: ` RETURNING (SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off')`,
    passGate: `SELECT pg_advisory_xact_lock_shared(${gateOf(schema)})`,
    numberOnward: `SELECT setval(pg_get_serial_sequence('${quoted}.commit_log', 'id'),
      greatest((SELECT max(id) FROM ${quoted}.commit_log), nextval(pg_get_serial_sequence('${quoted}.commit_log', 'id'))))`,
  };
  return sqlStatements(dialect);
}
