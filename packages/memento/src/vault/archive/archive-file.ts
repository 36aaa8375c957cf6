import { statSync } from "node:fs";
import { open, rename, rm, link, type FileHandle } from "node:fs/promises";
import path from "node:path";

import { MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import { deviceForFile, folderForFile, systemCode, unwritableFile } from "../../core/path-errors.ts";
import type { Random } from "../../core/ports.ts";
import { syncFolder } from "../sync-folder.ts";
import type { ByteSink } from "./archive-writer.ts";

/**
 * Writes a file that is there whole or not at all: under another name first, synced, then moved to its place. Only its
 * owner may read it. EXISTS when there is one already and `replace` is false, IO_FAILED also for a device in its place, DISK_FULL.
 */
export async function writeWholeFile<T>(
  place: string,
  options: { readonly replace: boolean; readonly random: Random },
  write: (out: ByteSink) => Promise<T>,
): Promise<T> {
  if (options.replace && isDevice(place)) throw deviceForFile(place);
  const temporary = path.join(path.dirname(place), `.${path.basename(place)}.${randomText(options.random, 8)}`);
  try {
    const file = await open(temporary, "wx", 0o600);
    let result: T;
    try {
      result = await write(async (bytes) => await writeAll(file, bytes));
      await file.sync();
    } finally {
      await file.close();
    }
    // A link is refused where the name is taken, a move is not.
    if (options.replace) await rename(temporary, place);
    else await link(temporary, place);
    await syncFolder(path.dirname(place));
    return result;
  } catch (cause) {
    throw explained(cause, place);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, start);
    start += bytesWritten;
  }
}

/** True for what is neither a file nor a folder, also behind a link. */
function isDevice(place: string): boolean {
  const found = statSync(place, { throwIfNoEntry: false });
  return found !== undefined && !found.isFile() && !found.isDirectory();
}

const isFolder = (place: string): boolean => statSync(place, { throwIfNoEntry: false })?.isDirectory() === true;

function explained(cause: unknown, place: string): unknown {
  if (cause instanceof MementoError || systemCode(cause) === undefined) return cause;
  if (systemCode(cause) !== "EEXIST") return unwritableFile(place, cause);
  if (isFolder(place)) return folderForFile(place, cause);
  return new MementoError("EXISTS", `There is a file ${place} already`, {
    cause,
    hint: "Choose another name, or have the file replaced by `replace: true` (`--force`).",
  });
}
