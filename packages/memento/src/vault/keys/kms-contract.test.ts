/**
 * The adapters of key-management services, each by its official client (Transit has none) over HTTP against a server of this
 * process that follows the service's public documentation. The services themselves cannot be reached from here.
 */
import {
  createCipheriv,
  createDecipheriv,
  generateKeyPairSync,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

import { KMS } from "@aws-sdk/client-kms";
import { CryptographyClient, type CryptographyClientOptions } from "@azure/keyvault-keys";
import { describe, expect, onTestFinished, test } from "vitest";

import { Memento } from "../../memento.ts";
import { awsKms } from "./aws-kms.ts";
import { azureKeyVault, type AzureKeyCalls } from "./azure-key-vault.ts";
import { googleKms } from "./google-kms.ts";
import type { KeyRing } from "./key-ring.ts";
import { kmsKeyRing } from "./kms-ring.ts";
import { vaultTransit } from "./vault-transit.ts";

interface Answer {
  readonly status: number;
  readonly body: object;
}

/** An HTTP server for the length of a test; gives its address. */
async function serve(answer: (request: IncomingMessage, body: Record<string, string>) => Answer): Promise<string> {
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (data: Buffer) => (text += data.toString()));
    request.on("end", () => {
      const { status, body } = answer(request, text === "" ? {} : (JSON.parse(text) as Record<string, string>));
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const master = randomBytes(32);

function seal(plain: Uint8Array, bound: string): Buffer {
  const nonce = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", master, nonce).setAAD(Buffer.from(bound));
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}

function open(sealed: Buffer, bound: string): Buffer | null {
  try {
    const opener = createDecipheriv("aes-256-gcm", master, sealed.subarray(0, 12)).setAAD(Buffer.from(bound));
    opener.setAuthTag(sealed.subarray(-16));
    return Buffer.concat([opener.update(sealed.subarray(12, -16)), opener.final()]);
  } catch {
    return null;
  }
}

const base64 = (text: string | undefined): Buffer => Buffer.from(text ?? "", "base64");
const ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";

/** JSON 1.1: `X-Amz-Target` names the call, blobs are base64, an error is told by `__type`. */
async function awsRing(): Promise<KeyRing> {
  const endpoint = await serve((request, body) => {
    const target = String(request.headers["x-amz-target"]);
    const context = JSON.stringify((body as { EncryptionContext?: unknown }).EncryptionContext ?? {});
    if (!String(request.headers.authorization).startsWith("AWS4-HMAC-SHA256"))
      return { status: 400, body: { __type: "MissingAuthenticationTokenException" } };
    if (body["KeyId"] !== ARN) return { status: 400, body: { __type: "NotFoundException", message: "no such key" } };
    if (target === "TrentService.Encrypt") {
      const sealed = seal(base64(body["Plaintext"]), context);
      return { status: 200, body: { KeyId: ARN, CiphertextBlob: sealed.toString("base64") } };
    }
    const plain = open(base64(body["CiphertextBlob"]), context);
    if (plain === null) return { status: 400, body: { __type: "InvalidCiphertextException" } };
    return { status: 200, body: { KeyId: ARN, Plaintext: plain.toString("base64") } };
  });
  const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "hidden-thing" };
  const client = new KMS({ region: "eu-central-1", endpoint, credentials, maxAttempts: 1 });
  onTestFinished(() => client.destroy());
  return kmsKeyRing(awsKms({ keyId: ARN, client }));
}

/** Keys, `wrapkey` and `unwrapkey` of the REST API. The client insists on https, so its requests are sent on from its own HTTP port. */
async function azureRing(): Promise<KeyRing> {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const { n, e } = publicKey.export({ format: "jwk" });
  const kid = "https://unit.vault.azure.net/keys/memento/0123456789abcdef0123456789abcdef";
  const address = await serve((request, body) => {
    if (request.headers.authorization !== "Bearer token-of-azure") return { status: 401, body: {} };
    const url = request.url ?? "";
    if (!url.startsWith("/keys/memento")) return { status: 404, body: { error: { code: "KeyNotFound" } } };
    if (request.method === "GET")
      return {
        status: 200,
        body: { key: { kid, kty: "RSA", key_ops: ["wrapKey", "unwrapKey"], n, e }, attributes: { enabled: true } },
      };
    const value = Buffer.from(body["value"] ?? "", "base64url");
    if (body["alg"] !== "RSA-OAEP-256") return { status: 400, body: {} };
    if (url.includes("/wrapkey")) {
      const wrapped = publicEncrypt({ key: publicKey, oaepHash: "sha256" }, value);
      return { status: 200, body: { kid, value: wrapped.toString("base64url") } };
    }
    if (!url.includes("/0123456789abcdef0123456789abcdef/unwrapkey"))
      return { status: 404, body: { error: { code: "KeyNotFound" } } };
    try {
      const plain = privateDecrypt({ key: privateKey, oaepHash: "sha256" }, value);
      return { status: 200, body: { kid, value: plain.toString("base64url") } };
    } catch {
      return { status: 400, body: { error: { code: "BadParameter" } } };
    }
  });
  const credential = { getToken: async () => ({ token: "token-of-azure", expiresOnTimestamp: 4e12 }) };
  const client = (keyId: string): AzureKeyCalls => {
    const calls = new CryptographyClient(keyId, credential, { retryOptions: { maxRetries: 0 }, ...sentTo(address) });
    return calls;
  };
  return kmsKeyRing(azureKeyVault({ keyId: "https://unit.vault.azure.net/keys/memento", client }));
}

/** Sends the client's requests to another address, with all that it has put into them. */
function sentTo(address: string): CryptographyClientOptions {
  return {
    httpClient: {
      sendRequest: async (request) => {
        const asked = new URL(request.url);
        const headers = request.headers;
        // The service first says whom to ask for a token.
        const authorization = headers.get("authorization");
        const answer = await fetch(`${address}${asked.pathname}${asked.search}`, {
          method: request.method,
          headers: { "content-type": "application/json", ...(authorization === undefined ? {} : { authorization }) },
          ...(typeof request.body === "string" ? { body: request.body } : {}),
        });
        const challenge =
          'Bearer authorization="https://login.microsoftonline.com/x", resource="https://vault.azure.net"';
        const Headers = headers.constructor as new (names: Record<string, string>) => typeof headers;
        const shown = new Headers({
          "content-type": "application/json",
          ...(answer.status === 401 ? { "www-authenticate": challenge } : {}),
        });
        return { request, status: answer.status, headers: shown, bodyAsText: await answer.text() };
      },
    },
  };
}

/** `POST /v1/transit/encrypt|decrypt/KEY`; the same was tried against the Transit engine itself, see docs/keys.md. */
async function transitRing(key = "memento"): Promise<KeyRing> {
  const address = await serve((request, body) => {
    if (request.headers["x-vault-token"] !== "hidden-thing")
      return { status: 403, body: { errors: ["permission denied"] } };
    const [, operation, name] = /^\/v1\/transit\/(encrypt|decrypt)\/(.+)$/u.exec(request.url ?? "") ?? [];
    if (name !== "memento") return { status: 400, body: { errors: ["encryption key not found"] } };
    const bound = body["associated_data"] ?? "";
    if (operation === "encrypt")
      return {
        status: 200,
        body: { data: { ciphertext: `vault:v1:${seal(base64(body["plaintext"]), bound).toString("base64")}` } },
      };
    const plain = open(base64(body["ciphertext"]?.slice("vault:v1:".length)), bound);
    if (plain === null) return { status: 400, body: { errors: ["cipher: message authentication failed"] } };
    return { status: 200, body: { data: { plaintext: plain.toString("base64") } } };
  });
  return kmsKeyRing(vaultTransit({ key, address, token: () => "hidden-thing", environment: {} }));
}

/** The calls of the official client, which is not installed here: 39 MB for two calls. */
async function googleRing(): Promise<KeyRing> {
  const bytes = (value: Uint8Array): string => Buffer.from(value).toString("latin1");
  return kmsKeyRing(
    googleKms({
      name: "projects/p/locations/l/keyRings/r/cryptoKeys/k",
      client: {
        encrypt: async ({ plaintext, additionalAuthenticatedData }) => [
          { ciphertext: seal(plaintext, bytes(additionalAuthenticatedData)) },
        ],
        decrypt: async ({ ciphertext, additionalAuthenticatedData }) => {
          const plaintext = open(Buffer.from(ciphertext), bytes(additionalAuthenticatedData));
          if (plaintext === null) throw Object.assign(new Error("3 INVALID_ARGUMENT: Decryption failed"), { code: 3 });
          return [{ plaintext }];
        },
      },
    }),
  );
}

const services = [
  ["AWS KMS", awsRing],
  ["Azure Key Vault", azureRing],
  ["HashiCorp Vault Transit", transitRing],
  ["Google Cloud KMS", googleRing],
] as const;

describe.each(services)("%s", (_name, ring) => {
  const key = new Uint8Array(32).fill(7);

  test("wraps, unwraps, and authenticates what the key is bound to", async () => {
    const keys = await ring();
    const wrapped = await keys.wrap(key, "bound");
    expect(wrapped.ring).toBe(keys.keys?.()[0]?.id);
    expect(Buffer.from(await keys.unwrap(wrapped, "bound"))).toEqual(Buffer.from(key));
    await expect(keys.unwrap(wrapped, "another")).rejects.toMatchObject({ code: "DAMAGED" });
  });

  test("every changed byte of a wrapping is found", async () => {
    const keys = await ring();
    const wrapped = await keys.wrap(key, "bound");
    const bytes = Buffer.from(wrapped.wrapped, "base64url");
    for (let at = 0; at < bytes.length; at += bytes.length > 200 ? 17 : 5) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      const opened = keys.unwrap({ ...wrapped, wrapped: changed.toString("base64url") }, "bound");
      // A changed name of a version asks for a key that is not there.
      await expect(opened, `byte ${at}`).rejects.toMatchObject({
        code: expect.stringMatching(/^(?:DAMAGED|KEY_WRONG)$/u),
      });
    }
  });

  test("opens nothing by a key that is not named, whatever a record says", async () => {
    const keys = await ring();
    const wrapped = await keys.wrap(key, "bound");
    await expect(keys.unwrap({ ...wrapped, ring: `${wrapped.ring}x` }, "bound")).rejects.toMatchObject({
      code: "KEY_WRONG",
    });
  });

  test("seals a store that is opened again by it", async () => {
    const keys = await ring();
    await using memento = await Memento.open("memory:", { keys });
    const { id } = await memento.caretaker("c").save({ a: 1 });
    expect(await memento.caretaker("c").load(id)).toEqual({ a: 1 });
    expect(await memento.rotateKeys({ again: true })).toMatchObject({ rewrapped: 2, unopened: [] });
    expect((await memento.keys()).unopened).toEqual([]);
  });
});

describe("a service that refuses", () => {
  test("Transit: a token that is not good, a key that is not there, no server", async () => {
    const ring = await transitRing("other");
    await expect(ring.wrap(new Uint8Array(32), "b")).rejects.toMatchObject({ code: "KEY_WRONG" });
    const address = await serve(() => ({ status: 403, body: { errors: ["permission denied"] } }));
    const refused = kmsKeyRing(vaultTransit({ key: "k", address, token: () => "hidden-thing", environment: {} }));
    const error: unknown = await refused.wrap(new Uint8Array(32), "b").catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "KEY_SERVICE_FAILED", retryable: true });
    expect(JSON.stringify(error) + String((error as Error).stack)).not.toContain("hidden-thing");
    const gone = kmsKeyRing(
      vaultTransit({ key: "k", address: "http://127.0.0.1:1", token: () => "t", environment: {} }),
    );
    await expect(gone.wrap(new Uint8Array(32), "b")).rejects.toMatchObject({ code: "KEY_SERVICE_FAILED" });
    const bare = kmsKeyRing(vaultTransit({ key: "k", address, environment: {} }));
    await expect(bare.wrap(new Uint8Array(32), "b")).rejects.toMatchObject({ hint: "Set VAULT_TOKEN." });
  });
});
