import type { FileHandle } from "node:fs/promises";

import { sha256 } from "../../../core/digest.ts";
import type { Region } from "./layout.ts";

/** A part of a database file, as it was. */
export interface Part {
  readonly offset: number;
  readonly bytes: Buffer;
}

/** Reads parts of a file; one that is not there in all its length comes shorter. */
export async function readParts(file: FileHandle, regions: readonly Region[]): Promise<Part[]> {
  return await Promise.all(
    regions.map(async ({ offset, length }) => {
      const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
      return { offset, bytes: buffer.subarray(0, bytesRead) };
    }),
  );
}

/** Writes a part to where it was. */
export async function writePart(file: FileHandle, { offset, bytes }: Part): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
}

const DIGEST_LENGTH = 43;

/** What a file of parts holds: a line that says where they were, after its digest, and their bytes. */
export function encodeParts(parts: readonly Part[]): Buffer {
  const places = JSON.stringify(parts.map(({ offset, bytes }) => [offset, bytes.length]));
  return Buffer.concat([Buffer.from(`${sha256(places)}${places}\n`), ...parts.map(({ bytes }) => bytes)]);
}

/** The parts that a file holds, whose bytes have checksums of their own; null for one that is cut short, or of another kind. */
export function decodeParts(content: Buffer): Part[] | null {
  const end = content.indexOf("\n");
  const places = content.toString("utf8", DIGEST_LENGTH, end);
  if (sha256(places) !== content.toString("utf8", 0, DIGEST_LENGTH)) return null;
  let at = end + 1;
  const parts = (JSON.parse(places) as readonly (readonly [offset: number, length: number])[]).map(
    ([offset, length]) => {
      at += length;
      return { offset, bytes: content.subarray(at - length, at) };
    },
  );
  return at === content.length ? parts : null;
}
