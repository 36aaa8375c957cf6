export { mysqlTable, type MysqlTableOptions } from "./table.ts";
