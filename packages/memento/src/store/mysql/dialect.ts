import { sqlStatements, type SqlDialect, type SqlStatements } from "../sql/statements.ts";

/** A table's or procedure's name in statements. */
export const quotedName = (prefix: string, name: string): string => `\`${prefix}${name}\``;

/** Stands in statements where a list comes in; the session writes as many values as there are. */
const LIST = "(?*)";

/** A store's statements in the language of MySQL and MariaDB. */
export function mysqlStatements(prefix: string): SqlStatements {
  const dialect: SqlDialect = {
    table: (name) => quotedName(prefix, name),
    inPlaces: `(timeline, sequence) IN ${LIST}`,
    inTexts: (column) => `${column} IN ${LIST}`,
    inNumbers: (column) => `${column} IN ${LIST}`,
    contains: (column) => `LOCATE(?, ${column}) > 0`,
    orNothing: "",
    orChange: (_, columns) =>
      ` ON DUPLICATE KEY UPDATE ${columns.map((each) => `${each} = VALUES(${each})`).join(", ")}`,
    givingId: "",
    durably: "",
    passGate: `SELECT one FROM ${quotedName(prefix, "gate")} WHERE one = 1 LOCK IN SHARE MODE`,
    // The engine counts on from whatever was inserted.
    numberOnward: "",
  };
  return sqlStatements(dialect);
}
