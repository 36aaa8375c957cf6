export type { ColumnType, SqliteTableOptions } from "./table.ts";
export { sqliteTable } from "./table-sink.ts";
