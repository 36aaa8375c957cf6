import { MementoError } from "../core/errors.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { Random } from "../core/ports.ts";
import { keepShape } from "../core/shapes.ts";
import { entryText } from "../store/entry-text.ts";
import { encodePackHeader, FORMAT_VERSION, INCREMENTS_VERSION, type PackHeader } from "../store/header.ts";
import { compressSection, type CompressedSection, type Compression } from "./compression.ts";
import type { DirectoryLayer } from "./directory.ts";
import { manifestText, recordDigest, type HeldPiece, type PlacedPiece } from "./record.ts";
import { sealUnder, type DataKey, type SealedPack } from "./seal.ts";

/** One memento on its way into a pack. */
export interface PackItem {
  readonly entry: MementoEntry;
  readonly parentDigest: string | null;
  readonly base: string | null;
  readonly layer: DirectoryLayer;
  readonly held: readonly HeldPiece[];
}

/** A sealed pack and the digests of its mementos, slot by slot. */
export interface BuiltPack extends SealedPack {
  readonly digests: readonly string[];
}

/** Pieces that together stay below this travel in section 0, beside the manifests: one seal less. */
const INLINE_BYTES_MAX = 16_384;
/**
 * Of a larger pack the pieces below this do, as far as that goes: later mementos go on needing a small piece that does not
 * change, and would have to open the large ones beside it.
 */
const SMALL_BYTES_MAX = 4_096;
/** A section closes when it has grown past this, so that one piece can be read without opening all others. */
const SECTION_BYTES_TARGET = 4_194_304;
const SECTIONS_MAX = 256;

/**
 * Lays mementos out in a pack and seals it. Section 0 is: slot count, then each manifest's length (all u32 big endian),
 * the manifests, then inline pieces; every other section is pieces one after the other. Offsets of inline pieces count
 * from the end of the manifests.
 */
export function buildPack(
  items: readonly PackItem[],
  dataKey: DataKey | null,
  random: Random,
  compression: Compression,
): BuiltPack | Promise<BuiltPack> {
  const layout = new SectionLayout(isAllInline(items));
  const manifests = placeAll(items, layout);
  const [first, ...others] = layout.sections;
  const compressed = [
    compressSection(joinFirstSection(manifests.map(utf8), first?.parts ?? []), compression),
    ...others.map(({ parts, section }) => section ?? compressSection(joined(parts), compression)),
  ];
  const entries = items.map(({ entry }) => entry);
  const laid = { entries: entries.map(entryText), manifests, hasDeltas: haveDeltas(items), dataKey };
  const seal = (ready: readonly CompressedSection[]): BuiltPack => sealed(laid, ready, random, entries);
  return allReady(compressed)
    ? seal(compressed)
    : Promise.all(compressed.map(async (section) => await section)).then(seal);
}

/** Mementos as they are laid out in a pack, to be sealed elsewhere: all of it can be cloned into another thread. */
export interface LaidPack {
  /** Each entry's text. */
  readonly entries: readonly string[];
  readonly manifests: readonly string[];
  /** The pieces behind the manifests. */
  readonly inline: Uint8Array;
  readonly hasDeltas: boolean;
  readonly dataKey: DataKey | null;
  readonly compression: Compression;
}

/** Lays mementos out as `buildPack` does; null where they have more pieces than go into section 0. */
export function layOutPack(
  items: readonly PackItem[],
  dataKey: DataKey | null,
  compression: Compression,
): LaidPack | null {
  if (!isAllInline(items)) return null;
  const layout = new SectionLayout(true);
  const manifests = placeAll(items, layout);
  return {
    entries: items.map(({ entry }) => entryText(entry)),
    manifests,
    // What stands in a larger buffer would be cloned with all of it.
    inline: new Uint8Array(joined(layout.sections[0]?.parts ?? [])),
    hasDeltas: haveDeltas(items),
    dataKey: dataKey === null ? null : { id: dataKey.id, key: Uint8Array.from(dataKey.key) },
    compression,
  };
}

/** Compresses and seals what was laid out. */
export async function buildLaidPack(
  { entries, manifests, inline, hasDeltas, dataKey, compression }: LaidPack,
  random: Random,
): Promise<BuiltPack> {
  const section = await compressSection(joinFirstSection(manifests.map(utf8), [inline]), compression);
  return sealed({ entries, manifests, hasDeltas, dataKey }, [section], random, null);
}

function sealed(
  { entries, manifests, hasDeltas, dataKey }: Pick<LaidPack, "entries" | "manifests" | "hasDeltas" | "dataKey">,
  sections: readonly CompressedSection[],
  random: Random,
  known: readonly MementoEntry[] | null,
): BuiltPack {
  const encode = (header: Omit<PackHeader, "entries">): Uint8Array => encodePackHeader(header, entries, known);
  return {
    ...sealUnder(encode, sections, dataKey, random, versionOf(hasDeltas, sections)),
    digests: entries.map((entry, slot) => recordDigest(entry, manifests[slot] ?? "")),
  };
}

/** Gives each piece its place, and each memento the manifest that says it. */
function placeAll(items: readonly PackItem[], layout: SectionLayout): readonly string[] {
  return items.map(({ parentDigest, base, layer, held }) =>
    manifestText(
      parentDigest,
      base,
      layer,
      held.map((piece) => layout.place(piece)),
    ),
  );
}

function isAllInline(items: readonly PackItem[]): boolean {
  const total = items.reduce((sum, { held }) => sum + held.reduce((bytes, piece) => bytes + piece.bytes.length, 0), 0);
  return total <= INLINE_BYTES_MAX;
}

const haveDeltas = (items: readonly PackItem[]): boolean =>
  items.some(({ held }) => held.some(({ base }) => base !== null));

const utf8 = (text: string): Buffer => Buffer.from(text, "utf8");

/** One part stays the bytes that it is: they may be many. */
const joined = (parts: readonly Uint8Array[]): Uint8Array => (parts.length === 1 && parts[0]) || Buffer.concat(parts);

const allReady = (
  sections: readonly (CompressedSection | Promise<CompressedSection>)[],
): sections is CompressedSection[] => !sections.some((section) => section instanceof Promise);

/** The lowest format version whose readers understand the pack. */
function versionOf(hasDeltas: boolean, sections: readonly CompressedSection[]): number {
  const newer = hasDeltas || sections.some(({ codec }) => codec === "gzip" || codec === "brotli");
  return newer ? INCREMENTS_VERSION : FORMAT_VERSION;
}

/** Puts section 0 together: the number of slots, each manifest's length, the manifests, inline pieces. */
export function joinFirstSection(manifests: readonly Uint8Array[], inline: readonly Uint8Array[]): Uint8Array {
  const index = Buffer.alloc(4 + 4 * manifests.length);
  index.writeUInt32BE(manifests.length, 0);
  for (const [slot, manifest] of manifests.entries()) index.writeUInt32BE(manifest.length, 4 + 4 * slot);
  return Buffer.concat([index, ...manifests, ...inline]);
}

/** Section 0 of a pack, taken apart. */
export interface FirstSection {
  readonly manifests: readonly Uint8Array[];
  readonly inline: Uint8Array;
}

/** Takes section 0 apart; DAMAGED, naming `where`, when its lengths do not add up. */
export function splitFirstSection(section: Uint8Array, where: string): FirstSection {
  const view = Buffer.from(section.buffer, section.byteOffset, section.byteLength);
  const count = view.length >= 4 ? view.readUInt32BE(0) : -1;
  let position = 4 + 4 * count;
  if (count < 0 || position > view.length) throw new MementoError("DAMAGED", `${where} has no list of slots`);
  const manifests: Uint8Array[] = [];
  for (let slot = 0; slot < count; slot++) {
    const end = position + view.readUInt32BE(4 + 4 * slot);
    if (end > view.length) throw new MementoError("DAMAGED", `${where} ends inside the manifest of slot ${slot}`);
    manifests.push(view.subarray(position, end));
    position = end;
  }
  return { manifests, inline: view.subarray(position) };
}

interface LaidSection {
  /** Of the first one, those behind the manifests. */
  readonly parts: Uint8Array[];
  bytes: number;
  /** null: compressed once all parts are there. */
  readonly section: Promise<CompressedSection> | null;
}

class SectionLayout {
  readonly sections: LaidSection[] = [{ parts: [], bytes: 0, section: null }];
  /** The section that large pieces go to now; the first one as long as there is none. */
  #open = 0;
  readonly #allInline: boolean;

  constructor(allInline: boolean) {
    this.#allInline = allInline;
  }

  place(piece: HeldPiece): PlacedPiece {
    const number = this.#isInline(piece.bytes.length) ? 0 : this.#sectionFor(piece);
    const { parts, bytes: offset } = this.#at(number);
    parts.push(piece.bytes);
    this.#at(number).bytes += piece.bytes.length;
    const { key, encoding, contentBytes, digest, bytes, base } = piece;
    return { key, encoding, contentBytes, digest, bytes, base, section: number, offset };
  }

  #at(number: number): LaidSection {
    const section = this.sections[number];
    if (section === undefined) throw new RangeError(`There is no section ${number}`);
    return section;
  }

  #isInline(bytes: number): boolean {
    if (this.#allInline) return true;
    return bytes < SMALL_BYTES_MAX && this.#at(0).bytes + bytes <= INLINE_BYTES_MAX;
  }

  #sectionFor({ section }: HeldPiece): number {
    // The last one that there may be is for all that is left.
    const isRoom = this.sections.length < SECTIONS_MAX - 1;
    if (section !== null && isRoom) return this.#add(section);
    if (this.#open === 0 || (this.#at(this.#open).bytes >= SECTION_BYTES_TARGET && isRoom))
      this.#open = this.#add(null);
    return this.#open;
  }

  #add(section: Promise<CompressedSection> | null): number {
    return this.sections.push({ parts: [], bytes: 0, section }) - 1;
  }
}

keepShape(new SectionLayout(true));
