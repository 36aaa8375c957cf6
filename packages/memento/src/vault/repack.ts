import { MementoError } from "../core/errors.ts";
import type { Random } from "../core/ports.ts";
import { decodePackHeader, FORMAT_VERSION, INCREMENTS_VERSION, type PackHeader } from "../store/header.ts";
import { compressSection, type Compression } from "./compression.ts";
import { recordIn, type OpenedRecord } from "./opened-record.ts";
import { joinFirstSection, splitFirstSection } from "./pack.ts";
import { decodeManifest, type MementoManifest } from "./record.ts";
import { openSection, sealPack, type DataKey, type SealedPack } from "./seal.ts";

/** A pack whose every section is open. */
export interface OpenedPack {
  readonly header: PackHeader;
  /** One for each slot; empty bytes where nothing but the entry was kept. */
  readonly manifests: readonly Uint8Array[];
  /** Section 0 without its list of manifests, then the other sections. */
  readonly sections: readonly Uint8Array[];
}

/** What is to stay of a pack. */
export interface PackSelection {
  /** Slots whose entries stay, ascending; the new pack has only these, in this order. */
  readonly slots: readonly number[];
  /** True: the slot's manifest stays; else it is empty, and nothing can be read of that memento any more. */
  readonly manifest: (slot: number) => boolean;
  /** True: the bytes of this piece stay; asked only for slots whose manifest stays. */
  readonly piece: (slot: number, key: string) => boolean;
}

/** How the new pack is sealed. */
export interface RepackSeal {
  /** null: only guarded against accidents. */
  readonly dataKey: DataKey | null;
  readonly compression: Compression;
  readonly random: Random;
}

/** Opens every section of a pack; `dataKey` is the one that its header names. DAMAGED, naming `where`. */
export function openPack(pack: SealedPack, dataKey: DataKey | null, where: string): OpenedPack {
  const header = decodePackHeader(pack.header, where);
  const [first, ...others] = header.sections.map((_, index) => openSection(pack, header, index, dataKey, where));
  const { manifests, inline } = splitFirstSection(first ?? new Uint8Array(), where);
  if (manifests.length !== header.entries.length)
    throw new MementoError("DAMAGED", `${where} has ${manifests.length} manifests for ${header.entries.length} slots`);
  return { header, manifests, sections: [inline, ...others] };
}

/** A slot's manifest; null where nothing but the entry was kept. DAMAGED. */
export function manifestOf({ header, manifests }: OpenedPack, slot: number): MementoManifest | null {
  const [entry, bytes] = [header.entries[slot], manifests[slot]];
  if (entry === undefined || bytes === undefined || bytes.length === 0) return null;
  return decodeManifest(bytes, entry);
}

/** The record of a slot; null where nothing but the entry was kept. DAMAGED. */
export function recordAt(pack: OpenedPack, slot: number): OpenedRecord | null {
  const [entry, manifest] = [pack.header.entries[slot], manifestOf(pack, slot)];
  const section = (index: number): Uint8Array | undefined => pack.sections[index];
  const sections = { section, sectionSoon: async (index: number) => section(index) };
  return entry === undefined || manifest === null ? null : recordIn(sections, entry, manifest, false);
}

/** A selection of all that some slots have. */
export function wholeSlots(slots: readonly number[]): PackSelection {
  return { slots, manifest: () => true, piece: () => true };
}

/**
 * Seals a pack anew with nothing in it but what was selected. Entries, manifests and the places of pieces stay as they
 * were, and so does every memento's digest; where a piece does not stay there are zeros, which compress to nothing.
 */
export async function repack(
  { header, manifests, sections }: OpenedPack,
  selection: PackSelection,
  { dataKey, compression, random }: RepackSeal,
): Promise<SealedPack> {
  const kept = sections.map((section) => new Uint8Array(section.length));
  let isNewer = false;
  const selected = selection.slots.map((slot) => {
    const manifest = selection.manifest(slot) ? manifestOf({ header, manifests, sections }, slot) : null;
    if (manifest === null) return new Uint8Array();
    for (const [key, { section, offset, bytes, base }] of manifest.held) {
      isNewer ||= base !== null;
      if (!selection.piece(slot, key)) continue;
      kept[section]?.set(sections[section]?.subarray(offset, offset + bytes) ?? [], offset);
    }
    return manifests[slot] ?? new Uint8Array();
  });
  const [inline = new Uint8Array(), ...others] = kept;
  const packed = await Promise.all(
    [joinFirstSection(selected, [inline]), ...others].map(
      async (section) => await compressSection(section, compression),
    ),
  );
  isNewer ||= packed.some(({ codec }) => codec === "gzip" || codec === "brotli");
  const entries = selection.slots.map((slot) => entryOf(header, slot));
  return sealPack(entries, packed, dataKey, random, isNewer ? INCREMENTS_VERSION : FORMAT_VERSION);
}

function entryOf(header: PackHeader, slot: number): PackHeader["entries"][number] {
  const entry = header.entries[slot];
  if (entry !== undefined) return entry;
  throw new MementoError(
    "INVALID_ARGUMENT",
    `The pack has ${header.entries.length} slots, and ${slot} is none of them`,
  );
}
