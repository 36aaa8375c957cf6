import { parseMementoId } from "../core/ids.ts";
import type { JsonObject } from "../core/json.ts";
import type { MementoEntry, MementoReason, MementoStatus, OriginatorKind } from "../core/memento.ts";

// In a header an entry is a list: its id (which says timeline and sequence), the fields that every memento has, and then,
// where there are any, an object of the others. Entries are most of a small header, and a save writes one each time.
const OPTIONAL = ["name", "run", "version", "stage", "stageIndex", "resumeCount"] as const;

/** An entry as it stands in a header, as JSON text. Part of what a memento's digest covers. */
export function entryText(entry: MementoEntry): string {
  const { id, parent, epoch, generation, caretaker, originator, kind, reason, status, created, sizes } = entry;
  const others: Record<string, unknown> = {};
  for (const key of OPTIONAL) if (entry[key] !== undefined) others[key] = entry[key];
  if (Object.keys(entry.labels).length > 0) others["labels"] = entry.labels;
  if (Object.keys(entry.metadata).length > 0) others["metadata"] = entry.metadata;
  const fields: unknown[] = [
    id,
    parent,
    epoch,
    generation,
    caretaker,
    originator,
    kind,
    reason,
    status,
    created,
    sizes.logicalBytes,
    sizes.heldBytes,
  ];
  if (Object.keys(others).length > 0) fields.push(others);
  return JSON.stringify(fields);
}

/** Reads an entry out of a header; null for anything that is none. */
export function expandEntry(value: unknown): MementoEntry | null {
  if (!Array.isArray(value) || value.length < 12 || value.length > 13) return null;
  const [
    id,
    parent,
    epoch,
    generation,
    caretaker,
    originator,
    kind,
    reason,
    status,
    created,
    logicalBytes,
    heldBytes,
    others = {},
  ] = value as unknown[];
  const clear = [id, caretaker, originator, kind, reason, status, created].every((field) => typeof field === "string");
  const numbers = [epoch, generation, logicalBytes, heldBytes].every((field) => Number.isSafeInteger(field));
  const place = parseMementoId(String(id));
  if (
    !clear ||
    !numbers ||
    place === undefined ||
    typeof others !== "object" ||
    others === null ||
    Array.isArray(others)
  )
    return null;
  if (parent !== null && typeof parent !== "string") return null;
  const { labels = {}, metadata = {}, ...optional } = others as Record<string, unknown>;
  if (!isObject(labels) || !isObject(metadata)) return null;
  return {
    id: String(id),
    timeline: place.timeline,
    sequence: place.sequence,
    parent,
    epoch: Number(epoch),
    generation: Number(generation),
    caretaker: String(caretaker),
    originator: String(originator),
    kind: kind as OriginatorKind,
    reason: reason as MementoReason,
    status: status as MementoStatus,
    created: String(created),
    ...(optional as Pick<MementoEntry, (typeof OPTIONAL)[number]>),
    labels: labels as Record<string, string>,
    metadata: metadata as JsonObject,
    sizes: { logicalBytes: Number(logicalBytes), heldBytes: Number(heldBytes) },
  };
}

const isObject = (value: unknown): boolean => typeof value === "object" && value !== null && !Array.isArray(value);
