import { existsSync } from "node:fs";
import { type FileHandle, open, readFile, unlink } from "node:fs/promises";
import { dirname } from "node:path";

import { MementoError } from "../../../core/errors.ts";
import { systemCode } from "../../../core/path-errors.ts";
import { nodeFiles } from "../../../store/file/file-port.ts";
import { ioError } from "../../../store/file/io-errors.ts";
import type { DuckdbConnection } from "./engine.ts";
import { blockRegion, HEADERS, isWhole, newestHeader } from "./layout.ts";
import { quoteText } from "./names.ts";
import { decodeParts, encodeParts, type Part, readParts, writePart } from "./parts.ts";

/**
 * A copy, beside a database file, of all that a checkpoint overwrites where it lies; it is there for as long as one takes.
 *
 * DuckDB writes its blocks of metadata (256 KiB) in place, while the file's header still names them, and tells of the new ones in the
 * header afterwards. A write that SIGKILL or a loss of power cuts short leaves a block with a wrong checksum, and a database that
 * opens no more. With the block put back it is the one of before, and the log, which is deleted last, has the rest. InnoDB does
 * the same by its double write. A copy that is itself cut short is of a checkpoint that never began.
 */
export class CheckpointGuard {
  readonly #database: string;
  readonly #path: string;
  #file: FileHandle | null = null;

  constructor(database: string) {
    this.#database = database;
    this.#path = `${database}.memento-guard`;
  }

  /** True where a checkpoint is under way, or was cut short. */
  isThere(): boolean {
    return existsSync(this.#path);
  }

  /** Copies what the next checkpoint of the database may overwrite, which this process has attached; returns once it is on the device. */
  async keep(admin: DuckdbConnection, catalog: string): Promise<void> {
    // A checkpoint writes into the free pieces of blocks of metadata, and into blocks that nothing refers to.
    const reader = await admin.runAndReadAll(`FROM pragma_metadata_info(${quoteText(catalog)})`);
    const blocks = reader.getRowObjects().filter(({ free_blocks: free }) => Number(free) > 0);
    try {
      const file = await this.#opened();
      const headers = await readParts(file, HEADERS);
      const newest = newestOf(headers);
      if (newest === null) throw unknownFormat(this.#database);
      const parts = await readParts(
        file,
        blocks.map(({ block_id: id }) => blockRegion(newest, Number(id))),
      );
      await this.#write(encodeParts([...headers, ...parts]), (await file.stat()).mode & 0o777);
    } catch (error) {
      // The checkpoint does not begin.
      await this.drop();
      throw ioError(error, "write", this.#path);
    }
  }

  /**
   * Puts back what a checkpoint has damaged; nothing where it came to its end, or where the copy is of another file. Only for who has
   * the database attached, or knows that nobody has and nobody can.
   */
  async putBack(): Promise<void> {
    try {
      const kept = await this.#read();
      if (kept === null) return;
      const file = await this.#opened();
      const newest = newestOf(kept);
      if (newest === null || newestOf(await readParts(file, HEADERS))?.equals(newest) !== true) return;
      for (const part of kept) {
        const [found] = await readParts(file, [{ offset: part.offset, length: part.bytes.length }]);
        if (found !== undefined && !isWhole(found.bytes) && isWhole(part.bytes)) await writePart(file, part);
      }
      await file.datasync();
    } catch (error) {
      throw ioError(error, "mend", this.#database);
    }
  }

  /** Takes the copy away. */
  async drop(): Promise<void> {
    try {
      await unlink(this.#path);
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw ioError(error, "delete", this.#path);
    }
  }

  /** Lets go of the database, after it was detached: who closes any handle of a file gives up its process's lock on it. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close();
  }

  async #opened(): Promise<FileHandle> {
    this.#file ??= await open(this.#database, "r+");
    return this.#file;
  }

  async #write(content: Buffer, mode: number): Promise<void> {
    const copy = await open(this.#path, "w", mode);
    try {
      await copy.writeFile(content);
      await Promise.all([copy.datasync(), nodeFiles.syncFolder(dirname(this.#path))]);
    } finally {
      await copy.close();
    }
  }

  async #read(): Promise<Part[] | null> {
    try {
      return decodeParts(await readFile(this.#path));
    } catch (error) {
      // Somebody else has mended the database meanwhile.
      if (systemCode(error) === "ENOENT") return null;
      throw error;
    }
  }
}

/** The newest of the headers that are the first of a file's parts. */
function newestOf(parts: readonly Part[]): Buffer | null {
  return newestHeader(parts.slice(0, HEADERS.length).map(({ bytes }) => bytes));
}

function unknownFormat(path: string): MementoError {
  return new MementoError("FORMAT_UNKNOWN", `${path} has headers that this release does not know`, {
    details: { path },
  });
}
