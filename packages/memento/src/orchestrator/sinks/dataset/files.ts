import { createReadStream } from "node:fs";
import { mkdir, open, readlink, rmdir, symlink } from "node:fs/promises";

import { runningSha256 } from "../../../core/digest.ts";
import { systemCode } from "../../../core/path-errors.ts";
import { type FilePort, nodeFiles } from "../../../store/file/file-port.ts";
import { ioError } from "../../../store/file/io-errors.ts";

/** The calls to the file system that a dataset makes: those of the file store, and what a folder for readers needs. */
export interface DatasetFiles extends FilePort {
  /** A file's content, a block at a time. */
  blocks(path: string): AsyncIterable<Uint8Array>;
  /** Makes a link of that name to a folder beside it. */
  linkFolder(target: string, name: string): Promise<void>;
  /** Where a link to a folder points. */
  readLink(name: string): Promise<string>;
  /** Takes an empty folder away. */
  removeFolder(path: string): Promise<void>;
}

/** The machine's own file system. What is made here is for others to read, as far as the process's umask lets them. */
export const nodeDatasetFiles: DatasetFiles = {
  ...nodeFiles,
  create: async (path) => {
    const handle = await open(path, "wx");
    return {
      write: async (bytes) => (await handle.write(bytes)).bytesWritten,
      sync: () => handle.datasync(),
      close: () => handle.close(),
    };
  },
  makeFolder: async (path) => {
    await mkdir(path);
  },
  blocks: (path) => createReadStream(path, { highWaterMark: 1 << 18 }),
  linkFolder: async (target, name) => await symlink(target, name, "dir"),
  readLink: (name) => readlink(name),
  removeFolder: rmdir,
};

/** What is found at a path. */
export interface FoundFile {
  readonly bytes: number;
  /** SHA-256 of its content. */
  readonly digest: string;
}

/** Reads a file to its end for its size and digest; null where there is none. */
export async function findFile(files: DatasetFiles, path: string): Promise<FoundFile | null> {
  const digest = runningSha256();
  let bytes = 0;
  try {
    for await (const block of files.blocks(path)) {
      digest.update(block);
      bytes += block.byteLength;
    }
  } catch (error) {
    if (systemCode(error) === "ENOENT") return null;
    throw ioError(error, "read", path);
  }
  return { bytes, digest: digest.current() };
}
