import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";

import { MementoError } from "../../core/errors.ts";
import type { Clock, Random } from "../../core/ports.ts";
import { openStore } from "../../store/open-store.ts";
import { KEY_BYTES, rawKeyRing, type KeyRing } from "../keys/key-ring.ts";
import { Vault } from "../vault.ts";
import type { ArchiveFacts } from "./archive-facts.ts";
import { writeArchive } from "./export-archive.ts";
import { checkLines } from "./import-check.ts";
import { importLines } from "./import-lines.ts";
import type { ReadArchive } from "./read-archive.ts";
import { temporarily } from "./temporary-files.ts";

/** A file that holds the head of a timeline alone. */
export interface FlatHead {
  readonly path: string;
  /** Opens it. */
  readonly ring: KeyRing;
}

/**
 * Makes a file of the head alone out of a timeline's file, for as long as `work` goes on. The timeline is put together in
 * a store of its own for that, beside temporary files, sealed under a key that nobody keeps; memory stays flat.
 */
export async function withFlatHead<T>(
  { header, content }: ReadArchive,
  facts: ArchiveFacts,
  ports: { readonly clock: Clock; readonly random: Random },
  work: (flat: FlatHead) => Promise<T>,
): Promise<T> {
  if (header.content !== "timeline" || header.memento === null)
    throw new MementoError("INVALID_ARGUMENT", "Only a memento or one timeline can become a fork");
  const place = path.join(tmpdir(), "memento-fork-");
  const folder = await temporarily(place, async () => await mkdtemp(place));
  try {
    const ring = rawKeyRing([ports.random.bytes(KEY_BYTES)], ports.random);
    const { store } = await openStore(`sqlite:${path.join(folder, "store.db")}`);
    await using vault = await Vault.open(store, { keys: ring, ...ports });
    const standings = await checkLines(vault, facts);
    const where = "The timeline";
    await importLines(content(), { vault, facts, standings, where, signal: undefined, onMementos: () => undefined });
    const flat = path.join(folder, "head.memento");
    const file = await open(flat, "wx", 0o600);
    try {
      const out = async (bytes: Uint8Array): Promise<void> =>
        await temporarily(flat, async () => await file.appendFile(bytes));
      await writeArchive(vault, out, { memento: header.memento }, { keys: ring }, header.store);
    } finally {
      await file.close();
    }
    return await work({ path: flat, ring });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
