import zlib from "node:zlib";

import { isMementoError, MementoError } from "../../../core/errors.ts";
import type { InputFile } from "./input-file.ts";

/** How a file is compressed; `auto` goes by its first bytes, whatever its name is. */
export type Compression = "auto" | "none" | "gzip" | "zstd";

const COMPRESSIONS: readonly Compression[] = ["auto", "none", "gzip", "zstd"];
const GZIP_MAGIC = [0x1f, 0x8b];
const ZSTD_MAGIC = [0x28, 0xb5, 0x2f, 0xfd];
/** A frame that is passed over may stand first; the lower half of its first byte is free. */
const ZSTD_SKIPPABLE_MAGIC = [0x50, 0x2a, 0x4d, 0x18];
const RAW_BYTES = 64 * 1024;
const TEXT_BYTES = 256 * 1024;

/** The endings of the names of compressed files. */
export const COMPRESSED_ENDING = /\.(?:gz|zst|zstd)$/iu;

/** INVALID_ARGUMENT for a compression that is not known. */
export function checkCompression(compression: Compression): Compression {
  if (COMPRESSIONS.includes(compression)) return compression;
  const known = COMPRESSIONS.join(", ");
  throw new MementoError("INVALID_ARGUMENT", `compression takes ${known}, not ${JSON.stringify(compression)}`);
}

/** How a file is really compressed. INPUT_CUT for an empty one that should be, and for one whose name says so. */
export async function compressionOf(file: InputFile, compression: Compression): Promise<"none" | "gzip" | "zstd"> {
  if (compression === "none") return compression;
  const first = new Uint8Array(ZSTD_MAGIC.length);
  const filled = await file.readAt(0, first);
  const named = compression !== "auto" || COMPRESSED_ENDING.test(file.name ?? file.path);
  if (filled === 0 && named) throw cut(file, "is empty, and should be compressed");
  if (compression !== "auto") return compression;
  const begins = (magic: readonly number[]): boolean => magic.every((byte, index) => first[index] === byte);
  if (begins(GZIP_MAGIC)) return "gzip";
  if (begins(ZSTD_MAGIC)) return "zstd";
  first[0] = (first[0] ?? 0) & 0xf0;
  return begins(ZSTD_SKIPPABLE_MAGIC) ? "zstd" : "none";
}

/** The bytes of a file as they stand in it. */
export async function* rawBytes(file: InputFile, read: (bytes: number) => void): AsyncGenerator<Buffer> {
  for (let position = 0; ;) {
    const bytes = Buffer.allocUnsafeSlow(RAW_BYTES);
    const filled = await file.readAt(position, bytes);
    if (filled === 0) return;
    position += filled;
    read(position);
    yield bytes.subarray(0, filled);
  }
}

/**
 * The text of compressed bytes; what the decoder gives before an error comes first. INPUT_CUT where they end too early, RECORD_INVALID where they are
 * damaged, or more stands behind them.
 */
export async function* decompressed(
  file: InputFile,
  chunks: AsyncIterable<Buffer>,
  method: "gzip" | "zstd",
): AsyncGenerator<Buffer> {
  // So little is buffered that no output is lost when an error ends the stream.
  const options = { chunkSize: TEXT_BYTES, readableHighWaterMark: 1 };
  const stream = method === "gzip" ? zlib.createGunzip(options) : zlib.createZstdDecompress(options);
  const ready: Buffer[] = [];
  const state = { failure: null as Error | null, woken: false, done: false, ended: false };
  let wake: () => void = () => undefined;
  const stir = (): void => {
    state.woken = true;
    wake();
  };
  const finish = (): void => {
    state.done = true;
    stir();
  };
  stream.on("data", (chunk: Buffer) => {
    ready.push(chunk);
    stream.pause();
    stir();
  });
  stream.on("error", (error: Error) => {
    state.failure = error;
    stir();
  });
  stream.on("end", () => {
    state.ended = true;
    finish();
  });

  /** What the stream gives until it has done what it was asked for. */
  async function* output(): AsyncGenerator<Buffer> {
    for (;;) {
      for (let chunk = ready.shift(); chunk !== undefined; chunk = ready.shift()) yield chunk;
      if (state.failure !== null) throw state.failure;
      if (state.done && stream.readableLength === 0) return;
      state.woken = false;
      stream.resume();
      if (state.woken) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  }

  let fed = 0;
  try {
    for await (const chunk of chunks) {
      state.done = false;
      fed += chunk.length;
      stream.write(chunk, finish);
      yield* output();
      // The decoder has met what is none of its data; it would take no more, and never say so.
      if (state.ended) break;
    }
    if (!state.ended) {
      state.done = false;
      stream.end();
      yield* output();
    }
    if (stream.bytesWritten < fed) await checkRest(file, stream.bytesWritten, method);
  } catch (error) {
    throw failureOf(file, method, error);
  } finally {
    stream.destroy();
  }
}

/** Behind gzip data zeros may stand, with which tapes and block devices fill up what is written to them; else nothing. */
async function checkRest(file: InputFile, start: number, method: string): Promise<void> {
  const bytes = Buffer.allocUnsafeSlow(RAW_BYTES);
  let filled = await file.readAt(start, bytes);
  for (let position = start; filled > 0; filled = await file.readAt(position, bytes)) {
    if (method !== "gzip" || bytes.subarray(0, filled).some((byte) => byte !== 0))
      throw damaged(file, `more stands behind its ${method} data`);
    position += filled;
  }
}

function failureOf(file: InputFile, method: string, error: unknown): unknown {
  if (isMementoError(error) || !(error instanceof Error) || !("code" in error)) return error;
  const code = String(error.code);
  if (code === "Z_BUF_ERROR") return cut(file, `ends in the middle of its ${method} data`);
  if (!/^(?:Z_|ZSTD_)/u.test(code)) return error;
  return damaged(file, `its ${method} data cannot be read (${error.message})`, error);
}

function cut({ path }: InputFile, problem: string): MementoError {
  return new MementoError("INPUT_CUT", `${path} ${problem}`, { details: { path } });
}

function damaged({ path }: InputFile, problem: string, cause?: Error): MementoError {
  const options = { details: { path }, ...(cause === undefined ? {} : { cause }) };
  return new MementoError("RECORD_INVALID", `${path}: ${problem}`, options);
}
