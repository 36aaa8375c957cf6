import { createCipheriv, createDecipheriv } from "node:crypto";

import { systemRandom, type Random } from "../../core/ports.ts";
import { loadPeer } from "../../store/optional-peer.ts";
import { KEY_BYTES } from "./key-ring.ts";
import { unopened, unusable, type KmsClient } from "./kms-ring.ts";

/** The part of `CryptographyClient` of `@azure/keyvault-keys` that is used. */
export interface AzureKeyCalls {
  wrapKey(
    algorithm: "RSA-OAEP-256",
    key: Uint8Array,
    options: { readonly abortSignal: AbortSignal },
  ): Promise<{ readonly result: Uint8Array; readonly keyID?: string | undefined }>;
  unwrapKey(
    algorithm: "RSA-OAEP-256",
    encryptedKey: Uint8Array,
    options: { readonly abortSignal: AbortSignal },
  ): Promise<{ readonly result: Uint8Array }>;
}

/** An RSA key of Azure Key Vault or Managed HSM. */
export interface AzureKeyVaultOptions {
  /** The key's URL, `https://NAME.vault.azure.net/keys/KEY`, with its version or without: then the newest version wraps. */
  readonly keyId: string;
  /** Makes a `CryptographyClient` for a key's URL; by default with `DefaultAzureCredential` of `@azure/identity`. */
  readonly client?: (keyId: string) => AzureKeyCalls;
  readonly random?: Random;
  /** How long a call may take. Default a minute. */
  readonly answerMsMax?: number;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const SEALED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/**
 * A key of Azure Key Vault, by the official client. RSA-OAEP cannot authenticate anything beside the key, so it wraps a fresh
 * key, and that one seals ours by AES-256-GCM with `bound`: length and name of the key's version, length of the
 * wrapped key, wrapped key, nonce, ciphertext, tag. Whoever has the public key can wrap too: see docs/keys.md. PEER_MISSING.
 */
export function azureKeyVault({ keyId, client, random = systemRandom, answerMsMax }: AzureKeyVaultOptions): KmsClient {
  const base = keyId.replace(/\/+$/, "");
  const id = `azure-kv:${base.replace(/^https:\/\//, "")}`;
  let making: Promise<(keyId: string) => AzureKeyCalls> | null = client === undefined ? null : Promise.resolve(client);
  const keyAt = async (url: string): Promise<AzureKeyCalls> => (await (making ??= connect()))(url);
  return {
    id,
    service: "Azure Key Vault",
    answerMsMax,
    wrap: async (key, bound, abortSignal) => {
      const inner = random.bytes(KEY_BYTES);
      const { result, keyID } = await (await keyAt(base)).wrapKey("RSA-OAEP-256", inner, { abortSignal });
      const version = Buffer.from(versionOf(base) === "" ? versionOf(keyID ?? "") : "", "latin1");
      const nonce = random.bytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", inner, nonce).setAAD(Buffer.from(bound, "utf8"));
      const lengths = Buffer.alloc(3);
      lengths.writeUInt8(version.length, 0);
      lengths.writeUInt16BE(result.length, 1);
      const sealed = [cipher.update(key), cipher.final(), cipher.getAuthTag()];
      return Buffer.concat([lengths, version, result, nonce, ...sealed]);
    },
    unwrap: async (wrapped, bound, abortSignal) => {
      const { version, inner, sealed } = takenApart(Buffer.from(wrapped), id);
      const versioned = await keyAt(version === "" ? base : `${base}/${version}`);
      const innerKey = await innerKeyOf(versioned, inner, id, abortSignal);
      try {
        const opener = createDecipheriv("aes-256-gcm", innerKey, sealed.subarray(0, NONCE_BYTES)).setAAD(
          Buffer.from(bound, "utf8"),
        );
        opener.setAuthTag(sealed.subarray(-TAG_BYTES));
        return Buffer.concat([opener.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), opener.final()]);
      } catch {
        throw unopened(id);
      }
    },
  };
}

/** The version in a key's URL, or nothing. */
const versionOf = (keyId: string): string => /\/keys\/[^/]+\/([0-9A-Za-z]+)$/.exec(keyId)?.[1] ?? "";

function takenApart(
  wrapped: Buffer,
  id: string,
): { readonly version: string; readonly inner: Buffer; readonly sealed: Buffer } {
  if (wrapped.length < 3) throw unopened(id);
  const [versionEnd, innerBytes] = [3 + wrapped.readUInt8(0), wrapped.readUInt16BE(1)];
  const version = wrapped.toString("latin1", 3, versionEnd);
  // It becomes a part of a URL.
  if (wrapped.length !== versionEnd + innerBytes + SEALED_BYTES || !/^[0-9A-Za-z]*$/.test(version)) throw unopened(id);
  return {
    version,
    inner: wrapped.subarray(versionEnd, versionEnd + innerBytes),
    sealed: wrapped.subarray(versionEnd + innerBytes),
  };
}

async function innerKeyOf(
  key: AzureKeyCalls,
  inner: Uint8Array,
  id: string,
  abortSignal: AbortSignal,
): Promise<Uint8Array> {
  try {
    const { result } = await key.unwrapKey("RSA-OAEP-256", inner, { abortSignal });
    if (result.length === KEY_BYTES) return result;
  } catch (error) {
    const status = error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
    if (status === 404 || status === 410) throw unusable(id, "there is no such key, or no such version of it");
    if (status !== 400) throw error;
  }
  throw unopened(id);
}

async function connect(): Promise<(keyId: string) => AzureKeyCalls> {
  const { CryptographyClient } = await loadPeer<{
    CryptographyClient: new (keyId: string, credential: unknown) => AzureKeyCalls;
  }>("@azure/keyvault-keys", "^4.8.0", "Azure Key Vault");
  const { DefaultAzureCredential } = await loadPeer<{ DefaultAzureCredential: new () => unknown }>(
    "@azure/identity",
    "^4.0.0",
    "Azure Key Vault",
  );
  const credential = new DefaultAzureCredential();
  return (keyId) => new CryptographyClient(keyId, credential);
}
