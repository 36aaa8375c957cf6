import { sha256 } from "../../core/digest.ts";
import { entryText } from "../../store/entry-text.ts";
import { encodeValue } from "../codec.ts";
import type { OpenedMemento } from "../opened-memento.ts";
import type { NearbyRecords } from "../reader.ts";
import type { Vault } from "../vault.ts";
import type { ArchiveWriter } from "./archive-writer.ts";
import type { PiecesItem } from "./items.ts";

/** Pieces up to this many bytes share an item. */
const ITEM_BYTES_TARGET = 1_048_576;
const NEARBY_MAX = 4;

/**
 * Writes one memento: what it says of itself, and every piece of its state, whole, wherever it was held. Each piece is
 * checked on the way. Gives the number of items. DAMAGED.
 */
export async function exportMemento(
  writer: ArchiveWriter,
  vault: Vault,
  memento: OpenedMemento,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { check: _check, ...record } = (await vault.timeline(memento.entry.timeline)).record;
  const { epoch } = (await vault.timeline(memento.entry.timeline)).lease;
  await writer.add({ t: "timeline", ...record, epoch, head: memento.entry.id });
  const fields = memento.fields();
  const encoded = Object.keys(fields).length === 0 ? null : encodeValue(fields, "fields");
  await writer.add(
    {
      t: "memento",
      entry: entryText(memento.entry),
      digest: memento.digest,
      contentDigest: memento.contentDigest(),
      fields: encoded?.encoding ?? null,
    },
    ...(encoded === null ? [] : [encoded.bytes]),
  );
  return 2 + (await writePieces(writer, vault, memento, signal));
}

async function writePieces(
  writer: ArchiveWriter,
  vault: Vault,
  memento: OpenedMemento,
  signal: AbortSignal | undefined,
): Promise<number> {
  const near: NearbyRecords = new Map();
  let [pieces, blobs, bytes, items]: [PiecesItem["pieces"][number][], Uint8Array[], number, number] = [[], [], 0, 0];
  const flush = async (): Promise<void> => {
    if (pieces.length === 0) return;
    await writer.add({ t: "pieces", pieces }, ...blobs);
    [pieces, blobs, bytes, items] = [[], [], 0, items + 1];
  };
  for (const [key, ref] of memento.directory.entries()) {
    signal?.throwIfAborted();
    const { content, encoding } = await vault.reader.chain(ref, key, memento.entry.id, near);
    pieces.push([key, encoding, sha256(content)]);
    blobs.push(content);
    bytes += content.length;
    if (bytes >= ITEM_BYTES_TARGET) await flush();
    for (const old of near.keys()) {
      if (near.size <= NEARBY_MAX) break;
      near.delete(old);
    }
  }
  await flush();
  return items;
}
