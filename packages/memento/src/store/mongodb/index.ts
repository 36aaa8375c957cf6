export { MongodbStore, type MongodbStoreOptions } from "./store.ts";
