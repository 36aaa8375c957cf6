import { createCipheriv, createDecipheriv, createHash, type CipherGCM } from "node:crypto";

import { MementoError } from "../core/errors.ts";
import type { MementoEntry } from "../core/memento.ts";
import type { Random } from "../core/ports.ts";
import { encodeHeader, type PackHeader, type PackSection } from "../store/header.ts";
import { decompressSection, decompressSectionElsewhere, type CompressedSection } from "./compression.ts";

/** A data key in the clear; lives in memory only. */
export interface DataKey {
  readonly id: string;
  readonly key: Uint8Array;
}

/** A pack ready for the store. */
export interface SealedPack {
  readonly header: Uint8Array;
  readonly body: Uint8Array;
}

const TAG_BYTES = 16;
const DIGEST_BYTES = 32;

/**
 * Seals compressed sections under one header. The header and the section's number are authenticated with each section.
 * `version` is the lowest format version whose readers understand everything in it.
 */
export function sealPack(
  entries: readonly MementoEntry[],
  packed: readonly CompressedSection[],
  dataKey: DataKey | null,
  random: Random,
  version: number,
): SealedPack {
  return sealUnder((header) => encodeHeader({ ...header, entries }), packed, dataKey, random, version);
}

/** The same where the caller has another way to write a header with its entries. */
export function sealUnder(
  encode: (header: Omit<PackHeader, "entries">) => Uint8Array,
  packed: readonly CompressedSection[],
  dataKey: DataKey | null,
  random: Random,
  version: number,
): SealedPack {
  const guardBytes = dataKey === null ? DIGEST_BYTES : TAG_BYTES;
  const first = dataKey === null ? null : takeSeal(dataKey, random);
  const header = encode({
    v: version,
    type: "pack",
    suite: dataKey === null ? "S256" : "A256GCM",
    dataKey: dataKey?.id ?? null,
    nonce: first === null ? "" : Buffer.from(first.nonce).toString("base64url"),
    sections: packed.map(({ codec, plainBytes, bytes }) => ({
      codec,
      plainBytes,
      sealedBytes: bytes.length + guardBytes,
    })),
  });
  const parts = packed.map(({ bytes }, index) => {
    if (dataKey === null || first === null) return Buffer.concat([bytes, digestOf(header, index, bytes)]);
    const cipher = index === 0 ? first.cipher : cipherOf(dataKey, sectionNonce(first.nonce, index));
    cipher.setAAD(header);
    return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
  });
  return { header, body: parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts) };
}

/** The nonce of a pack, and the cipher of its first section. Both are used once. */
interface Seal {
  readonly nonce: Uint8Array;
  readonly cipher: CipherGCM;
}

/** For each key, what was made ready for the next pack. */
const ready = new WeakMap<DataKey, Seal>();

/** Makes ready what the next pack needs first: to make a cipher takes longer than to seal a small memento with it. */
export function prepareSeal(dataKey: DataKey, random: Random): void {
  if (!ready.has(dataKey)) ready.set(dataKey, newSeal(dataKey, random));
}

/** What was made ready, which nobody gets again; else a new one. */
function takeSeal(dataKey: DataKey, random: Random): Seal {
  const prepared = ready.get(dataKey);
  ready.delete(dataKey);
  return prepared ?? newSeal(dataKey, random);
}

function newSeal(dataKey: DataKey, random: Random): Seal {
  const nonce = random.bytes(12);
  return { nonce, cipher: cipherOf(dataKey, nonce) };
}

const cipherOf = ({ key }: DataKey, nonce: Uint8Array): CipherGCM => createCipheriv("aes-256-gcm", key, nonce);

/** Opens section `index` of a pack. Throws DAMAGED, naming `where`, unless header and section are exactly what was sealed. */
export function openSection(
  pack: SealedPack,
  header: PackHeader,
  index: number,
  dataKey: DataKey | null,
  where: string,
): Uint8Array {
  const { section, packed } = unseal(pack, header, index, dataKey, where);
  return decompressSection(packed, section, where);
}

/** The same, decompressed by another thread. */
export async function openSectionElsewhere(
  pack: SealedPack,
  header: PackHeader,
  index: number,
  dataKey: DataKey | null,
  where: string,
): Promise<Uint8Array> {
  const { section, packed } = unseal(pack, header, index, dataKey, where);
  return await decompressSectionElsewhere(packed, section, where);
}

function unseal(
  pack: SealedPack,
  header: PackHeader,
  index: number,
  dataKey: DataKey | null,
  where: string,
): { readonly section: PackSection; readonly packed: Uint8Array } {
  const section = header.sections[index];
  const start = header.sections.slice(0, index).reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
  const total = header.sections.reduce((sum, { sealedBytes }) => sum + sealedBytes, 0);
  if (section === undefined || total !== pack.body.length) {
    throw new MementoError("DAMAGED", `${where} has ${pack.body.length} bytes where ${total} were written`);
  }
  const sealed = pack.body.subarray(start, start + section.sealedBytes);
  const packed =
    dataKey === null
      ? unguard(pack.header, index, sealed, where)
      : decrypt(pack.header, header, index, sealed, dataKey, where);
  return { section, packed };
}

function decrypt(
  headerBytes: Uint8Array,
  header: PackHeader,
  index: number,
  sealed: Uint8Array,
  dataKey: DataKey,
  where: string,
): Uint8Array {
  try {
    const nonce = sectionNonce(Buffer.from(header.nonce, "base64url"), index);
    const opener = createDecipheriv("aes-256-gcm", dataKey.key, nonce, { authTagLength: TAG_BYTES }).setAAD(
      headerBytes,
    );
    opener.setAuthTag(sealed.subarray(-TAG_BYTES));
    const opened = opener.update(sealed.subarray(0, -TAG_BYTES));
    // Gives no bytes more in this mode; throws unless the tag fits.
    opener.final();
    return opened;
  } catch (cause) {
    throw new MementoError("DAMAGED", `${where} was changed: its seal does not hold`, { cause });
  }
}

function unguard(headerBytes: Uint8Array, index: number, guarded: Uint8Array, where: string): Uint8Array {
  const bytes = guarded.subarray(0, -DIGEST_BYTES);
  if (digestOf(headerBytes, index, bytes).equals(guarded.subarray(-DIGEST_BYTES))) return bytes;
  throw new MementoError("DAMAGED", `${where} was changed: its digest does not fit`);
}

/** One pack, one data key: each section's nonce is the pack's random one with its last byte moved on by the section's number. */
function sectionNonce(nonce: Uint8Array, index: number): Uint8Array {
  if (index > 255) throw new MementoError("INVALID_ARGUMENT", "A pack has at most 256 sections");
  const own = Uint8Array.from(nonce);
  own[11] = ((own[11] ?? 0) + index) & 255;
  return own;
}

function digestOf(header: Uint8Array, index: number, bytes: Uint8Array): Buffer {
  return createHash("sha256").update(header).update(String(index)).update("\0").update(bytes).digest();
}
