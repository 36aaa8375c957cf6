export type { DuckdbPlace, DuckdbTableOptions, DuckdbTableSettings } from "./table.ts";
export { duckdbTable } from "./table-sink.ts";
