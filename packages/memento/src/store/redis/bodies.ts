import { MementoError } from "../../core/errors.ts";
import { randomText } from "../../core/ids.ts";
import type { Random } from "../../core/ports.ts";
import type { KeyRecord } from "../store.ts";
import type { StoreCalls } from "./calls.ts";
import { damaged } from "./failure.ts";
import type { Argument } from "./link.ts";
import { DISCARD, LEFTOVERS, PART } from "./lua/commits.ts";
import { keyFields, type CommitRow } from "./rows.ts";

/** Larger bodies are written in parts of this size before their commit: one command stays short, and so does its hold on the server. */
export const PART_BYTES = 8 * 1024 * 1024;

const TOKEN_CHARACTERS = 16;
/** A body that was begun so long ago is of a process that is gone. */
const LEFTOVER_MS = 60 * 60 * 1_000;

/** A body that is ready for its commit. */
export interface PlacedBody {
  readonly token: string;
  readonly bodyBytes: number | null;
  /** 0 where it goes with the commit itself. */
  readonly parts: number;
  readonly inline: Uint8Array;
}

/** Brings a large body to the server, in parts that nobody sees before they are committed; a small one goes with its commit. */
export async function placeBody(calls: StoreCalls, body: Uint8Array | null, random: Random): Promise<PlacedBody> {
  const token = randomText(random, TOKEN_CHARACTERS);
  const bodyBytes = body?.byteLength ?? null;
  if (body === null || body.byteLength <= PART_BYTES)
    return { token, bodyBytes, parts: 0, inline: body ?? new Uint8Array() };
  const parts = Math.ceil(body.byteLength / PART_BYTES);
  const { keys } = calls;
  for (let part = 0; part < parts; part++) {
    const bytes = body.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
    const { outcome } = await calls.write(
      PART,
      [keys.pending, keys.bodyPart(token, part)],
      [`${token} ${parts}`, String(part), bytes],
    );
    if (outcome === "lost") throw clearedAway();
  }
  return { token, bodyBytes, parts, inline: new Uint8Array() };
}

/** Takes a body back that no commit took. */
export async function discardBody(calls: StoreCalls, { token, parts }: PlacedBody): Promise<void> {
  if (parts > 0)
    await calls.write(DISCARD, [calls.keys.pending, ...calls.keys.bodies(token, parts)], [`${token} ${parts}`]);
}

/** What a pack brings with it to a script that commits it, and the keys of it. */
export function packArguments(
  calls: StoreCalls,
  body: PlacedBody,
  sealingKey: string | null,
  newKey: KeyRecord | null,
): { readonly keys: readonly string[]; readonly args: readonly Argument[] } {
  const { keys } = calls;
  const fields = newKey === null ? [] : keyFields(newKey);
  const parts = body.bodyBytes === null ? "-" : String(body.parts);
  return {
    keys: [keys.pending, keys.body(body.token), keys.keys, keys.key(sealingKey), keys.key(newKey?.id ?? null)],
    args: [
      parts,
      `${body.token} ${body.parts}`,
      body.inline,
      sealingKey ?? "",
      String(fields.length),
      ...(newKey === null ? [] : [newKey.id, ...fields]),
    ],
  };
}

/** The body of a commit. null: it was reclaimed, or there is none. DAMAGED when it is not as long as it was; undefined when its parts were replaced meanwhile, and the commit is to be read again. */
export async function bodyOf(
  calls: StoreCalls,
  { commit, pack }: CommitRow,
  inline: unknown,
): Promise<Uint8Array | null | undefined> {
  if (pack === null || pack.bodyBytes === null) return null;
  if (pack.parts === 0) {
    if (inline instanceof Buffer && inline.byteLength === pack.bodyBytes) return inline;
    const found = inline instanceof Buffer ? inline.byteLength : "no";
    throw damaged(`The body of commit ${commit} has ${found} bytes, not ${pack.bodyBytes}`);
  }
  const parts: Buffer[] = [];
  for (let part = 0; part < pack.parts; part++) {
    const bytes = await calls.link.get(calls.keys.bodyPart(pack.token, part));
    if (bytes === null) return undefined;
    parts.push(bytes);
  }
  const body = Buffer.concat(parts);
  if (body.byteLength === pack.bodyBytes) return body;
  throw damaged(`The body of commit ${commit} has ${body.byteLength} bytes, not ${pack.bodyBytes}`);
}

/** How many bodies, and bytes of them, processes have left that ended while they wrote. */
export async function countLeftovers(calls: StoreCalls): Promise<{ readonly bodies: number; readonly bytes: number }> {
  const { rest } = await calls.read(LEFTOVERS, [calls.keys.pending], [String(LEFTOVER_MS), "0"]);
  return { bodies: Number(rest[0]), bytes: Number(rest[1]) };
}

/** Takes away what processes have left that ended while they wrote a large body; returns its bytes. */
export async function dropLeftovers(calls: StoreCalls): Promise<number> {
  let bytes = 0;
  for (;;) {
    const { rest } = await calls.write(LEFTOVERS, [calls.keys.pending], [String(LEFTOVER_MS), "1"]);
    bytes += Number(rest[1]);
    if (Number(rest[0]) === 0) return bytes;
  }
}

/** The error of a body whose parts were taken for a dead process's. */
export function clearedAway(): MementoError {
  return new MementoError("STORE_UNREACHABLE", "Writing the body took so long that its first parts were cleared away");
}
