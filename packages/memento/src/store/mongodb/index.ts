export type { MongodbStoreOptions } from "./options.ts";
export { MongodbStore } from "./store.ts";
