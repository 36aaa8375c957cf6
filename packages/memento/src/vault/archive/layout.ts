import { MementoError } from "../../core/errors.ts";
import type { OriginatorKind } from "../../core/memento.ts";
import type { WrappedKey } from "../keys/key-ring.ts";

/** The format version of portable files of one memento, timeline or caretaker. */
export const ARCHIVE_VERSION = 1;

/** That of files that hold a whole store, which readers of version 1 refuse by name. */
export const STORE_ARCHIVE_VERSION = 2;

/** The first bytes of every portable file: one that is no text, the name, and line ends that a transfer as text would change. */
export const MAGIC = Buffer.from("\x89MEM\r\n\x1a\n", "latin1");

/** Bytes of content in every frame but the last; memory for reading and writing is a few times as much. */
export const FRAME_CONTENT_BYTES = 1_048_576;
/** No frame is longer: zstd makes what it cannot compress larger by less than this. */
export const FRAME_BYTES_MAX = FRAME_CONTENT_BYTES + 65_536;
/** The highest bit of a frame's length says that it is the last one. */
export const LAST_FRAME = 0x80_00_00_00;
export const HEADER_BYTES_MAX = 1_048_576;
export const DIGEST_BYTES = 32;
export const SIGNATURE_BYTES = 64;

/** What a portable file holds. */
export type ArchiveContent = "memento" | "timeline" | "caretaker" | "store";

/** A timeline's address and key, as the header of a file names it. */
export interface ArchiveTimeline {
  readonly key: string;
  readonly originator: string;
  readonly partition: string;
  readonly fork: string;
  readonly kind: OriginatorKind;
}

/** The clear header of a portable file: what may be known of it without a key. */
export interface ArchiveHeader {
  readonly type: "archive";
  readonly content: ArchiveContent;
  /** 16 characters; another one for each file. */
  readonly id: string;
  /** ISO 8601, UTC. */
  readonly created: string;
  /** The id of the store that it was exported from. */
  readonly store: string;
  /** Empty for a whole store. */
  readonly caretaker: string;
  /** null for a whole caretaker or store. */
  readonly timeline: ArchiveTimeline | null;
  /** The memento's id, or the head of the timeline; null for a whole caretaker or store. */
  readonly memento: string | null;
  /** Mementos that it brings, without those that were removed. */
  readonly mementos: number;
  /** Bytes of the state that the memento, or each timeline's head, has when it is read whole. */
  readonly stateBytes: number;
  /** AES-256-GCM under a key of this file alone, or only guarded by SHA-256. */
  readonly suite: "A256GCM" | "S256";
  /** The file's own key, wrapped; null where it is not sealed. */
  readonly key: WrappedKey | null;
  /** The public key that signs, 32 raw bytes as base64url. */
  readonly signer: string;
}

/** What the wrapping of a file's key authenticates. */
export function boundText(id: string): string {
  return JSON.stringify(["memento archive key 1", id]);
}

/** All bytes before the first frame. */
export function encodeArchiveHeader(header: ArchiveHeader): Uint8Array {
  const text = Buffer.from(JSON.stringify(header), "utf8");
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(header.content === "store" ? STORE_ARCHIVE_VERSION : ARCHIVE_VERSION, 0);
  lengths.writeUInt32BE(text.length, 4);
  return Buffer.concat([MAGIC, lengths, text]);
}

/** Reads the header's JSON text. DAMAGED, naming `where`. */
export function decodeArchiveHeader(text: Uint8Array, where: string): ArchiveHeader {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString("utf8"));
  } catch (cause) {
    throw damaged(where, "its header is not readable", cause);
  }
  if (isHeader(value)) return value;
  throw damaged(where, "its header is incomplete");
}

/** The error for a file that is not what was written. */
export function damaged(where: string, reason: string, cause?: unknown): MementoError {
  return new MementoError("DAMAGED", `${where} is refused: ${reason}`, {
    hint: "Nothing was imported. Fetch the file again from where it was exported.",
    details: { file: where, reason },
    ...(cause === undefined ? {} : { cause }),
  });
}

// The signature is checked at the end: what is read until then may be anything.
function isHeader(value: unknown): value is ArchiveHeader {
  if (typeof value !== "object" || value === null) return false;
  const { type, content, timeline, memento, suite, key, mementos, stateBytes, ...texts } = value as Partial<
    Record<keyof ArchiveHeader, unknown>
  >;
  const { id, created, store, caretaker, signer } = texts;
  return (
    type === "archive" &&
    ["memento", "timeline", "caretaker", "store"].includes(String(content)) &&
    [id, created, store, caretaker, signer].every((text) => typeof text === "string") &&
    [mementos, stateBytes].every((count) => Number.isSafeInteger(count)) &&
    (memento === null || typeof memento === "string") &&
    (timeline === null || isTimeline(timeline)) &&
    (suite === "S256" ? key === null : suite === "A256GCM" && isWrapped(key))
  );
}

function isTimeline(value: unknown): value is ArchiveTimeline {
  if (typeof value !== "object" || value === null) return false;
  const { key, originator, partition, fork, kind } = value as Partial<Record<keyof ArchiveTimeline, unknown>>;
  return [key, originator, partition, fork, kind].every((text) => typeof text === "string");
}

function isWrapped(value: unknown): value is WrappedKey {
  if (typeof value !== "object" || value === null) return false;
  const { ring, wrapped } = value as Partial<Record<keyof WrappedKey, unknown>>;
  return typeof ring === "string" && typeof wrapped === "string";
}
