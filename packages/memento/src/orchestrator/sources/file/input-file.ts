import { open, stat } from "node:fs/promises";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { MementoError } from "../../../core/errors.ts";

/** A file that is open for reading at any place. */
export interface InputFile {
  readonly path: string;
  /** Its name, where the path does not end with it. */
  readonly name?: string;
  /** Its length now, in bytes; a file may grow while it is read. */
  size(): Promise<number>;
  /** Reads bytes from `position` on until `into` is full or the file ends, and says how many; CANCELLED once it is closed. */
  readAt(position: number, into: Uint8Array): Promise<number>;
  /** May be called again. */
  close(): Promise<void>;
  /** What stands for the file's content, where its place tells: no other content ever has the same, and the file never grows. */
  readonly identity?: string;
  /** Set where the file is the text of another one, decompressed or decoded. */
  readonly view?: InputView;
}

/** How a text is read out of another file. */
export interface InputView {
  readonly of: InputFile;
  /** False: what it is read out of can only change as a whole. */
  readonly grows: boolean;
  /** True when the text has that many bytes. */
  reaches(byte: number): Promise<boolean>;
  /** How much of the other file is read, from 0 to 1. */
  share(): Promise<number>;
}

/** The path of a file that was named by path or by `file:` URL; INVALID_ARGUMENT for any other URL. */
export function filePath(path: string | URL): string {
  if (typeof path === "string") return path;
  if (path.protocol === "file:") return fileURLToPath(path);
  throw new MementoError("INVALID_ARGUMENT", `a file source takes a path or a file: URL, not a ${path.protocol} URL`);
}

/** Opens a regular file. INPUT_MISSING where there is none; IO_FAILED for a folder, a pipe, or what may not be read. */
export async function openInputFile(path: string): Promise<InputFile> {
  // Looked at before it is opened: opening a pipe would wait for its writer.
  const found = await orInputError(path, stat(path));
  if (!found.isFile()) {
    const kind = found.isDirectory() ? "a folder" : "not a regular file";
    throw new MementoError("IO_FAILED", `cannot read ${path}: it is ${kind}`, { details: { path } });
  }
  const handle = await orInputError(path, open(path, "r"));
  let closed = false;
  return {
    path,
    size: async () => (await orInputError(path, handle.stat())).size,
    readAt: async (position, into) => {
      if (closed) throw new MementoError("CANCELLED", `${path} was closed while it was read`, { details: { path } });
      let filled = 0;
      while (filled < into.length) {
        const reading = handle.read(into, filled, into.length - filled, position + filled);
        const { bytesRead } = await orInputError(path, reading);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return filled;
    },
    close: async () => {
      if (closed) return;
      closed = true;
      await handle.close();
    },
  };
}

/** Reads exactly `length` bytes; SOURCE_MOVED where the file has become shorter than its reader knew. */
export async function readExactly(file: InputFile, position: number, length: number): Promise<Buffer<ArrayBuffer>> {
  const bytes = Buffer.from(new ArrayBuffer(length));
  await fillExactly(file, position, bytes);
  return bytes;
}

/** Fills `into` with the bytes from `position` on; SOURCE_MOVED where the file has become shorter than its reader knew. */
export async function fillExactly(file: InputFile, position: number, into: Uint8Array): Promise<void> {
  const filled = await file.readAt(position, into);
  if (filled === into.length) return;
  throw new MementoError("SOURCE_MOVED", `${file.path} became shorter while it was read`, {
    details: { path: file.path, byte: position + filled },
  });
}

/** What the system refuses, in our words: INPUT_MISSING for what is not there, IO_FAILED for the rest. */
export async function orInputError<Result>(
  path: string,
  work: Promise<Result>,
  kind: "file" | "folder" = "file",
): Promise<Result> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") throw error;
    const { code } = error;
    const details = { path, reason: code };
    if (code === "ENOENT" || code === "ENOTDIR") {
      // Whole: where a job was started from decides which file a relative path means.
      throw new MementoError("INPUT_MISSING", `there is no ${kind} ${resolve(path)}`, { cause: error, details });
    }
    throw new MementoError("IO_FAILED", `cannot read ${path}: ${code}`, { cause: error, details });
  }
}
