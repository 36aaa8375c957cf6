import { opendir, stat, statfs } from "node:fs/promises";
import nodePath from "node:path";

import type { EngineFacts } from "../store.ts";
import { ioError } from "./io-errors.ts";

/** What the files below a folder take up, and what their disk has left. A folder that is not there yet is empty. */
export async function folderFacts(folder: string): Promise<EngineFacts> {
  const files = { name: "files", version: `${process.platform} ${process.arch}` };
  try {
    const there = (await stat(folder, { throwIfNoEntry: false })) !== undefined;
    const { bavail, bsize } = await statfs(there ? folder : nodePath.dirname(folder));
    let bytes = 0;
    for await (const entry of there ? await opendir(folder, { recursive: true }) : []) {
      // A file may be gone since its folder was read.
      if (entry.isFile())
        bytes += (await stat(nodePath.join(entry.parentPath, entry.name), { throwIfNoEntry: false }))?.size ?? 0;
    }
    return { ...files, bytes, freeBytes: bavail * bsize };
  } catch (error) {
    throw ioError(error, "look at", folder);
  }
}
