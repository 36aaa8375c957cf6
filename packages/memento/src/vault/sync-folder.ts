import { open } from "node:fs/promises";

/** Makes the names in a folder durable: a file that was renamed or removed there stays so. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
