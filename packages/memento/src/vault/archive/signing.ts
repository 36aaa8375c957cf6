import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";

import { sha256 } from "../../core/digest.ts";
import type { Vault } from "../vault.ts";

// What stands before the 32 bytes of an Ed25519 key in its DER form (RFC 8410).
const PRIVATE_PREFIX = Buffer.from("302e020100300506032b657004220420", "hex");
const PUBLIC_PREFIX = Buffer.from("302a300506032b6570032100", "hex");
const SEED_BYTES = 32;

/** What a signature is over: this text, then the SHA-256 of all bytes before it. */
const SIGNED_TEXT = "memento archive 1\n";

/** Signs portable files. */
export interface ArchiveSigner {
  /** 32 raw bytes. */
  readonly publicKey: Uint8Array;
  sign(digest: Uint8Array): Uint8Array;
}

/** The signer that a seed of 32 bytes makes (Ed25519). */
export function signerFromSeed(seed: Uint8Array): ArchiveSigner {
  const key = createPrivateKey({ key: Buffer.concat([PRIVATE_PREFIX, seed]), format: "der", type: "pkcs8" });
  return {
    publicKey: rawPublicKey(createPublicKey(key)),
    sign: (digest) => sign(null, signedBytes(digest), key),
  };
}

/**
 * The signer of a store. A sealed store signs with a key of its own, derived one way from its integrity key, so that it is
 * always the same and nothing more has to be kept. A store that is not sealed has no secret to sign with: each file then
 * gets a fresh key, and its signature proves that the file is whole, not where it comes from.
 */
export function signerOf(vault: Vault): ArchiveSigner {
  return signerFromSeed(vault.derivedSecret("memento archive signing key 1") ?? vault.random.bytes(SEED_BYTES));
}

/** How people and `--trust` name a signer: `ed25519:` and the SHA-256 of the public key. */
export function signerFingerprint(publicKey: Uint8Array): string {
  return `ed25519:${sha256(publicKey)}`;
}

/** True when the signature is by this key, over a file with this digest. */
export function isSignedBy(publicKey: Uint8Array, digest: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== SEED_BYTES) return false;
  const key = createPublicKey({ key: Buffer.concat([PUBLIC_PREFIX, publicKey]), format: "der", type: "spki" });
  return verify(null, signedBytes(digest), key, signature);
}

const rawPublicKey = (key: KeyObject): Uint8Array =>
  Uint8Array.from(key.export({ format: "der", type: "spki" }).subarray(PUBLIC_PREFIX.length));

const signedBytes = (digest: Uint8Array): Uint8Array => Buffer.concat([Buffer.from(SIGNED_TEXT), digest]);
