import { isMementoError, MementoError } from "../../core/errors.ts";
import { combinedKeyRing } from "./combined-ring.ts";
import { createKeyFile, keyRingFromFile } from "./key-file.ts";
import { rawKeyRing, type KeyRing } from "./key-ring.ts";
import { parseKeys } from "./key-text.ts";
import type { KmsSource } from "./kms-source.ts";
import { passphraseKeyRing, type PassphraseOptions } from "./passphrase-ring.ts";

/**
 * Where keys come from: a file, raw keys, a passphrase, a key-management service, a ring of one's own, a function that gives any
 * of these, or several of them (the first wraps, all of them open). `false` leaves a new store unsealed.
 */
export type KeySource =
  | false
  | { readonly file: string }
  | { readonly raw: readonly Uint8Array[] }
  | ({ readonly passphrase: string } & PassphraseOptions)
  | KmsSource
  | KeyRing
  | (() => Promise<KeySource> | KeySource)
  | readonly KeySource[];

/** What the environment and the store's place say when no key was named. */
export interface KeyDefaults {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The key file that belongs to an embedded store; null for others. */
  readonly besideStore: string | null;
  /** True: a new embedded store gets a key file of its own. */
  readonly mayCreate: boolean;
}

/**
 * Finds the key ring: the named source, else all that the environment names (`MEMENTO_KEY`, the key itself; `MEMENTO_KEY_FILE`;
 * `MEMENTO_KEY_URL`; `MEMENTO_PASSPHRASE`; the first of them wraps), else the file beside an embedded store (made, with
 * mode 0600, where the store is new). Null where there is none, or sealing was switched off.
 */
export async function resolveKeys(source: KeySource | undefined, defaults: KeyDefaults): Promise<KeyRing | null> {
  if (source === undefined) return await fromDefaults(defaults);
  if (source === false) return null;
  if (typeof source === "function") return await resolveKeys(await source(), defaults);
  if (isList(source)) return combinedKeyRing(await ringsOf(source, defaults));
  if ("file" in source) return await keyRingFromFile(source.file);
  if ("raw" in source) return rawKeyRing(source.raw);
  if ("passphrase" in source) return passphraseKeyRing(source.passphrase, source);
  if ("wrap" in source) return source;
  return await kmsRingOf(source, defaults.environment);
}

/** What the services' adapters need is loaded for those who use one. */
async function kmsRingOf(source: KmsSource, environment: KeyDefaults["environment"]): Promise<KeyRing> {
  const { kmsRing } = await import("./kms-source.ts");
  return kmsRing(source, environment);
}

const isList = (source: KeySource): source is readonly KeySource[] => Array.isArray(source);

async function ringsOf(sources: readonly KeySource[], defaults: KeyDefaults): Promise<readonly KeyRing[]> {
  const rings: KeyRing[] = [];
  for (const source of sources) {
    const ring = await resolveKeys(source, defaults);
    if (ring === null)
      throw new MementoError(
        "INVALID_ARGUMENT",
        "Among several keys `false` says nothing: a store is sealed or it is not",
      );
    rings.push(ring);
  }
  return rings;
}

async function fromDefaults({ environment, besideStore, mayCreate }: KeyDefaults): Promise<KeyRing | null> {
  const [key, file, url, passphrase] = KEY_VARIABLES.map((name) => environment[name] ?? "");
  const rings: KeyRing[] = [];
  if (key !== undefined && key !== "")
    rings.push(rawKeyRing(parseKeys(key, "MEMENTO_KEY"), undefined, { origin: "MEMENTO_KEY" }));
  if (file !== undefined && file !== "") rings.push(await keyRingFromFile(file));
  if (url !== undefined && url !== "") rings.push(await kmsRingOf({ url }, environment));
  if (passphrase !== undefined && passphrase !== "") rings.push(passphraseKeyRing(passphrase));
  if (rings.length > 0) return combinedKeyRing(rings);
  if (besideStore === null) return null;
  if (mayCreate) await createKeyFile(besideStore);
  return await keyRingBeside(besideStore);
}

/** Where the file is not there, the store may have been sealed by a key that a variable named then: a job has other variables than a shell. */
async function keyRingBeside(file: string): Promise<KeyRing> {
  try {
    return await keyRingFromFile(file);
  } catch (cause) {
    if (!isMementoError(cause, "KEY_MISSING")) throw cause;
    throw new MementoError("KEY_MISSING", `No key is named, and t${cause.message.slice(1)}`, { cause });
  }
}

/** The variables that name keys, the one that wraps first. */
const KEY_VARIABLES = ["MEMENTO_KEY", "MEMENTO_KEY_FILE", "MEMENTO_KEY_URL", "MEMENTO_PASSPHRASE"] as const;
