import { canonicalJson, type Json } from "../core/json.ts";
import type { MementoEntry, MementoReason, MementoStatus, OriginatorKind } from "../core/memento.ts";

/** What mementos can be sorted by; `log` is the order of their commits, a label or a declared metadata path stands behind its colon. */
export type MementoSort = "log" | "created" | "size" | "name" | `label:${string}` | `metadata:${string}`;

/** The label of a part: a memento that holds chunks of a stream on its way in, which nobody asked for as such. Its value is the stream's own id. */
export const PART_LABEL = "memento.part";

/** The label of a saved stream: its own id, as its parts have it. Tells streams from states without opening them. */
export const STREAM_LABEL = "memento.stream";

/** True for a part of a stream. */
export function isPart({ labels }: Pick<MementoEntry, "labels">): boolean {
  return Object.hasOwn(labels, PART_LABEL);
}

/** True for a saved stream. */
export function isStream({ labels }: Pick<MementoEntry, "labels">): boolean {
  return Object.hasOwn(labels, STREAM_LABEL);
}

/** The labels that somebody gave it: without those by which streams and their parts are told. */
export function givenLabels({ labels }: Pick<MementoEntry, "labels">): Readonly<Record<string, string>> {
  const { [PART_LABEL]: _part, [STREAM_LABEL]: _stream, ...given } = labels;
  return given;
}

/** A query in full: null means "any". Faces fill the defaults with `mementoQuery`. */
export interface MementoQuery {
  readonly caretaker: string | null;
  readonly timeline: string | null;
  readonly originator: string | null;
  readonly kind: OriginatorKind | null;
  readonly status: MementoStatus | null;
  readonly reason: MementoReason | null;
  readonly run: string | null;
  readonly stage: string | null;
  readonly name: string | null;
  /** Every label must be there with this value. */
  readonly labels: Readonly<Record<string, string>>;
  /** Every declared metadata path must have this value. */
  readonly metadata: Readonly<Record<string, Json>>;
  /** ISO 8601, inclusive. */
  readonly createdFrom: string | null;
  /** ISO 8601, exclusive. */
  readonly createdBefore: string | null;
  readonly logicalBytesMin: number | null;
  readonly logicalBytesMax: number | null;
  /** False (the default): live mementos only. */
  readonly removed: boolean;
  /** True (the default): parts of streams too. What lists mementos for people leaves them out. */
  readonly parts: boolean;
  readonly sort: MementoSort;
  readonly order: "ascending" | "descending";
  readonly limit: number | null;
  /** A row's cursor, from a query of the same filter, sort and order: rows after it are given. */
  readonly after: string | null;
}

/** Fills a partial query with the defaults: everything live, newest commit first. */
export function mementoQuery(partial: Partial<MementoQuery> = {}): MementoQuery {
  return {
    caretaker: null,
    timeline: null,
    originator: null,
    kind: null,
    status: null,
    reason: null,
    run: null,
    stage: null,
    name: null,
    labels: {},
    metadata: {},
    createdFrom: null,
    createdBefore: null,
    logicalBytesMin: null,
    logicalBytesMax: null,
    removed: false,
    parts: true,
    sort: "log",
    order: "descending",
    limit: null,
    after: null,
    ...partial,
  };
}

const same = <T>(wanted: T | null, actual: T | undefined): boolean => wanted === null || wanted === actual;

/** True when the entry passes every filter of the query. `removed`, sort and limit are the caller's. */
export function matchesQuery(query: MementoQuery, entry: MementoEntry): boolean {
  return (
    same(query.caretaker, entry.caretaker) &&
    same(query.timeline, entry.timeline) &&
    same(query.originator, entry.originator) &&
    same(query.kind, entry.kind) &&
    same(query.status, entry.status) &&
    same(query.reason, entry.reason) &&
    same(query.run, entry.run) &&
    same(query.stage, entry.stage) &&
    same(query.name, entry.name) &&
    (query.parts || !isPart(entry)) &&
    (query.createdFrom === null || entry.created >= query.createdFrom) &&
    (query.createdBefore === null || entry.created < query.createdBefore) &&
    (query.logicalBytesMin === null || entry.sizes.logicalBytes >= query.logicalBytesMin) &&
    (query.logicalBytesMax === null || entry.sizes.logicalBytes <= query.logicalBytesMax) &&
    Object.entries(query.labels).every(
      ([key, value]) => Object.hasOwn(entry.labels, key) && entry.labels[key] === value,
    ) &&
    Object.entries(query.metadata).every(
      ([path, value]) => Object.hasOwn(entry.metadata, path) && sameJson(entry.metadata[path], value),
    )
  );
}

const sameJson = (a: Json | undefined, b: Json): boolean => a !== undefined && canonicalJson(a) === canonicalJson(b);

/** What a row of a sort other than `log` is sorted by. */
export type SortKey = number | string;

/**
 * The key by which an entry is sorted; the same for all where only the order of the log counts. Texts are compared by
 * their UTF-16 code units. What has no name, or not the label, sorts as the empty text. By metadata: first those without
 * the path, then null, false, true, numbers, texts, and at last lists and objects by their canonical JSON.
 */
export function sortKey(sort: MementoSort, entry: MementoEntry): SortKey {
  switch (sort) {
    case "created":
      return entry.created;
    case "size":
      return entry.sizes.logicalBytes;
    case "name":
      return entry.name ?? "";
    case "log":
      return 0;
    default:
      return sort.startsWith("label:")
        ? (ownValue(entry.labels, sort.slice("label:".length)) ?? "")
        : jsonSortKey(ownValue(entry.metadata, sort.slice("metadata:".length)));
  }
}

function ownValue<T>(object: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** A text for each JSON value, so that any two are compared as texts; in the order that `sortKey` says. */
export function jsonSortKey(value: Json | undefined): string {
  if (value === undefined) return "0";
  if (value === null) return "1";
  if (typeof value === "boolean") return value ? "3" : "2";
  if (typeof value === "number") return `4${numberKey(value)}`;
  return typeof value === "string" ? `5${value}` : `6${canonicalJson(value)}`;
}

/** The bits of a number, turned so that greater numbers have greater texts: the sign first, and those of negative ones inverted. */
function numberKey(value: number): string {
  const bytes = Buffer.alloc(8);
  // -0 and 0 are equal.
  bytes.writeDoubleBE(value + 0);
  const bits = bytes.readBigUInt64BE();
  const turned = value < 0 ? ~bits & 0xffff_ffff_ffff_ffffn : bits | 0x8000_0000_0000_0000n;
  return turned.toString(16).padStart(16, "0");
}
