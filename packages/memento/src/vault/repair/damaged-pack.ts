import { isMementoError, MementoError } from "../../core/errors.ts";
import type { MementoEntry } from "../../core/memento.ts";
import type { TimelineState } from "../../core/timeline.ts";
import { decodePackHeader, encodeHeader, FORMAT_VERSION, type PackHeader } from "../../store/header.ts";
import { mementoQuery } from "../../store/query.ts";
import type { SalvagedPack } from "../../store/store.ts";
import { DEFAULT_COMPRESSION } from "../compression.ts";
import { splitFirstSection } from "../pack.ts";
import { openPack, repack, wholeSlots, type OpenedPack } from "../repack.ts";
import { openSection } from "../seal.ts";
import type { Vault } from "../vault.ts";

/** A pack that is not what was written. */
export interface DamagedPack {
  /** The first memento that the index has in it; names the pack. */
  readonly id: string;
  readonly slots: SalvagedPack["mementos"];
  /** null where it does not read. */
  readonly header: PackHeader | null;
  readonly headerBytes: Uint8Array | null;
  /** What opens of it: lost sections are zeros. null when its manifests are lost. */
  readonly rest: OpenedPack | null;
  readonly problem: string;
}

/** Looks at the pack of a memento; null when it is whole, or when the index has none. */
export async function examinePack(vault: Vault, id: string): Promise<DamagedPack | null> {
  // The store's own reading checks what it has around the pack besides.
  const problem = await problemOf(vault, id);
  const salvaged = problem === null ? null : await salvageOr(vault, id);
  if (problem === null || salvaged === null) return null;
  const { mementos: slots, header: headerBytes, body } = salvaged;
  const first = slots[0]?.id ?? id;
  const header = headerBytes === null ? null : readable(headerBytes);
  const found = { id: first, slots, header, headerBytes: header === null ? null : headerBytes };
  const rest =
    header === null || headerBytes === null || body === null
      ? null
      : await whatOpens(vault, { header: headerBytes, body }, header);
  return { ...found, rest, problem };
}

async function problemOf(vault: Vault, id: string): Promise<string | null> {
  try {
    const stored = await vault.store.read(id);
    if (stored === null) return `Memento ${id} cannot be read`;
    const header = decodePackHeader(stored.header, `the pack of memento ${id}`);
    if (stored.body !== null) await openWhole(vault, { header: stored.header, body: stored.body }, header);
    if (stored.body !== null || stored.removed) return null;
    return `The body of the pack of memento ${id} is gone`;
  } catch (error) {
    if (isDamage(error)) return error.message;
    throw error;
  }
}

/** Opens a pack with the keys of its vault. DAMAGED. */
export async function openWhole(
  vault: Vault,
  pack: { readonly header: Uint8Array; readonly body: Uint8Array },
  header: PackHeader,
): Promise<OpenedPack> {
  const where = `the pack of memento ${header.entries[0]?.id ?? "none"}`;
  if (header.dataKey === null && vault.meta.sealed)
    throw new MementoError("DAMAGED", `${where} is not sealed, in a sealed store`);
  return openPack(pack, await dataKeyOf(vault, header), where);
}

/** Seals an opened pack under this vault's key, and puts it in the place of whatever is there. */
export async function putPack(vault: Vault, ids: readonly string[], opened: OpenedPack): Promise<void> {
  const { header } = opened;
  const sealing = vault.meta.sealed
    ? ((await vault.dataKeys?.forSealing(header.entries[0]?.caretaker ?? "")) ?? null)
    : null;
  const codec = header.sections.find((section) => section.codec !== "none")?.codec;
  const slots = wholeSlots(header.entries.map((_, slot) => slot));
  const pack = await repack(opened, slots, {
    dataKey: sealing?.key ?? null,
    compression: codec === undefined ? DEFAULT_COMPRESSION : { codec },
    random: vault.random,
  });
  const dataKey = sealing?.record ?? null;
  const replaced = await vault.store.replacePack({ ids, ...pack, expectedHeaderDigest: null, dataKey });
  if (!replaced) throw new MementoError("PLAN_MOVED", `The pack of memento ${ids[0]} is no longer where it was`);
  if (sealing !== null) await vault.dataKeys?.stored(sealing.key.id);
}

/** Leaves nothing of a pack but a header, which names its mementos as far as the index knows them. All of them are removed. */
export async function emptyPack(vault: Vault, damaged: DamagedPack): Promise<void> {
  const { slots, headerBytes } = damaged;
  const header =
    headerBytes !== null && (await isBelievable(vault, damaged)) ? headerBytes : await bareHeader(vault, slots);
  const ids = slots.map(({ id }) => id);
  await vault.store.replacePack({ ids, header, body: null, expectedHeaderDigest: null, dataKey: null });
}

/** True for a header under which something opens, and else for one that says nothing that the index and the timelines deny. */
async function isBelievable({ store }: Vault, { header, rest, slots }: DamagedPack): Promise<boolean> {
  if (rest !== null) return true;
  for (const { id, slot } of slots) {
    const entry = header?.entries[slot];
    if (entry?.id !== id || !fits(entry, await store.timeline(entry.timeline))) return false;
  }
  return true;
}

/** True when an entry may well be of a timeline. */
function fits({ caretaker, originator, kind, epoch }: MementoEntry, state: TimelineState | null): boolean {
  if (state === null) return true;
  const { record, lease } = state;
  return (
    caretaker === record.caretaker && originator === record.originator && kind === record.kind && epoch <= lease.epoch
  );
}

async function bareHeader(vault: Vault, slots: DamagedPack["slots"]): Promise<Uint8Array> {
  const entries: MementoEntry[] = [];
  for (const { id, slot } of slots) {
    const entry = await emptyEntry(vault, id);
    // Slots that were refused are nobody's; something must stand there all the same.
    while (entries.length < slot) entries.push({ ...entry, id: entry.id.replace(/.{6}$/u, "000000") });
    entries[slot] = entry;
  }
  const { sealed } = vault.meta;
  return encodeHeader({
    v: FORMAT_VERSION,
    type: "pack",
    suite: sealed ? "A256GCM" : "S256",
    dataKey: sealed ? "lost" : null,
    nonce: "",
    sections: [{ codec: "none", plainBytes: 0, sealedBytes: 0 }],
    entries,
  });
}

/**
 * What is known of a memento whose header is lost: its id, what its timeline says, and the epoch of the one before it. It had
 * that or a higher one; by a lower one, what is left of the timeline could not be appended anywhere else.
 */
async function emptyEntry({ store }: Vault, id: string): Promise<MementoEntry> {
  const [timeline = "", sequence = "1"] = id.split("-");
  // A driver that keeps entries beside the packs still knows all of it.
  const state: TimelineState | null = await store.timeline(timeline);
  const known = await entryInIndex(store, timeline, id);
  if (known !== null && fits(known, state)) return known;
  const before = await lastBefore(store, timeline, Number(sequence));
  return {
    id,
    timeline,
    sequence: Number(sequence),
    parent: null,
    epoch: before?.epoch ?? 0,
    generation: before?.generation ?? 0,
    caretaker: state?.record.caretaker ?? "lost",
    originator: state?.record.originator ?? "lost",
    kind: state?.record.kind ?? "value",
    reason: "save",
    status: "saved",
    created: "1970-01-01T00:00:00.000Z",
    labels: {},
    metadata: {},
    sizes: { logicalBytes: 0, heldBytes: 0 },
  };
}

/** The last memento before a place that can still be read, looked for from the beginning. */
async function lastBefore(store: Vault["store"], timeline: string, sequence: number): Promise<MementoEntry | null> {
  let last: MementoEntry | null = null;
  try {
    for await (const { entry } of store.query(mementoQuery({ timeline, removed: true, order: "ascending" }))) {
      if (entry.sequence >= sequence) break;
      last = entry;
    }
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
  return last;
}

async function entryInIndex(store: Vault["store"], timeline: string, id: string): Promise<MementoEntry | null> {
  try {
    for await (const { entry } of store.query(mementoQuery({ timeline, removed: true })))
      if (entry.id === id) return entry;
    return null;
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

/** The sections that open, the others as zeros; null when the manifests are not among them. */
async function whatOpens(
  vault: Vault,
  pack: { readonly header: Uint8Array; readonly body: Uint8Array },
  header: PackHeader,
): Promise<OpenedPack | null> {
  try {
    const dataKey = await dataKeyOf(vault, header);
    const where = `the pack of memento ${header.entries[0]?.id ?? "none"}`;
    const { manifests, inline } = splitFirstSection(openSection(pack, header, 0, dataKey, where), where);
    if (manifests.length !== header.entries.length) return null;
    const others = header.sections.slice(1).map(({ plainBytes }, index) => {
      try {
        return openSection(pack, header, index + 1, dataKey, where);
      } catch (error) {
        if (isDamage(error)) return new Uint8Array(plainBytes);
        throw error;
      }
    });
    return { header, manifests, sections: [inline, ...others] };
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

function readable(header: Uint8Array): PackHeader | null {
  try {
    return decodePackHeader(header, "the pack");
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

async function dataKeyOf(
  { dataKeys }: Vault,
  { dataKey }: PackHeader,
): Promise<Awaited<ReturnType<NonNullable<Vault["dataKeys"]>["forOpening"]>> | null> {
  return dataKey === null || dataKeys === null ? null : await dataKeys.forOpening(dataKey);
}

async function salvageOr({ store }: Vault, id: string): Promise<SalvagedPack | null> {
  try {
    return await store.salvage(id);
  } catch (error) {
    // Where the index itself is damaged, that is mended first.
    if (isDamage(error)) return null;
    throw error;
  }
}

/** True for what is told of bytes that are not what was written. */
export function isDamage(error: unknown): error is MementoError {
  return (
    isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN") || isMementoError(error, "NOT_FOUND")
  );
}
