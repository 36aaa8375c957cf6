import { isMementoError, MementoError } from "../../core/errors.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import { readFacts, type ArchiveFacts } from "./archive-facts.ts";
import { openContentKey } from "./archive-key.ts";
import { ArchiveReader } from "./archive-reader.ts";
import type { ArchiveSource } from "./import-source.ts";
import type { ArchiveContent, ArchiveHeader } from "./layout.ts";
import { signerFingerprint } from "./signing.ts";

/** What is known of a portable file. */
export interface ArchiveSummary {
  readonly content: ArchiveContent;
  /** The file's own id. */
  readonly id: string;
  readonly created: string;
  /** The store that it was exported from. */
  readonly store: string;
  readonly caretaker: string;
  readonly timeline: ArchiveHeader["timeline"];
  readonly memento: string | null;
  readonly mementos: number;
  readonly bytes: number;
  readonly stateBytes: number;
  readonly sealed: boolean;
  /** The fingerprint of the key that signed it. */
  readonly signer: string;
  /** False: only its form, its digest and its signature were checked, because no key was given. */
  readonly opened: boolean;
}

/** A file that was read to its end and is what it says. */
export interface ReadArchive {
  readonly summary: ArchiveSummary;
  readonly header: ArchiveHeader;
  /** null where it is sealed and no key was given. */
  readonly facts: ArchiveFacts | null;
  /** The content once more, for a reader that now acts on it. DAMAGED, before any of it is given, for a frame that is another one by now. */
  readonly content: () => AsyncGenerator<Uint8Array>;
}

/** How to read a file. */
export interface ReadOptions {
  readonly ring: KeyRing | null;
  /** True: a sealed file is not refused without a key, but looked at from outside. */
  readonly outsideOnly: boolean;
  /** Fingerprints, one of which must have signed; null for any. */
  readonly trust: readonly string[] | null;
}

/** Reads a file from beginning to end and checks all of it. DAMAGED, FORMAT_UNKNOWN, KEY_MISSING, KEY_WRONG, SIGNER_UNTRUSTED; each names the file. */
export async function readArchive(
  source: ArchiveSource,
  { ring, outsideOnly, trust }: ReadOptions,
): Promise<ReadArchive> {
  const { where } = source;
  const reader = await ArchiveReader.open(source.bytes(), where);
  const { header } = reader;
  const isShut = header.key !== null && ring === null && outsideOnly;
  const key = isShut ? null : await openContentKey(header, ring, where);
  const facts = isShut ? null : await naming(where, async () => await readFacts(header, reader.content(key), where));
  if (isShut) await reader.skip();
  demandTrust(header, trust, where);
  return {
    summary: summaryOf(header, reader.bytes, facts),
    header,
    facts,
    content: async function* content() {
      yield* (await ArchiveReader.open(source.bytes(), where, reader)).content(key);
    },
  };
}

/** What goes wrong in the content is told of the file. */
async function naming<T>(where: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isOurs = isMementoError(error, "DAMAGED") || isMementoError(error, "FORMAT_UNKNOWN");
    if (!isOurs || error.message.startsWith(where)) throw error;
    throw new MementoError(error.code, `${where} is refused: ${error.message}`, { cause: error });
  }
}

function demandTrust(header: ArchiveHeader, trust: readonly string[] | null, where: string): void {
  const signer = fingerprintOf(header);
  if (trust === null || trust.includes(signer)) return;
  throw new MementoError("SIGNER_UNTRUSTED", `${where} is signed by ${signer}, which is not among the trusted ones`, {
    details: { signer },
  });
}

const fingerprintOf = ({ signer }: ArchiveHeader): string => signerFingerprint(Buffer.from(signer, "base64url"));

function summaryOf(header: ArchiveHeader, bytes: number, facts: ArchiveFacts | null): ArchiveSummary {
  const { content, id, created, store, caretaker, timeline, memento, mementos, stateBytes, key } = header;
  return {
    content,
    id,
    created,
    store,
    caretaker,
    timeline,
    memento,
    mementos,
    bytes,
    stateBytes,
    sealed: key !== null,
    signer: fingerprintOf(header),
    opened: facts !== null,
  };
}
