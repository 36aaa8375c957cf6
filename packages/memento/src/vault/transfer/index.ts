export { copyStore, type CopyOptions } from "./copy-store.ts";
export type { CopyReport, CopyVerification } from "./copy-report.ts";
export type { CopySelection } from "./scope.ts";
export { digestStore, type StoreDigest, type StoreDigestOptions } from "./store-digest.ts";
export { syncStores, type SyncOptions } from "./sync-stores.ts";
