import { isMementoError, type ErrorCode } from "../../../core/errors.ts";
import { decodePackHeader } from "../../header.ts";
import type { KeyRecord, MementoStore, StoredMemento } from "../../store.ts";
import type { ReplicaAuthority } from "./authority.ts";

/** A pack that was damaged on the primary, and what became of it. */
export interface HealReport {
  /** The memento by which it was met. */
  readonly id: string;
  /** What was wrong with it. */
  readonly problem: string;
  /** The URL of the replica from which it was put back; null when none could help. */
  readonly from: string | null;
  /** Why the others could not. */
  readonly refused: readonly { readonly replica: string; readonly why: string }[];
}

/** These say that this replica cannot help, and not that the store fails. */
const NO_HELP: ReadonlySet<string> = new Set<ErrorCode>([
  "DAMAGED",
  "FORMAT_UNKNOWN",
  "KEY_RETIRED",
  "INVALID_ARGUMENT",
  "STORE_UNREACHABLE",
  "IO_FAILED",
  "LOCKED",
]);

/** What is wrong with a memento as it was read, as far as it shows; null when nothing is. */
export async function problemOf(
  id: string,
  { slot, header, body, removed }: StoredMemento,
  authority: ReplicaAuthority,
): Promise<string | null> {
  const where = `the pack of memento ${id}`;
  try {
    const understood = decodePackHeader(header, where);
    if (understood.entries[slot]?.id !== id) return `Slot ${slot} of its pack is not memento ${id}`;
    if (body === null) return removed ? null : `The body of ${where} is gone`;
    const wanted = understood.sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
    if (body.byteLength !== wanted) return `${where} has ${body.byteLength} bytes where ${wanted} were written`;
  } catch (error) {
    if (!isMementoError(error, "DAMAGED") && !isMementoError(error, "FORMAT_UNKNOWN")) throw error;
    return error.message;
  }
  return (await authority.isWhole?.({ header, body })) === false
    ? `${where} was changed: its seal does not hold`
    : null;
}

/**
 * Puts a replica's pack in the place of the primary's. The replica's must be whole, of the same entries (the store sees to
 * that, as far as its own header still reads), and under a key that the primary has and seals with: bytes that a secure
 * deletion took away never come back.
 */
export async function healFrom(
  id: string,
  problem: string,
  primary: MementoStore,
  replicas: readonly MementoStore[],
  authority: ReplicaAuthority,
): Promise<HealReport> {
  const refused: { replica: string; why: string }[] = [];
  const keys = await primary.keys();
  for (const replica of replicas) {
    try {
      const why = await putBack(id, primary, replica, keys, authority);
      if (why === null) return { id, problem, from: replica.url, refused };
      refused.push({ replica: replica.url, why });
    } catch (error) {
      if (!isMementoError(error) || !NO_HELP.has(error.code)) throw error;
      refused.push({ replica: replica.url, why: error.message });
    }
  }
  return { id, problem, from: null, refused };
}

async function putBack(
  id: string,
  primary: MementoStore,
  replica: MementoStore,
  keys: readonly KeyRecord[],
  authority: ReplicaAuthority,
): Promise<string | null> {
  const stored = await readThere(id, replica);
  if (typeof stored === "string") return stored;
  const { header, body } = stored;
  if (body === null) return "it has let the body go";
  const damage = await problemOf(id, stored, authority);
  if (damage !== null) return `it is damaged there too: ${damage}`;
  const { dataKey } = decodePackHeader(header, `memento ${id} of the replica`);
  if (dataKey !== null && !keys.some((key) => key.id === dataKey)) return "its key was destroyed here";
  const replaced = await primary.replacePack({ ids: [id], header, body, expectedHeaderDigest: null, dataKey: null });
  return replaced ? null : "the memento is not here";
}

/** A replica's pack, or why it has none to give: whatever keeps it from that, another one may help. */
async function readThere(id: string, replica: MementoStore): Promise<StoredMemento | string> {
  try {
    return (await replica.read(id)) ?? "it does not have the memento";
  } catch (error) {
    if (!isMementoError(error)) throw error;
    return error.message;
  }
}
