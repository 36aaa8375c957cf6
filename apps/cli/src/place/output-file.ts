import { statSync } from "node:fs";
import { link, open, rename, unlink, type FileHandle } from "node:fs/promises";
import path from "node:path";

import { MementoError } from "@mementojs/memento";
import { deviceForFile, randomText, systemCode, systemRandom, unwritableFile } from "@mementojs/memento/core";

/**
 * Writes a file wholly or not at all: what stands there under its name is the file of before, or all of the bytes, safe on
 * the disk. When the bytes end in an error nothing is left. INVALID_ARGUMENT for a file that is there already, unless
 * `overwrite`; DISK_FULL, IO_FAILED also for a device in its place. Returns how many bytes it has.
 */
export async function writeOutputFile(
  file: string,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  overwrite: boolean,
): Promise<number> {
  if (overwrite && isDevice(file)) throw deviceForFile(file);
  const folder = path.dirname(file);
  const temporary = path.join(folder, `.${path.basename(file)}.${randomText(systemRandom, 8)}.part`);
  const handle = await onDisk(file, async () => await open(temporary, "wx"));
  let published = false;
  try {
    const bytes = await writeAll(file, handle, content);
    await onDisk(file, async () => await handle.sync());
    await handle.close();
    await onDisk(file, async () => await publish(temporary, file, overwrite));
    published = overwrite;
    await onDisk(file, async () => await syncFolder(folder));
    return bytes;
  } finally {
    await handle.close();
    if (!published) await unlink(temporary);
  }
}

/** True for what is neither a file nor a folder, also behind a link. */
function isDevice(file: string): boolean {
  const found = statSync(file, { throwIfNoEntry: false });
  return found !== undefined && !found.isFile() && !found.isDirectory();
}

async function writeAll(
  file: string,
  handle: FileHandle,
  content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<number> {
  let written = 0;
  for await (const bytes of content) {
    await onDisk(file, async () => await handle.writeFile(bytes));
    written += bytes.length;
  }
  return written;
}

async function publish(temporary: string, file: string, overwrite: boolean): Promise<void> {
  if (overwrite) await rename(temporary, file);
  // A link fails where the file has appeared meanwhile, and a rename would not.
  else await link(temporary, file);
}

async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, "r");
  await handle.sync();
}

async function onDisk<T>(file: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw systemCode(cause) === "EEXIST" ? alreadyThere(file) : unwritableFile(file, cause);
  }
}

/** The refusal to overwrite a file. */
export function alreadyThere(file: string): MementoError {
  return new MementoError("INVALID_ARGUMENT", `${file} is there already`, { hint: "Say --force to overwrite it." });
}
