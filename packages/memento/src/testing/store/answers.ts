import assert from "node:assert/strict";

import { sha256 } from "../../core/digest.ts";
import { MementoError } from "../../core/errors.ts";
import type { Json } from "../../core/json.ts";
import { decodeHeader, type CommitHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import type { MementoStore } from "../../store/store.ts";
import { headCheck, packTrailer, rowCheck, wrappedText } from "./fixture.ts";
import { collect } from "./kit.ts";

/** Fails unless header and body are together what the fixture made. */
export function expectSoundPack(header: Uint8Array, body: Uint8Array): void {
  assert.ok(isSoundPack(header, body), "a pack's body is not the one that was appended");
}

/**
 * Everything that a store says of what the fixture put into it, as plain data. Throws DAMAGED for a row or a pack whose
 * check does not hold, as a vault would.
 */
export async function allAnswers(store: MementoStore): Promise<Json> {
  const meta = await store.meta();
  if (meta !== null) expectCheck("the store's facts", meta);
  const keys = await store.keys();
  for (const key of keys) {
    if (key.wrapped !== wrappedText(key, key.wrapped.split(".")[0] ?? "")) throw changed(`key ${key.id}`);
  }
  const caretakers = await store.caretakers();
  for (const record of caretakers) expectCheck(`caretaker ${record.name}`, record);
  const timelines = await collect(store.timelines(null));
  for (const { record, lease, head } of timelines) {
    expectCheck(`timeline ${record.key}`, record);
    expectCheck(`the lease of ${record.key}`, lease);
    if (head !== null && head.check !== headCheck(record.key, head.id, head.sequence))
      throw changed(`the head of ${record.key}`);
  }
  const commits = [];
  for await (const { cursor, header, body, accepted } of store.commits(null)) {
    expectSoundCommit(cursor, header, body);
    commits.push({ cursor, accepted, header: Buffer.from(header).toString("utf8"), body: textOf(body) });
  }
  const rows = await collect(store.query(mementoQuery({ order: "ascending", removed: true })));
  const packs = [];
  const names = [];
  for (const { entry } of rows) {
    const pack = await store.read(entry.id);
    packs.push(
      pack && { slot: pack.slot, removed: pack.removed, header: textOf(pack.header), body: textOf(pack.body) },
    );
    if (entry.name !== undefined) names.push(await store.findByName(entry.caretaker, entry.name));
  }
  // Through text, so that no reference into the store is kept and undefined members are gone.
  return JSON.parse(JSON.stringify({ meta, keys, caretakers, timelines, commits, rows, packs, names })) as Json;
}

const textOf = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString("base64url");

function isSoundPack(header: Uint8Array, body: Uint8Array): boolean {
  const bytes = Buffer.from(body);
  return bytes.length >= 32 && bytes.subarray(-32).equals(packTrailer(header, bytes.subarray(0, -32)));
}

function expectSoundCommit(cursor: string, header: Uint8Array, body: Uint8Array | null): void {
  const decoded: CommitHeader = decodeHeader(header, `commit ${cursor}`);
  const sound =
    decoded.type === "notice"
      ? decoded.check === sha256(JSON.stringify(decoded.notice))
      : body === null || isSoundPack(header, body);
  if (!sound) throw changed(`commit ${cursor}`);
}

function expectCheck(what: string, row: { readonly check: string }): void {
  if (row.check !== rowCheck(row)) throw changed(what);
}

function changed(what: string): MementoError {
  return new MementoError("DAMAGED", `${what} was changed: its check does not hold`);
}
