export { duckdbTable, type DuckdbPlace, type DuckdbTableOptions, type DuckdbTableSettings } from "./duckdb/index.ts";
export { memorySink, type MemorySink, type MemorySinkOptions } from "./memory-sink.ts";
export { MemoryTable } from "./memory-table.ts";
export type * from "./sink.ts";
export { sqliteTable, type ColumnType, type SqliteTableOptions } from "./sqlite/index.ts";
