import { MementoError } from "../core/errors.ts";
import type { Notice } from "../core/event.ts";
import type { MementoEntry } from "../core/memento.ts";
import { entryText, expandEntry } from "./entry-text.ts";

/** The format version of stores and notices, and of packs that need nothing newer. */
export const FORMAT_VERSION = 1;

/** Packs with what version 1 did not know: delta pieces, and the codecs gzip and brotli. */
export const INCREMENTS_VERSION = 2;

/** One separately sealed part of a pack's body. */
export interface PackSection {
  readonly codec: "zstd" | "gzip" | "brotli" | "none";
  /** Bytes before compression. */
  readonly plainBytes: number;
  /** Bytes in the body, tag included. */
  readonly sealedBytes: number;
}

/** The clear, authenticated header of a pack of mementos. Stored as JSON text in UTF-8. */
export interface PackHeader {
  readonly v: number;
  readonly type: "pack";
  /** How the body is sealed: AES-256-GCM under a wrapped data key, or only guarded by a SHA-256. */
  readonly suite: "A256GCM" | "S256";
  /** The data key's id; null where nothing is sealed. */
  readonly dataKey: string | null;
  /** 96 random bits, base64url; empty where nothing is sealed. */
  readonly nonce: string;
  /** The body is its sections, one after the other. Section 0 holds every slot's manifest, so that an index can be read without the values. */
  readonly sections: readonly PackSection[];
  readonly entries: readonly MementoEntry[];
}

/** The header of a commit that carries an event other than a save. */
export interface NoticeHeader {
  readonly v: number;
  readonly type: "notice";
  readonly notice: Notice;
  /** Keyed check over the notice. */
  readonly check: string;
}

/** The header of any commit. */
export type CommitHeader = PackHeader | NoticeHeader;

// What was just encoded is judged at once by the store that takes it: for these very bytes, which nobody changes, the
// header is known. Reading it again would be a tenth of what a small save costs.
const encoded = new WeakMap<Uint8Array, CommitHeader>();

/** Writes a header as the bytes that are stored and authenticated; they must not be changed. */
export function encodeHeader(header: CommitHeader): Uint8Array {
  if (header.type === "pack") {
    const { entries, ...rest } = header;
    return encodePackHeader(rest, entries.map(entryText), entries);
  }
  const bytes = Buffer.from(JSON.stringify(header), "utf8");
  encoded.set(bytes, header);
  return bytes;
}

/** The same of a pack whose entries are there as their texts; `entries` is null where nobody has them as they are. */
export function encodePackHeader(
  header: Omit<PackHeader, "entries">,
  texts: readonly string[],
  entries: readonly MementoEntry[] | null,
): Uint8Array {
  const bytes = Buffer.from(`${JSON.stringify(header).slice(0, -1)},"entries":[${texts.join(",")}]}`, "utf8");
  if (entries !== null) encoded.set(bytes, { ...header, entries });
  return bytes;
}

/** Reads a header; throws DAMAGED for bytes that are none, FORMAT_UNKNOWN for a newer version. `where` names the place in the message. */
export function decodeHeader(bytes: Uint8Array, where: string): CommitHeader {
  const known = encoded.get(bytes);
  if (known !== undefined) return known;
  let header: unknown;
  try {
    header = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8"));
  } catch (cause) {
    throw new MementoError("DAMAGED", `The header of ${where} is not readable`, { cause });
  }
  if (typeof header !== "object" || header === null || !("v" in header) || typeof header.v !== "number") {
    throw new MementoError("DAMAGED", `The header of ${where} names no format version`);
  }
  if (header.v !== FORMAT_VERSION && header.v !== INCREMENTS_VERSION) {
    throw new MementoError(
      "FORMAT_UNKNOWN",
      `${where} is of format version ${header.v}; this release reads versions ${FORMAT_VERSION} and ${INCREMENTS_VERSION}`,
      {
        details: { version: header.v },
      },
    );
  }
  if (!("type" in header)) throw new MementoError("DAMAGED", `The header of ${where} is incomplete`);
  const read =
    header.type === "pack"
      ? readPack(header)
      : header.type === "notice" && hasNoticeShape(header)
        ? (header as NoticeHeader)
        : null;
  if (read === null) throw new MementoError("DAMAGED", `The header of ${where} is incomplete`);
  return read;
}

// The shape is checked before the seal is: what is read here may be anything, and must end as DAMAGED, never as a TypeError.
function readPack(header: object): PackHeader | null {
  const { suite, dataKey, nonce, sections, entries } = header as Partial<Record<keyof PackHeader, unknown>>;
  const sound =
    (suite === "S256" ? dataKey === null : suite === "A256GCM" && typeof dataKey === "string") &&
    typeof nonce === "string" &&
    Array.isArray(sections) &&
    sections.length > 0 &&
    sections.every(isSection) &&
    Array.isArray(entries);
  if (!sound) return null;
  const expanded = entries.map(expandEntry).filter((entry) => entry !== null);
  return expanded.length === entries.length ? { ...(header as PackHeader), entries: expanded } : null;
}

const CODECS: ReadonlySet<unknown> = new Set<PackSection["codec"]>(["zstd", "gzip", "brotli", "none"]);

function isSection(section: unknown): boolean {
  if (typeof section !== "object" || section === null) return false;
  const { codec, plainBytes, sealedBytes } = section as Partial<Record<keyof PackSection, unknown>>;
  return (
    CODECS.has(codec) &&
    Number.isSafeInteger(plainBytes) &&
    Number.isSafeInteger(sealedBytes) &&
    Number(sealedBytes) >= 0
  );
}

function hasNoticeShape(header: object): boolean {
  const { notice, check } = header as Partial<Record<keyof NoticeHeader, unknown>>;
  if (typeof notice !== "object" || notice === null || typeof check !== "string") return false;
  const { kind, caretaker, mementos, at } = notice as Partial<Record<keyof Notice, unknown>>;
  return [kind, caretaker, at].every((field) => typeof field === "string") && Array.isArray(mementos);
}

/** The header of a pack; throws DAMAGED when it is another kind of commit. */
export function decodePackHeader(bytes: Uint8Array, where: string): PackHeader {
  const header = decodeHeader(bytes, where);
  if (header.type !== "pack")
    throw new MementoError("DAMAGED", `${where} should be a pack of mementos and is a ${header.type}`);
  return header;
}
