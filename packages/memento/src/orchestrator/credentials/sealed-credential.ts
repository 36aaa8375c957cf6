import { createCipheriv, createDecipheriv } from "node:crypto";

import type { Random } from "../../core/ports.ts";
import type { Vault } from "../../vault/vault.ts";
import type { Credential } from "./provider.ts";

/** A credential as a memento keeps it where its pipeline asks for that. */
export interface SealedCredential {
  /** Nonce, ciphertext and tag of AES-256-GCM, in base64; the credential's name and scope are authenticated with it. */
  readonly sealed: string;
  readonly scope: string;
  /** ISO 8601, UTC; null when it does not expire. */
  readonly expires: string | null;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Seals credentials beside the sealing of the memento itself, under a secret that belongs to the one store: nobody who opens,
 * compares, exports or copies a memento meets the value.
 */
export class CredentialSeal {
  readonly #key: Uint8Array;
  readonly #random: Random;

  private constructor(key: Uint8Array, random: Random) {
    this.#key = key;
    this.#random = random;
  }

  /** The seal of a store; null for one that is not sealed. */
  static of(vault: Pick<Vault, "derivedSecret" | "random">): CredentialSeal | null {
    const key = vault.derivedSecret("memento credential");
    return key === null ? null : new CredentialSeal(key, vault.random);
  }

  seal(name: string, { value, scope, expiresAt }: Credential): SealedCredential {
    const nonce = this.#random.bytes(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", this.#key, nonce).setAAD(boundTo(name, scope));
    const sealed = Buffer.concat([nonce, cipher.update(value, "utf8"), cipher.final(), cipher.getAuthTag()]);
    const expires = expiresAt === null ? null : new Date(expiresAt).toISOString();
    return { sealed: sealed.toString("base64"), scope, expires };
  }

  /** The credential; null for one that another store has sealed, or another name was given. */
  open(name: string, { sealed, scope, expires }: SealedCredential): Credential | null {
    const bytes = Buffer.from(sealed, "base64");
    if (bytes.length < NONCE_BYTES + TAG_BYTES) return null;
    const opener = createDecipheriv("aes-256-gcm", this.#key, bytes.subarray(0, NONCE_BYTES))
      .setAAD(boundTo(name, scope))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const value = opener.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, "utf8") + opener.final("utf8");
      return { value, scope, expiresAt: expires === null ? null : Date.parse(expires) };
    } catch {
      // Node tells a wrong key by an error without a code of its own.
      return null;
    }
  }
}

const boundTo = (name: string, scope: string): Buffer => Buffer.from(JSON.stringify([name, scope]), "utf8");
