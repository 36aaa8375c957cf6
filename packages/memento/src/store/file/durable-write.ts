import nodePath from "node:path";

import { isMementoError, MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import { systemCode } from "../../core/path-errors.ts";
import type { Clock, Random } from "../../core/ports.ts";
import type { BlobPort } from "../blobs/blob-port.ts";
import type { FilePort } from "./file-port.ts";
import { ioError } from "./io-errors.ts";

/** What the files of a store are written with. */
export interface DurableFilesOptions {
  readonly files: FilePort;
  readonly clock: Clock;
  readonly random: Random;
  /** Where files lie before they have a name; on the same file system as everything else. */
  readonly temporaryFolder: string;
}

/** Files that a crash left without a name are taken away after this long. */
const LEFT_BEHIND_MS = 3_600_000;

/**
 * The two ways in which the driver writes, and its reads. Both write the whole file under a temporary name first, check
 * the count of bytes and sync it; then `createIfAbsent` links it to its name, which fails when the name is taken, and
 * `replace` moves it over its name. Both sync the folder before they return, so a name that was seen after a return is
 * there after a power loss, whole.
 *
 * Temporary files share one folder, so that what crashes left behind is swept by one listing, before the first write.
 */
export class DurableFiles implements BlobPort {
  readonly #files: FilePort;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #temporaryFolder: string;
  readonly #durableFolders = new Set<string>();
  #swept: Promise<void> | null = null;

  constructor({ files, clock, random, temporaryFolder }: DurableFilesOptions) {
    this.#files = files;
    this.#clock = clock;
    this.#random = random;
    this.#temporaryFolder = temporaryFolder;
  }

  /** A file's bytes; null when there is none. */
  async read(path: string): Promise<Uint8Array | null> {
    return await this.#unless("ENOENT", null, "read", path, () => this.#files.read(path));
  }

  /** Writes a file under a name that nobody has. False, and no change, when somebody has it. */
  async createIfAbsent(path: string, parts: readonly Uint8Array[]): Promise<boolean> {
    const temporary = await this.#writeTemporary(parts);
    const created = await this.#finish(temporary, () =>
      this.#unless("EEXIST", false, "link", path, async () => {
        await this.#files.link(temporary, path);
        return true;
      }),
    );
    const tidied = this.#removeTemporary(temporary);
    const settled = created ? this.settle(nodePath.dirname(path)) : tidied;
    await Promise.all([settled, tidied]);
    return created;
  }

  /** Writes a file under a name, whatever had it before. For files that have one writer, or whose loss is harmless. */
  async replace(path: string, parts: readonly Uint8Array[]): Promise<void> {
    const temporary = await this.#writeTemporary(parts);
    await this.#finish(temporary, () => this.#do("replace", path, () => this.#files.rename(temporary, path)));
    await this.settle(nodePath.dirname(path));
  }

  /** Takes a file away, if there is one. Durable only after a `settle` of its folder. */
  async remove(path: string): Promise<void> {
    await this.#unless("ENOENT", undefined, "remove", path, () => this.#files.unlink(path));
  }

  /**
   * Like `replace`; then writes zeros over what the file held before, where its bytes lie. Readers meet the one content or
   * the other, never zeros. What a crash leaves of the old content is wiped by the next call for the same name.
   */
  async replaceAndWipe(path: string, parts: readonly Uint8Array[]): Promise<void> {
    const old = `${path}.old`;
    await this.#unless("EEXIST", undefined, "link", path, () => this.#files.link(path, old));
    await this.replace(path, parts);
    const left = await this.read(old);
    if (left === null) return;
    await this.#unless("ENOENT", undefined, "write over", old, () =>
      this.#files.overwrite(old, new Uint8Array(left.byteLength)),
    );
    await this.remove(old);
  }

  /** True when a crash has left old content of this file that is still to be wiped. */
  async hasLeftovers(path: string): Promise<boolean> {
    return (await this.read(`${path}.old`)) !== null;
  }

  /**
   * Makes a folder, and its name durable: also when somebody else has made it, who may not have come to its sync yet.
   * Its parent must be there.
   */
  async ensureFolder(path: string): Promise<void> {
    if (this.#durableFolders.has(path)) return;
    await this.#unless("EEXIST", undefined, "make the folder", path, () => this.#files.makeFolder(path));
    await this.settle(nodePath.dirname(path));
    this.#durableFolders.add(path);
  }

  /** Makes a folder and all that are missing above it, and their names durable. */
  async ensureFolders(path: string): Promise<void> {
    try {
      await this.ensureFolder(path);
    } catch (error) {
      const parent = nodePath.dirname(path);
      if (!isMementoError(error, "IO_FAILED") || error.details["reason"] !== "ENOENT" || parent === path) throw error;
      await this.ensureFolders(parent);
      await this.ensureFolder(path);
    }
  }

  /** Makes every name in a folder durable, those that other processes gave included. */
  async settle(folder: string): Promise<void> {
    await this.#do("sync the folder", folder, () => this.#files.syncFolder(folder));
  }

  /** The names in a folder, in no order; none when there is no such folder. */
  async *list(folder: string, after = ""): AsyncIterable<string> {
    try {
      for await (const name of this.#files.list(folder)) if (name > after) yield name;
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw ioError(error, "list", folder);
    }
  }

  async #writeTemporary(parts: readonly Uint8Array[]): Promise<string> {
    this.#swept ??= this.#sweep();
    await this.#swept;
    const path = nodePath.join(this.#temporaryFolder, `t${randomText(this.#random, 20)}`);
    const file = await this.#do("create", path, () => this.#files.create(path));
    await this.#finish(path, () =>
      this.#do("write", path, async () => {
        try {
          for (const part of parts) await writeAll(file, part, path);
          await file.sync();
        } finally {
          await file.close();
        }
      }),
    );
    return path;
  }

  /** Does the next step with a temporary file; takes the file away when the step fails. */
  async #finish<T>(temporary: string, step: () => Promise<T>): Promise<T> {
    try {
      return await step();
    } catch (error) {
      try {
        await this.#removeTemporary(temporary);
      } catch (second) {
        // The first error says what is wrong. The file is swept later; here it only travels along.
        if (error instanceof Error && error.cause === undefined) error.cause = second;
      }
      throw error;
    }
  }

  async #removeTemporary(path: string): Promise<void> {
    await this.remove(path);
  }

  async #sweep(): Promise<void> {
    await this.ensureFolder(this.#temporaryFolder);
    const oldest = this.#clock.now() - LEFT_BEHIND_MS;
    for await (const name of this.list(this.#temporaryFolder)) {
      const path = nodePath.join(this.#temporaryFolder, name);
      const modifiedAt = await this.#unless("ENOENT", null, "look at", path, () => this.#files.modifiedAt(path));
      if (modifiedAt !== null && modifiedAt < oldest) await this.remove(path);
    }
  }

  async #do<T>(doing: string, path: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      throw ioError(error, doing, path);
    }
  }

  async #unless<T, N>(code: string, otherwise: N, doing: string, path: string, call: () => Promise<T>): Promise<T | N> {
    try {
      return await call();
    } catch (error) {
      if (systemCode(error) === code) return otherwise;
      throw ioError(error, doing, path);
    }
  }
}

async function writeAll(
  file: { write(bytes: Uint8Array): Promise<number> },
  bytes: Uint8Array,
  path: string,
): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength;) {
    const written = await file.write(bytes.subarray(offset));
    if (written === 0) throw new MementoError("IO_FAILED", `Could not write ${path}: no byte more was taken`);
    offset += written;
  }
}
