import type { MementoEntry } from "../../core/memento.ts";
import { expandEntry } from "../../store/entry-text.ts";
import { decodeValue, type PieceEncoding } from "../codec.ts";
import type { MementoItem } from "./items.ts";

/** The memento of a file that holds one. */
export interface ArchivedMemento {
  readonly entry: MementoEntry;
  readonly digest: string;
  readonly contentDigest: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const ENCODINGS: ReadonlySet<unknown> = new Set<PieceEncoding>(["json", "tagged", "bytes"]);

/** Reads the item; null for one that makes no sense. DAMAGED. */
export function readMementoItem(item: MementoItem, [fields]: readonly Uint8Array[]): ArchivedMemento | null {
  if (typeof item.entry !== "string" || typeof item.digest !== "string" || typeof item.contentDigest !== "string")
    return null;
  const entry = expandEntry(parsed(item.entry));
  if (entry === null || (item.fields === null) !== (fields === undefined)) return null;
  if (item.fields === null || fields === undefined) return { ...item, entry, fields: {} };
  if (!ENCODINGS.has(item.fields)) return null;
  const decoded = decodeValue({ encoding: item.fields, bytes: fields });
  return { ...item, entry, fields: decoded as Record<string, unknown> };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
