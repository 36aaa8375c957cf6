export { GcsStore, type GcsStoreOptions } from "./store.ts";
