import { createReadStream } from "node:fs";

import { MementoError } from "../core/errors.ts";
import { unreadableFile } from "../core/path-errors.ts";

/** Where a stream's bytes come from: a path, or anything that gives them piece by piece, a Readable among others. */
export type StreamInput = string | AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

const READ_BYTES = 1_048_576;

/** The bytes of an input. INPUT_MISSING and IO_FAILED for a path; INVALID_ARGUMENT for an input that gives anything but bytes. What an input of one's own throws is passed on. */
export async function* bytesOfInput(input: StreamInput): AsyncGenerator<Uint8Array> {
  if (typeof input === "string") {
    yield* bytesOfFile(input);
    return;
  }
  // A Uint8Array is itself an iterable, of numbers.
  for await (const bytes of input instanceof Uint8Array ? [input] : input) {
    if (!(bytes instanceof Uint8Array)) {
      throw new MementoError("INVALID_ARGUMENT", `A stream gives Uint8Arrays, not a ${typeof bytes}`);
    }
    yield bytes;
  }
}

async function* bytesOfFile(path: string): AsyncGenerator<Uint8Array> {
  const file = createReadStream(path, { highWaterMark: READ_BYTES })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const { done = false, value } = await readNext(file, path);
      if (done) return;
      yield value as Uint8Array;
    }
  } finally {
    await file.return?.();
  }
}

async function readNext(
  file: AsyncIterator<unknown, unknown>,
  path: string,
): Promise<IteratorResult<unknown, unknown>> {
  try {
    return await file.next();
  } catch (cause) {
    throw unreadableFile(path, cause);
  }
}
