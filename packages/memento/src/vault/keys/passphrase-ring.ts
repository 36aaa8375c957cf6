import { scrypt } from "node:crypto";

import { MementoError } from "../../core/errors.ts";
import { systemRandom, type Random } from "../../core/ports.ts";
import { KEY_BYTES, rawKeyRing, ringKeyId, type KeyRing } from "./key-ring.ts";

/** What scrypt costs whoever guesses, and us. Kept in the ring key's id, so that any later opening finds them. */
export interface PassphraseOptions {
  /** A power of two; 2^17 by default: with r = 8 a guess takes 128 MiB and about a third of a second. */
  readonly n?: number;
  /** Default 8. */
  readonly r?: number;
  /** Default 1. */
  readonly p?: number;
  readonly random?: Random;
}

interface Derivation {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Buffer;
}

const SALT_BYTES = 16;
const MEMORY_BYTES_MAX = 1_073_741_824;

/**
 * A ring whose key is made from a passphrase by scrypt. A ring key's id is `scrypt.LOG2N.R.P.SALT.CHECK`; the check tells a
 * wrong passphrase (KEY_WRONG) from damage. Each salt is derived once; a store that is open already lends its salt to
 * what is wrapped next. The passphrase is normalised (NFKC). INVALID_ARGUMENT for an empty one and for costs out of range.
 */
export function passphraseKeyRing(passphrase: string, options: PassphraseOptions = {}): KeyRing {
  const { n = 2 ** 17, r = 8, p = 1, random = systemRandom } = options;
  if (passphrase === "") throw new MementoError("INVALID_ARGUMENT", "The passphrase is empty");
  const logN = Math.log2(n);
  if (!isInRange({ logN, r, p }))
    throw new MementoError("INVALID_ARGUMENT", `scrypt cannot be run with N=${n}, r=${r}, p=${p} here`);
  const rings = new Map<string, Promise<{ readonly id: string; readonly ring: KeyRing }>>();
  /** The last id that opened, or wrapped, something and has this ring's own cost. */
  let current: string | null = null;
  const derived = async (derivation: Derivation): Promise<{ readonly id: string; readonly ring: KeyRing }> => {
    const parameters = parametersText(derivation);
    const known = rings.get(parameters) ?? derive(passphrase, derivation, random);
    rings.set(parameters, known);
    return await known;
  };
  return {
    keys: () => [{ id: current ?? "passphrase", origin: "passphrase" }],
    holds: async (id) => (parseRingId(id) === null ? false : (await derived(derivationOf(id))).id === id),
    withCurrent(id) {
      return id === "passphrase" || id === current ? this : null;
    },
    wrap: async (key, bound) => {
      const derivation =
        current === null ? { logN, r, p, salt: Buffer.from(random.bytes(SALT_BYTES)) } : derivationOf(current);
      const { id, ring } = await derived(derivation);
      current ??= id;
      return { ring: id, wrapped: (await ring.wrap(key, bound)).wrapped };
    },
    unwrap: async ({ ring: wanted, wrapped }, bound) => {
      if (parseRingId(wanted) === null)
        throw new MementoError("KEY_WRONG", `The store needs the key ${wanted}, which no passphrase makes`);
      const derivation = derivationOf(wanted);
      const { id, ring } = await derived(derivation);
      if (id !== wanted) throw new MementoError("KEY_WRONG", `The passphrase is not the one of the key ${wanted}`);
      const key = await ring.unwrap({ ring: ring.keys?.()[0]?.id ?? "", wrapped }, bound);
      if (derivation.logN === logN && derivation.r === r && derivation.p === p) current ??= id;
      return key;
    },
  };
}

async function derive(
  passphrase: string,
  { logN, r, p, salt }: Derivation,
  random: Random,
): Promise<{ readonly id: string; readonly ring: KeyRing }> {
  const n = 2 ** logN;
  const key = await new Promise<Buffer>((resolve, reject) => {
    const maxmem = 128 * r * (n + p + 2) + 1_048_576;
    scrypt(passphrase.normalize("NFKC"), salt, KEY_BYTES, { N: n, r, p, maxmem }, (error, bytes) =>
      error === null ? resolve(bytes) : reject(error),
    );
  });
  return {
    id: `${parametersText({ logN, r, p, salt })}.${ringKeyId(key)}`,
    ring: rawKeyRing([key], random, { origin: "passphrase" }),
  };
}

const parametersText = ({ logN, r, p, salt }: Derivation): string =>
  `scrypt.${logN}.${r}.${p}.${salt.toString("base64url")}`;

function parseRingId(id: string): Derivation | null {
  const [, logN, r, p, salt = ""] = /^scrypt\.(\d{1,2})\.(\d{1,3})\.(\d{1,3})\.([\w-]{22})\.k[\w-]{10}$/.exec(id) ?? [];
  return logN === undefined
    ? null
    : { logN: Number(logN), r: Number(r), p: Number(p), salt: Buffer.from(salt, "base64url") };
}

/** What an id says, as long as it asks for no more than this machine should give to a stranger's record. */
function derivationOf(id: string): Derivation {
  const derivation = parseRingId(id);
  if (derivation !== null && isInRange(derivation)) return derivation;
  throw new MementoError("DAMAGED", `The key ${id} asks for a derivation that nobody would have made`);
}

function isInRange({ logN, r, p }: Omit<Derivation, "salt">): boolean {
  const whole = [logN, r, p].every((value) => Number.isInteger(value) && value >= 1);
  return whole && r <= 64 && p <= 16 && 128 * r * 2 ** logN <= MEMORY_BYTES_MAX;
}
