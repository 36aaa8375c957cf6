export { postgresTable, type PostgresTableOptions } from "./table.ts";
