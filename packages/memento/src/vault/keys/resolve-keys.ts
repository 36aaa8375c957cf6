import { createKeyFile, keyRingFromFile } from "./key-file.ts";
import { rawKeyRing, type KeyRing } from "./key-ring.ts";
import { parseKeys } from "./key-text.ts";

/** Where keys come from: a file, raw keys, a ring of one's own, a function that gives any of these; `false` leaves a new store unsealed. */
export type KeySource =
  | false
  | { readonly file: string }
  | { readonly raw: readonly Uint8Array[] }
  | KeyRing
  | (() => Promise<KeySource> | KeySource);

/** What the environment and the store's place say when no key was named. */
export interface KeyDefaults {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The key file that belongs to an embedded store; null for others. */
  readonly besideStore: string | null;
  /** True: a new embedded store gets a key file of its own. */
  readonly mayCreate: boolean;
}

/**
 * Finds the key ring: the named source, else `MEMENTO_KEY` (the key itself), else `MEMENTO_KEY_FILE`, else the file beside
 * an embedded store (made, with mode 0600, where the store is new). Null where there is none, or sealing was switched off.
 */
export async function resolveKeys(source: KeySource | undefined, defaults: KeyDefaults): Promise<KeyRing | null> {
  if (source === undefined) return await fromDefaults(defaults);
  if (source === false) return null;
  if (typeof source === "function") return await resolveKeys(await source(), defaults);
  if ("file" in source) return await keyRingFromFile(source.file);
  if ("raw" in source) return rawKeyRing(source.raw);
  return source;
}

async function fromDefaults({ environment, besideStore, mayCreate }: KeyDefaults): Promise<KeyRing | null> {
  const text = environment["MEMENTO_KEY"];
  if (text !== undefined && text !== "") return rawKeyRing(parseKeys(text, "MEMENTO_KEY"));
  const file = environment["MEMENTO_KEY_FILE"];
  if (file !== undefined && file !== "") return await keyRingFromFile(file);
  if (besideStore === null) return null;
  if (mayCreate) await createKeyFile(besideStore);
  return await keyRingFromFile(besideStore);
}
