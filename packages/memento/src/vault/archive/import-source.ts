import { open, unlink, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import { unreadableFile } from "../../core/path-errors.ts";
import type { Random } from "../../core/ports.ts";
import { temporarily } from "./temporary-files.ts";

/** Where a portable file comes from: a path, or anything that gives its bytes piece by piece, a Readable among others. */
export type ArchiveInput = string | AsyncIterable<Uint8Array>;

const READ_BYTES = 1_048_576;

/** A portable file that can be read more than once, and is the same each time for all that its path may become meanwhile. */
export class ArchiveSource implements AsyncDisposable {
  /** The file's name in messages. */
  readonly where: string;
  readonly #file: FileHandle;
  /** null for what was no path. */
  readonly #path: string | null;
  readonly #signal: AbortSignal | undefined;

  private constructor(where: string, file: FileHandle, place: string | null, signal: AbortSignal | undefined) {
    this.where = where;
    this.#file = file;
    this.#path = place;
    this.#signal = signal;
  }

  /** Opens a path; other inputs are first written to a file that has no name any more and that only its owner may read. Reading rejects with the signal's reason. INPUT_MISSING, IO_FAILED, DISK_FULL. */
  static async open(
    input: ArchiveInput,
    random: Random,
    { name, signal }: { readonly name?: string | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<ArchiveSource> {
    if (typeof input !== "string")
      return new ArchiveSource(name ?? "The stream", await spool(input, random, signal), null, signal);
    try {
      return new ArchiveSource(name ?? `The file ${input}`, await open(input, "r"), input, signal);
    } catch (cause) {
      throw unreadableFile(input, cause);
    }
  }

  /** All bytes from the beginning. */
  async *bytes(): AsyncGenerator<Uint8Array> {
    for (let position = 0; ;) {
      this.#signal?.throwIfAborted();
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      const { bytesRead } = await this.#read(buffer, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }

  async #read(buffer: Buffer, position: number): Promise<{ readonly bytesRead: number }> {
    try {
      return await this.#file.read(buffer, 0, buffer.length, position);
    } catch (cause) {
      // A folder can be opened; what it is shows when it is read.
      throw unreadableFile(this.#path ?? this.where, cause);
    }
  }
}

async function spool(
  input: AsyncIterable<Uint8Array>,
  random: Random,
  signal: AbortSignal | undefined,
): Promise<FileHandle> {
  const place = path.join(tmpdir(), `memento-${randomText(random, 20)}`);
  const file = await temporarily(place, async () => await open(place, "wx+", 0o600));
  try {
    await unlink(place);
    let position = 0;
    for await (const bytes of input) {
      signal?.throwIfAborted();
      if (!(bytes instanceof Uint8Array)) throw new MementoError("INVALID_ARGUMENT", "A portable file is bytes");
      for (let start = 0; start < bytes.length;) {
        const rest = [bytes, start, bytes.length - start, position] as const;
        const { bytesWritten } = await temporarily(place, async () => await file.write(...rest));
        start += bytesWritten;
        position += bytesWritten;
      }
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
