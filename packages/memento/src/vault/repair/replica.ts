import { isMementoError } from "../../core/errors.ts";
import { entryText } from "../../store/entry-text.ts";
import { decodePackHeader } from "../../store/header.ts";
import { manifestOf, type OpenedPack } from "../repack.ts";
import type { Vault } from "../vault.ts";
import { RecordJudge } from "../verify/record-judge.ts";
import { RecordTable } from "../verify/record-table.ts";
import type { VerifyWalk } from "../verify/verify-walk.ts";
import { isDamage, openWhole, type DamagedPack } from "./damaged-pack.ts";

/** A place that may still have what is lost here. */
export interface Replica {
  /** What people call it; a URL without secrets, or a file. */
  readonly name: string;
  readonly vault: Vault;
}

/** A pack of a replica that may take the place of the damaged one, or why none may. */
export type ReplicaAnswer = { readonly pack: OpenedPack } | { readonly why: string };

/**
 * Asks a replica for a damaged pack: the same mementos in the same slots, each whole there, and each with the digest that
 * the records around it in this store name.
 */
export async function askReplica(
  { vault: replica }: Replica,
  damaged: DamagedPack,
  here: { readonly vault: Vault; readonly walk: VerifyWalk },
): Promise<ReplicaAnswer> {
  try {
    const pack = await packAt(replica, damaged);
    if ("why" in pack) return pack;
    const why =
      differsFrom(pack.pack, damaged, here.walk) ??
      (await isCutThere(replica, pack.pack, damaged)) ??
      contradicts(pack.pack, damaged, { replica, ...here }) ??
      lacks(pack.pack, damaged, here.walk);
    return why === null ? pack : { why };
  } catch (error) {
    if (isDamage(error) || isMementoError(error, "KEY_WRONG") || isMementoError(error, "KEY_MISSING"))
      return { why: error.message };
    throw error;
  }
}

async function packAt(replica: Vault, { slots }: DamagedPack): Promise<ReplicaAnswer> {
  for (const { id } of slots) {
    const stored = await replica.store.read(id);
    if (stored === null) continue;
    if (stored.body === null) return { why: `it has let the body of memento ${id} go` };
    const header = decodePackHeader(stored.header, `memento ${id} of the replica`);
    return { pack: await openWhole(replica, { header: stored.header, body: stored.body }, header) };
  }
  return { why: "it has none of these mementos" };
}

/** Its slots are those of the damaged pack, and it says the same of them as this store's header and index. */
function differsFrom({ header }: OpenedPack, damaged: DamagedPack, { table }: VerifyWalk): string | null {
  for (const { id, slot } of damaged.slots) {
    const entry = header.entries[slot];
    if (entry?.id !== id) return `it does not have memento ${id} in the same pack`;
    if (table.isLive(id) && !table.agrees(entry)) return `it says other things of memento ${id} than the index`;
  }
  const { header: own } = damaged;
  if (own === null) return null;
  const same =
    own.entries.length === header.entries.length &&
    own.entries.every((entry, slot) => sameText(entry, header.entries[slot]));
  return same ? null : "it says other things of these mementos than the header that is left here";
}

function sameText(one: OpenedPack["header"]["entries"][number], other: typeof one | undefined): boolean {
  return other !== undefined && entryText(one) === entryText(other);
}

/** Every memento that lives here must be whole there: what garbage collection took there is not there to be had. */
async function isCutThere(replica: Vault, pack: OpenedPack, { slots }: DamagedPack): Promise<string | null> {
  const judge = new RecordJudge(replica, new RecordTable());
  for (const { id, slot, removed } of slots) {
    if (removed) continue;
    const { problem } = await judge.slot(pack, slot, true);
    if (problem !== null) return `memento ${id} is damaged there too: ${problem}`;
  }
  return null;
}

/** The chain: what the next memento and the one before say of it. */
function contradicts(
  pack: OpenedPack,
  { slots, header }: DamagedPack,
  { replica, vault, walk }: { readonly replica: Vault; readonly vault: Vault; readonly walk: VerifyWalk },
): string | null {
  let witnesses = header === null ? 0 : 1;
  for (const { id, slot } of slots) {
    const manifest = manifestOf(pack, slot);
    if (manifest === null) continue;
    if (walk.judge.expected.has(id)) {
      witnesses += 1;
      if (walk.judge.expected.get(id) !== manifest.digest)
        return `its memento ${id} has another digest than the next one here names`;
    }
    const parent = pack.header.entries[slot]?.parent ?? null;
    if (parent === null || walk.table.state(parent) !== "opened") continue;
    witnesses += 1;
    if (manifest.parentDigest === null || !walk.table.hasDigest(parent, manifest.parentDigest))
      return `its memento ${id} does not follow the ${parent} that is here`;
  }
  // Where nothing around it is left to ask, a copy of this very store is believed, and no other.
  const isCopy = replica.meta.id === vault.meta.id;
  return witnesses > 0 || isCopy
    ? null
    : "nothing here can say whether it is the same, and it is no copy of this store";
}

/** Pieces that others here need must be in it. */
function lacks(pack: OpenedPack, { slots }: DamagedPack, { judge }: VerifyWalk): string | null {
  for (const { holder, key, digest } of judge.wanted) {
    const place = slots.find(({ id }) => id === holder);
    if (place === undefined || key === null) continue;
    if (manifestOf(pack, place.slot)?.held.get(key)?.digest !== digest)
      return `it has another piece ${key} of memento ${holder} than is needed here`;
  }
  return null;
}
