import { sha256 } from "../../core/digest.ts";
import type { OriginatorKind } from "../../core/memento.ts";
import type { Lease, LeaseHolder, TimelineRecord, TimelineState } from "../../core/timeline.ts";
import type { CaretakerRecord, KeyRecord, StoreMeta } from "../store.ts";
import { damaged } from "./failure.ts";

/** A commit as it lies in the log: one line of facts, then the header's bytes. */
export interface CommitRow {
  readonly commit: number;
  /** The first line; another one as soon as anything of the commit was changed. */
  readonly line: string;
  readonly header: Buffer;
  /** False: the header is not the one that the line was written for. */
  readonly isWhole: boolean;
  /** null for a notice. */
  readonly pack: PackFacts | null;
  /** For the notice of a removal: how many mementos it removed. */
  readonly removals: number | null;
}

/** What the log's line says of a pack. */
export interface PackFacts {
  /** Names the keys of its body; never used twice. */
  readonly token: string;
  /** null once reclaimed. */
  readonly bodyBytes: number | null;
  /** In how many parts the body lies; 0 where it is one. */
  readonly parts: number;
  /** How many slots it has. */
  readonly slots: number;
  /** null: all of them. */
  readonly accepted: readonly number[] | null;
}

/** Where a memento lies, and whether it lives. */
export interface Place {
  readonly nonce: string;
  readonly commit: number;
  readonly slot: number;
  /** The commit of the notice that removed it; 0 while it is live. */
  readonly removedBy: number;
  /** The name that it was given, as `nameText` writes it; empty without one. */
  readonly name: string;
}

const PACK_LINE = /^p ([0-9a-z]+) ([0-9]+|-) ([0-9]+) ([0-9]+)(?::([0-9,]+))? ([\w-]{43})$/;
const NOTICE_LINE = /^n ([0-9]+|-) ([\w-]{43})$/;
const PLACE = /^([0-9a-z]{6}) ([0-9]{1,15}) ([0-9]{1,9}) ([0-9]{1,15})(?: (.+))?$/s;
const NEW_LINE = 0x0a;

/** Writes a pack's row for the log. */
export function packRow(header: Uint8Array, { token, bodyBytes, parts, slots, accepted }: PackFacts): Buffer {
  const taken = accepted === null ? "" : `:${accepted.join(",")}`;
  const line = `p ${token} ${bodyBytes ?? "-"} ${parts} ${slots}${taken} ${sha256(header)}\n`;
  return Buffer.concat([Buffer.from(line, "latin1"), header]);
}

/** Writes a notice's row for the log. */
export function noticeRow(header: Uint8Array, removals: number | null): Buffer {
  return Buffer.concat([Buffer.from(`n ${removals ?? "-"} ${sha256(header)}\n`, "latin1"), header]);
}

/** The line of a row, as far as there is one. */
export function lineOf(row: Buffer): string {
  const end = row.indexOf(NEW_LINE);
  return row.toString("latin1", 0, end < 0 ? row.length : end);
}

/** Reads a row of the log; DAMAGED where its line is none. */
export function commitOf(commit: number, row: Buffer): CommitRow {
  const line = lineOf(row);
  const header = row.subarray(line.length + 1);
  const [, token, bytes, parts, slots, accepted, digest] = PACK_LINE.exec(line) ?? [];
  if (token !== undefined) {
    return {
      commit,
      line,
      header,
      isWhole: sha256(header) === digest,
      pack: {
        token,
        bodyBytes: bytes === "-" ? null : Number(bytes),
        parts: Number(parts),
        slots: Number(slots),
        accepted: accepted === undefined ? null : accepted.split(",").map(Number),
      },
      removals: null,
    };
  }
  const [, removals, noticeDigest] = NOTICE_LINE.exec(line) ?? [];
  if (removals === undefined) throw damaged(`The row of commit ${commit} is not readable`);
  const isWhole = sha256(header) === noticeDigest;
  return { commit, line, header, isWhole, pack: null, removals: removals === "-" ? null : Number(removals) };
}

/** Reads a memento's place; DAMAGED for anything else. */
export function placeOf(row: Buffer): Place {
  const [, nonce, commit, slot, removedBy, name] = PLACE.exec(row.toString("utf8")) ?? [];
  if (nonce === undefined)
    throw damaged(`A memento's place is not readable: ${JSON.stringify(row.toString().slice(0, 60))}`);
  return { nonce, commit: Number(commit), slot: Number(slot), removedBy: Number(removedBy), name: name ?? "" };
}

/** Writes a memento's place. */
export function placeRow({ nonce, commit, slot, removedBy, name }: Place): string {
  return `${nonce} ${commit} ${slot} ${removedBy}${name === "" ? "" : ` ${name}`}`;
}

/** A hash as a reply gives it: fields and values in turn. */
export type Fields = ReadonlyMap<string, string>;

/** Reads a reply of HGETALL. */
export function fieldsOf(reply: readonly unknown[]): Fields {
  const fields = new Map<string, string>();
  for (let at = 0; at + 1 < reply.length; at += 2) fields.set(String(reply[at]), String(reply[at + 1]));
  return fields;
}

function textOf(fields: Fields, name: string): string {
  const value = fields.get(name);
  if (value === undefined) throw damaged(`The field ${name} of a row is missing`);
  return value;
}

/** A whole number from its decimal digits; DAMAGED for anything else. */
export function numberOf(text: string, what: string): number {
  if (/^[0-9]{1,16}$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw damaged(`${what} is no whole number: ${JSON.stringify(text.slice(0, 60))}`);
}

function jsonOf<T>(text: string, what: string): T {
  try {
    return JSON.parse(text) as T;
  } catch (cause) {
    throw damaged(`${what} is not readable: ${String(cause)}`);
  }
}

// Texts that may be null have a mark before them, so that null is told from the empty text.
const marked = (text: string | null): string => (text === null ? "" : `=${text}`);
const unmarked = (text: string): string | null => (text === "" ? null : text.slice(1));

/** The store's facts. */
export function metaOf(fields: Fields): StoreMeta {
  const sealed = textOf(fields, "sealed");
  if (sealed !== "0" && sealed !== "1") throw damaged("The store's facts are not readable");
  return {
    format: numberOf(textOf(fields, "format"), "The store's format"),
    id: textOf(fields, "id"),
    sealed: sealed === "1",
    created: textOf(fields, "created"),
    check: textOf(fields, "check"),
  };
}

/** Fields and values of the store's facts. */
export function metaFields({ format, id, sealed, created, check }: StoreMeta): readonly string[] {
  return ["format", String(format), "id", id, "sealed", sealed ? "1" : "0", "created", created, "check", check];
}

/** A wrapped key; null for one that was destroyed. */
export function keyOf(id: string, fields: Fields): KeyRecord | null {
  const state = textOf(fields, "state");
  if (state === "dropped") return null;
  const purpose = textOf(fields, "purpose");
  if (purpose !== "data" && purpose !== "integrity")
    throw damaged(`Key ${id} has the purpose ${JSON.stringify(purpose)}`);
  return {
    id,
    purpose,
    group: textOf(fields, "group"),
    ring: textOf(fields, "ring"),
    wrapped: textOf(fields, "wrapped"),
    created: textOf(fields, "created"),
    ...(state === "retired" ? { retired: true as const } : {}),
  };
}

/** Fields and values of a wrapped key that seals. */
export function keyFields({ purpose, group, ring, wrapped, created, retired }: KeyRecord): readonly string[] {
  const state = retired === true ? "retired" : "live";
  return ["state", state, "purpose", purpose, "group", group, "ring", ring, "wrapped", wrapped, "created", created];
}

/** A caretaker, from its version and its JSON text. */
export function caretakerOf(row: string): CaretakerRecord {
  const record = jsonOf<CaretakerRecord>(row.slice(row.indexOf(" ") + 1), "A caretaker");
  if (String(record.version) !== row.slice(0, row.indexOf(" "))) throw damaged("A caretaker has two versions");
  return record;
}

/** The row of a caretaker. */
export function caretakerRow({ name, created, version, policy, check }: CaretakerRecord): string {
  return `${version} ${JSON.stringify({ name, created, version, policy, check })}`;
}

/** A timeline as it stands. */
export function timelineOf(fields: Fields): TimelineState {
  const request = fields.get("request") ?? "";
  if (request !== "" && request !== "pause") throw damaged(`A timeline has the request ${JSON.stringify(request)}`);
  const sequence = numberOf(fields.get("sequence") ?? "0", "A head's sequence");
  return {
    record: timelineRecordOf(fields),
    head: sequence === 0 ? null : { id: textOf(fields, "head"), sequence, check: textOf(fields, "headCheck") },
    lease: leaseOf(fields),
    request: request === "" ? null : request,
  };
}

function timelineRecordOf(fields: Fields): TimelineRecord {
  return {
    key: textOf(fields, "key"),
    caretaker: textOf(fields, "caretaker"),
    originator: textOf(fields, "originator"),
    partition: textOf(fields, "partition"),
    fork: textOf(fields, "fork"),
    // The record's keyed check covers it.
    kind: textOf(fields, "kind") as OriginatorKind,
    created: textOf(fields, "created"),
    forkedFrom: unmarked(textOf(fields, "forkedFrom")),
    check: textOf(fields, "check"),
  };
}

function leaseOf(fields: Fields): Lease {
  const holder = textOf(fields, "holder");
  return {
    epoch: numberOf(textOf(fields, "epoch"), "A lease's epoch"),
    owner: unmarked(textOf(fields, "owner")),
    expiresAt: numberOf(textOf(fields, "expiresAt"), "A lease's end"),
    holder: holder === "" ? null : jsonOf<LeaseHolder>(holder, "A lease's holder"),
    check: textOf(fields, "leaseCheck"),
  };
}

/** Fields and values of a timeline's fixed facts. */
export function timelineFields(record: TimelineRecord): readonly string[] {
  const { key, caretaker, originator, partition, fork, kind, created, forkedFrom, check } = record;
  const names = ["key", key, "caretaker", caretaker, "originator", originator, "partition", partition, "fork", fork];
  return [...names, "kind", kind, "created", created, "forkedFrom", marked(forkedFrom), "check", check];
}

/** Fields and values of a lease. */
export function leaseFields({ epoch, owner, expiresAt, holder, check }: Lease): readonly string[] {
  const held = ["owner", marked(owner), "expiresAt", String(expiresAt)];
  return [
    "epoch",
    String(epoch),
    ...held,
    "holder",
    holder === null ? "" : JSON.stringify(holder),
    "leaseCheck",
    check,
  ];
}

/** An owner as a lease's field has it. */
export const ownerField = marked;
