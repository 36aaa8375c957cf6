import { SqliteStore } from "../../packages/memento/src/store/sqlite/store.ts";

/** Opens the SQLite store for a worker process of the conformance kit; the address is the database's path. */
export const openStore = async (address: string): Promise<SqliteStore> => await SqliteStore.open({ path: address });
