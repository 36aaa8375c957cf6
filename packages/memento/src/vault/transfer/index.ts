export { copyStore, type CopyOptions } from "./copy-store.ts";
export type { CopyReport, CopyVerification } from "./copy-report.ts";
export type { CopySelection } from "./scope.ts";
export { digestStore, type StoreDigestOptions } from "./store-digest.ts";
export {
  listBackup,
  restoreBackup,
  type BackupListing,
  type RestoreBackupOptions,
  type RestoredBackup,
} from "./backup.ts";
export { syncStores, type SyncOptions } from "./sync-stores.ts";
