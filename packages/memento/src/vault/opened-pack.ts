import { decodePackHeader, type PackHeader } from "../store/header.ts";
import { splitFirstSection, type FirstSection } from "./pack.ts";
import { openSection, openSectionElsewhere, type DataKey, type SealedPack } from "./seal.ts";

/** From here on a section is worth the way to another thread and back. */
const ELSEWHERE_BYTES_MIN = 262_144;

/** A pack whose header was read. Its sections are authenticated and opened when they are asked for, each once. */
export class OpenedPack {
  readonly bytes: SealedPack;
  readonly header: PackHeader;
  #first: FirstSection | null = null;
  readonly #sections = new Map<number, Uint8Array>();

  constructor(bytes: SealedPack, header: PackHeader) {
    this.bytes = bytes;
    this.header = header;
  }

  /** The first section, taken apart. DAMAGED, naming `where`, unless header and section are what was sealed under this key. */
  first(dataKey: DataKey | null, where: string): FirstSection {
    this.#first ??= splitFirstSection(openSection(this.bytes, this.header, 0, dataKey, where), where);
    return this.#first;
  }

  /** A section's bytes; of the first one those behind the manifests. DAMAGED, as `first`. */
  section(index: number, dataKey: DataKey | null, where: string): Uint8Array {
    if (index === 0) return this.first(dataKey, where).inline;
    const opened = this.#sections.get(index) ?? openSection(this.bytes, this.header, index, dataKey, where);
    this.#sections.set(index, opened);
    return opened;
  }

  /** The same; what is large is opened by another thread. */
  async sectionSoon(index: number, dataKey: DataKey | null, where: string): Promise<Uint8Array> {
    const isOpen = index === 0 || this.#sections.has(index);
    if (isOpen || (this.header.sections[index]?.plainBytes ?? 0) < ELSEWHERE_BYTES_MIN)
      return this.section(index, dataKey, where);
    const opened = await openSectionElsewhere(this.bytes, this.header, index, dataKey, where);
    this.#sections.set(index, opened);
    return opened;
  }
}

/** Larger packs, sealed and opened, are not worth their memory: what a load costs is then not to open them once more. */
const BYTES_MAX = 1_048_576;
const PACKS_MAX = 4;

/**
 * Packs of several mementos that were opened last, for the loads of the others: what many runs saved at once is loaded at once
 * after a crash. What is found is a pack of the very bytes that were read: what was authenticated of them need not be again.
 */
export class RecentPacks {
  #packs: readonly OpenedPack[] = [];

  /** DAMAGED, naming `where`, when the header is none of a pack. */
  open(bytes: SealedPack, where: string): OpenedPack {
    const known = this.#packs.find(
      ({ bytes: { header, body } }) => isSame(body, bytes.body) && isSame(header, bytes.header),
    );
    if (known !== undefined) return known;
    const header = decodePackHeader(bytes.header, where);
    if (!isWorthIt(bytes, header)) return new OpenedPack(bytes, header);
    // A copy: whoever lent the bytes may change them, and what is kept would seem the same.
    const pack = new OpenedPack({ header: Buffer.from(bytes.header), body: Buffer.from(bytes.body) }, header);
    this.#packs = [pack, ...this.#packs.slice(0, PACKS_MAX - 1)];
    return pack;
  }
}

function isWorthIt({ header: clear, body }: SealedPack, { entries, sections }: PackHeader): boolean {
  const opened = sections.reduce((sum, { plainBytes }) => sum + plainBytes, 0);
  return entries.length > 1 && clear.length + body.length + opened <= BYTES_MAX;
}

const isSame = (one: Uint8Array, other: Uint8Array): boolean =>
  one.length === other.length && Buffer.compare(one, other) === 0;
