import { systemRandom } from "../../core/ports.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import { ArchiveSource, type ArchiveInput } from "./import-source.ts";
import { readArchive, type ArchiveSummary } from "./read-archive.ts";

/** How to verify a portable file. */
export interface VerifyArchiveOptions {
  /** The keys that open it; without them a sealed file is checked from outside: form, digest, signature. */
  readonly keys?: KeyRing | null;
  /** Fingerprints; a file that none of them has signed is refused. Default: any signer. */
  readonly trust?: readonly string[];
  /** The file's name in messages, where it comes as a stream. */
  readonly name?: string;
  /** Ends it between two pieces of the file, with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Reads a portable file to its end and checks all of it, without any store. DAMAGED, FORMAT_UNKNOWN, KEY_WRONG, SIGNER_UNTRUSTED, INPUT_MISSING. */
export async function verifyArchive(input: ArchiveInput, options: VerifyArchiveOptions = {}): Promise<ArchiveSummary> {
  const { keys = null, trust = null } = options;
  await using source = await ArchiveSource.open(input, systemRandom, options);
  return (await readArchive(source, { ring: keys, outsideOnly: true, trust })).summary;
}
