import { existsSync } from "node:fs";

import type { DuckdbConnection } from "./engine.ts";
import { isDamaged } from "./failures.ts";
import type { CheckpointGuard } from "./guard.ts";
import { refuseOwnHandle } from "./handles.ts";
import { quoteName, quoteText } from "./names.ts";
import { makeFile } from "./place.ts";
import { withRepairLock } from "./repair-lock.ts";

/**
 * Attaches a database, which is made where there is none, and mends what a checkpoint that was cut short has damaged. Throws DuckDB's
 * own error where another process has it open, and LOCKED where this one has it open already, or another is mending it.
 */
export async function attachFile(
  path: string,
  catalog: string,
  admin: DuckdbConnection,
  guard: CheckpointGuard,
): Promise<void> {
  const attach = async (): Promise<void> => {
    await admin.run(`ATTACH ${quoteText(path)} AS ${quoteName(catalog)}`);
  };
  refuseOwnHandle(path);
  if (!existsSync(path)) await makeFile(path, admin);
  const damage = await damageOf(attach);
  if (!guard.isThere()) {
    if (damage !== null) throw damage;
    return;
  }
  try {
    // Whoever found the file damaged had its lock for a moment, and while it is damaged nobody opens it: only those who mend it
    // have to be kept apart. One that was attached may have damage where DuckDB has not looked yet.
    await withRepairLock(path, admin, async () => {
      const isDamagedStill = damage !== null && (await damageOf(attach)) !== null;
      await guard.putBack();
      if (isDamagedStill) await attach();
      await guard.drop();
    });
  } catch (error) {
    try {
      await admin.run(`DETACH DATABASE IF EXISTS ${quoteName(catalog)}`);
    } finally {
      await guard.close();
    }
    throw error;
  }
}

/** What DuckDB says of a damaged file; null where it was attached. */
async function damageOf(attach: () => Promise<void>): Promise<Error | null> {
  try {
    await attach();
    return null;
  } catch (error) {
    if (!isDamaged(error)) throw error;
    return error;
  }
}
