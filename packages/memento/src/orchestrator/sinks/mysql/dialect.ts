import type { SinkDialect } from "../sql/dialect.ts";

/** A name as SQL writes it. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** What MySQL and MariaDB say in their own way, with the sink's books in `database`, their texts compared by `collation`. */
export function mysqlDialect(database: string, collation: string): SinkDialect {
  const books = (name: string): string => `${quoteName(database)}.${quoteName(`memento_sink_${name}`)}`;
  const options = `ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE ${collation}`;
  return {
    quote: quoteName,
    books,
    tables: [
      `CREATE TABLE IF NOT EXISTS ${books("format")} (one SMALLINT PRIMARY KEY, version INT NOT NULL, place VARCHAR(64) NOT NULL) ${options}`,
      `CREATE TABLE IF NOT EXISTS ${books("streams")} (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, timeline VARCHAR(450) NOT NULL, sink VARCHAR(300) NOT NULL, target VARCHAR(200) NOT NULL,
        identity TEXT NOT NULL, epoch BIGINT NOT NULL, position BIGINT NOT NULL, oldest BIGINT NOT NULL,
        UNIQUE KEY of_timeline (timeline, sink), KEY of_target (target)) ${options}`,
      `CREATE TABLE IF NOT EXISTS ${books("tokens")} (
        stream BIGINT NOT NULL, token VARCHAR(700) NOT NULL, position BIGINT NOT NULL, kind VARCHAR(10) NOT NULL, live SMALLINT NOT NULL,
        records BIGINT NOT NULL, result LONGTEXT, PRIMARY KEY (stream, token, position), KEY of_position (stream, position)) ${options}`,
      `CREATE TABLE IF NOT EXISTS ${books("entries")} (
        commit_number BIGINT AUTO_INCREMENT PRIMARY KEY, stream BIGINT NOT NULL, position BIGINT NOT NULL,
        shape BIGINT NOT NULL, back BIGINT, complete SMALLINT NOT NULL, UNIQUE KEY of_stream (stream, position)) ${options}`,
      `CREATE TABLE IF NOT EXISTS ${books("shapes")} (
        id BIGINT AUTO_INCREMENT PRIMARY KEY, target VARCHAR(200) NOT NULL, digest CHAR(64) NOT NULL, columns LONGTEXT NOT NULL,
        UNIQUE KEY of_digest (digest), KEY of_target (target)) ${options}`,
    ],
    imageTable: (name, columns) =>
      `CREATE TABLE IF NOT EXISTS ${name} (stream BIGINT NOT NULL, position BIGINT NOT NULL, n BIGINT NOT NULL,
        existed SMALLINT NOT NULL, after BINARY(8), ${columns.join(", ")}, PRIMARY KEY (stream, position, n)) ${options}`,
    insertOrNothing: (rest) => `INSERT IGNORE INTO ${rest}`,
    givingAll: "",
    same: (left, right) => `${left} <=> ${right}`,
    text: (value, column) => (column?.kind === "bytes" ? `HEX(${value})` : `CAST(${value} AS CHAR)`),
    check: (columns, alias) => {
      const values = columns.map(({ name, checked }) => {
        const value = `${alias}.${quoteName(name)}`;
        return `IFNULL(CONCAT(LENGTH(${checked(value)}), ':', ${checked(value)}), '-')`;
      });
      return `UNHEX(LEFT(SHA2(CONCAT_WS(',', ${values.join(", ")}), 256), 16))`;
    },
    checkText: (value) => `HEX(${value})`,
    update: ({ table, alias, set, joins, where }) =>
      `UPDATE ${table} AS ${alias} ${joins.map(({ from, on }) => `JOIN ${from} ON ${on}`).join(" ")}
        SET ${set.map(([column, value]) => `${alias}.${column} = ${value}`).join(", ")} WHERE ${where}`,
    deleteJoined: (table, from, on, where) => `DELETE t FROM ${table} AS t JOIN ${from} ON ${on} WHERE ${where}`,
    temporary: (name, query) => [
      `DROP TEMPORARY TABLE IF EXISTS ${name}`,
      `CREATE TEMPORARY TABLE ${name} ENGINE=InnoDB AS ${query}`,
    ],
    dropTemporary: (name) => `DROP TEMPORARY TABLE IF EXISTS ${name}`,
    lockJoined: (table, from, on) => `SELECT count(*) AS held FROM ${table} AS t JOIN ${from} ON ${on} FOR UPDATE`,
  };
}
