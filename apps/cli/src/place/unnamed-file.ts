import { open, unlink, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { MementoError } from "@mementojs/memento";
import { isDiskFull, randomText, systemRandom } from "@mementojs/memento/core";

const READ_BYTES = 1_048_576;

/** Bytes that come but once, kept so that they can be read again: in a file without a name, which no end of the process leaves behind. */
export class UnnamedFile implements AsyncIterable<Uint8Array>, AsyncDisposable {
  readonly #file: FileHandle;

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  /** Takes all bytes in; rejects with the signal's reason when it is aborted meanwhile. DISK_FULL, IO_FAILED. */
  static async of(content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<UnnamedFile> {
    const place = path.join(tmpdir(), `memento-${randomText(systemRandom, 20)}`);
    const file = await inTemporary(async () => await open(place, "wx+", 0o600));
    try {
      await unlink(place);
      for await (const bytes of content) {
        signal.throwIfAborted();
        await inTemporary(async () => await file.writeFile(bytes));
      }
      return new UnnamedFile(file);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** All bytes from the beginning, each time. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (let position = 0; ;) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.allocUnsafe(READ_BYTES), 0, READ_BYTES, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

async function inTemporary<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const isFull = isDiskFull(cause);
    const what = isFull ? "There is no space in" : "No file can be written in";
    throw new MementoError(isFull ? "DISK_FULL" : "IO_FAILED", `${what} ${tmpdir()}`, { cause });
  }
}
