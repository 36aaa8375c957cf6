export { MysqlStore, type MysqlStoreOptions } from "./store.ts";
