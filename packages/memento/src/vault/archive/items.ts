import type { TimelineRecord } from "../../core/timeline.ts";
import type { PieceEncoding } from "../codec.ts";
import { ByteReader } from "./byte-reader.ts";
import { damaged } from "./layout.ts";

/** A caretaker with its policy. */
export interface CaretakerItem {
  readonly t: "caretaker";
  readonly name: string;
  /** Canonical JSON text. */
  readonly policy: string;
}

/** The text of the key file of a store that is backed up with its keys; its bytes are the blob. Only in a file that is sealed by something else. */
export interface KeysItem {
  readonly t: "keys";
}

/** A timeline; comes before its mementos. */
export interface TimelineItem extends Omit<TimelineRecord, "check"> {
  readonly t: "timeline";
  /** The epoch of its lease: whoever goes on with it takes a higher one. */
  readonly epoch: number;
  /** The last memento that the file brings of it; null for none. */
  readonly head: string | null;
}

/** A pack, in two blobs: its header and its body, not sealed by itself. */
export interface PackItem {
  readonly t: "pack";
  /** Slots whose mementos were removed; others may need something of them. */
  readonly removed: readonly number[];
  /** True: nothing is left of these mementos but their entries, and nothing is needed. */
  readonly isSpent: boolean;
}

/** The memento of a file that holds one; its pieces follow. */
export interface MementoItem {
  readonly t: "memento";
  /** As in the header of a pack. */
  readonly entry: string;
  readonly digest: string;
  readonly contentDigest: string;
  /** How the fields are encoded; their bytes are the blob. null: it has none, and no blob. */
  readonly fields: PieceEncoding | null;
}

/** Pieces of the memento, one blob for each. */
export interface PiecesItem {
  readonly t: "pieces";
  /** Key, encoding, SHA-256. */
  readonly pieces: readonly (readonly [key: string, encoding: PieceEncoding, digest: string])[];
}

/** The last item. */
export interface EndItem {
  readonly t: "end";
  readonly items: number;
}

/** What the content of a portable file is made of. */
export type ArchiveItem = CaretakerItem | KeysItem | TimelineItem | PackItem | MementoItem | PiecesItem | EndItem;

/** An item with the bytes that belong to it. */
export interface ReadItem {
  readonly item: ArchiveItem;
  readonly blobs: readonly Uint8Array[];
}

const KINDS: ReadonlySet<unknown> = new Set<ArchiveItem["t"]>([
  "caretaker",
  "keys",
  "timeline",
  "pack",
  "memento",
  "pieces",
  "end",
]);
/** No item of ours comes near it; one that is longer is not read. */
const HEAD_BYTES_MAX = 67_108_864;
const BLOB_BYTES_MAX = 2_147_483_647;

/** Takes the content of a file apart, item by item, up to the last one. DAMAGED, naming the file. */
export async function* readItems(content: AsyncIterable<Uint8Array>, where: string): AsyncGenerator<ReadItem> {
  const reader = new ByteReader(content);
  for (let items = 0; ; items++) {
    const head = await readHead(reader, where);
    const blobs: Uint8Array[] = [];
    for (const length of head.blobs) blobs.push(await exactly(reader, length, where));
    if (head.item.t === "end") {
      if (head.item.items !== items) throw damaged(where, `it holds ${items} items in place of ${head.item.items}`);
      // The file's own end, with its signature, is read and judged here.
      if ((await reader.take(1)).length > 0) throw damaged(where, "its content goes on behind its end");
      return;
    }
    yield { item: head.item, blobs };
  }
}

async function readHead(
  reader: ByteReader,
  where: string,
): Promise<{ readonly item: ArchiveItem; readonly blobs: readonly number[] }> {
  const length = Buffer.from(await exactly(reader, 4, where)).readUInt32BE(0);
  if (length > HEAD_BYTES_MAX) throw damaged(where, "an item of it is too long");
  const text = Buffer.from(await exactly(reader, length, where)).toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw damaged(where, "an item of it is not readable", cause);
  }
  if (typeof value !== "object" || value === null || !("t" in value) || !("blobs" in value) || !KINDS.has(value.t)) {
    throw damaged(where, "an item of it is of no known kind");
  }
  const { blobs, ...item } = value;
  const isSound = (bytes: unknown): boolean =>
    Number.isSafeInteger(bytes) && Number(bytes) >= 0 && Number(bytes) <= BLOB_BYTES_MAX;
  if (!Array.isArray(blobs) || !blobs.every(isSound)) throw damaged(where, "an item of it has no lengths");
  return { item: item as ArchiveItem, blobs: blobs as number[] };
}

async function exactly(reader: ByteReader, count: number, where: string): Promise<Uint8Array> {
  const bytes = await reader.take(count);
  if (bytes.length === count) return bytes;
  throw damaged(where, "its content ends in the middle of an item");
}
