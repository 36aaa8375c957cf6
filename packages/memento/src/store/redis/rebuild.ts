import type { IndexAuthority, IndexRebuild } from "../store.ts";
import type { StoreCalls } from "./calls.ts";

export async function rebuildIndex(_calls: StoreCalls, _authority: IndexAuthority, _dryRun: boolean): Promise<IndexRebuild> {
  return { changes: [], problems: [] };
}
