/** Key-management services that repeat what they were sent, or do not answer at all. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

import { KMS } from "@aws-sdk/client-kms";
import { CryptographyClient } from "@azure/keyvault-keys";
import { describe, expect, onTestFinished, test } from "vitest";

import type { MementoError } from "../../core/errors.ts";
import { awsKms } from "./aws-kms.ts";
import { azureKeyVault } from "./azure-key-vault.ts";
import type { KeyRing } from "./key-ring.ts";
import { kmsKeyRing } from "./kms-ring.ts";
import { vaultTransit } from "./vault-transit.ts";

/** An HTTP server for the length of a test; gives its address. */
async function serve(answer: (request: IncomingMessage, body: string, response: ServerResponse) => void) {
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (data: Buffer) => (text += data.toString()));
    request.on("end", () => answer(request, text, response));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const transit = (address: string, token = "hidden-thing", answerMsMax = 30_000): KeyRing =>
  kmsKeyRing(vaultTransit({ key: "k", address, token: () => token, environment: {}, answerMsMax }));

const failureOf = async (work: Promise<unknown>): Promise<MementoError> =>
  await work.then(
    () => expect.unreachable("it did not fail"),
    (error: unknown) => error as MementoError,
  );

/** All that anybody could see of an error. */
const seen = (error: MementoError): string => `${JSON.stringify(error)} ${error.stack} ${String(error.cause)}`;

describe("what an error says of Transit", () => {
  test("holds no token: one of several lines is refused before it is sent", async () => {
    for (const token of ["hidden-thing\nlease 768h", "hidden-thing €"]) {
      const error = await failureOf(transit("http://127.0.0.1:1", token).wrap(new Uint8Array(32), "b"));
      expect(error).toMatchObject({
        code: "KEY_SERVICE_FAILED",
        hint: expect.stringContaining("VAULT_TOKEN") as string,
      });
      expect(seen(error)).not.toContain("hidden");
    }
  });

  test("a line end behind the token, as files have it, is none of it", async () => {
    let token: unknown = null;
    const address = await serve((request, _body, response) => {
      token = request.headers["x-vault-token"];
      response.writeHead(403).end('{"errors":["permission denied"]}');
    });
    const error = await failureOf(transit(address, "hidden-thing\n").wrap(new Uint8Array(32), "b"));
    expect([token, error.message]).toEqual(["hidden-thing", expect.stringContaining("HTTP 403: permission denied")]);
  });

  test("holds neither token nor key where a server in between repeats what it was sent", async () => {
    const address = await serve(({ headers }, body, response) =>
      response.writeHead(502).end(JSON.stringify(headers) + body),
    );
    const error = await failureOf(transit(address).wrap(new Uint8Array(32).fill(1), "b"));
    expect(error).toMatchObject({ code: "KEY_SERVICE_FAILED", message: expect.stringContaining("HTTP 502") as string });
    expect(seen(error)).not.toContain("hidden-thing");
    expect(seen(error)).not.toContain("AQEBAQ");
  });

  test("holds no part of a key where the answer is no JSON", async () => {
    const plaintext = Buffer.alloc(32, 1).toString("base64");
    const address = await serve((_request, _body, response) => response.end(`{"data":{"plaintext":${plaintext}}}`));
    const wrapped = Buffer.from("vault:v1:AAAA").toString("base64url");
    const ring = transit(address);
    const error = await failureOf(ring.unwrap({ ring: ring.keys?.()[0]?.id ?? "", wrapped }, "b"));
    expect(error).toMatchObject({ code: "KEY_SERVICE_FAILED" });
    expect(seen(error)).not.toContain("AQE");
  });

  test("says why a server cannot be reached", async () => {
    const error = await failureOf(transit("http://127.0.0.1:1").wrap(new Uint8Array(32), "b"));
    expect(error.message).toMatch(/ECONNREFUSED|bad port/u);
  });
});

describe("a service that does not answer", () => {
  const never = async (): Promise<string> => await serve(() => undefined);
  const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "hidden-thing" };
  const token = { getToken: async () => ({ token: "token-of-azure", expiresOnTimestamp: 4e12 }) };
  const rings: readonly (readonly [string, (address: string) => KeyRing])[] = [
    [
      "AWS KMS",
      (endpoint) => {
        const client = new KMS({ region: "eu-central-1", endpoint, credentials, maxAttempts: 1 });
        onTestFinished(() => client.destroy());
        return kmsKeyRing(awsKms({ keyId: "k", client, answerMsMax: 200 }));
      },
    ],
    [
      "Azure Key Vault",
      (address) => {
        const httpClient = {
          sendRequest: async () => await fetch(address).then(() => expect.unreachable("it answered")),
        };
        const client = (keyId: string) =>
          new CryptographyClient(keyId, token, { httpClient, retryOptions: { maxRetries: 0 } });
        return kmsKeyRing(azureKeyVault({ keyId: "https://unit.vault.azure.net/keys/k", client, answerMsMax: 200 }));
      },
    ],
    ["HashiCorp Vault Transit", (address) => transit(address, "hidden-thing", 200)],
  ];

  test.each(rings)("%s: the call ends, and may be made again", async (service, ring) => {
    const work = ring(await never()).wrap(new Uint8Array(32), "b");
    const error = await failureOf(work);
    expect(error).toMatchObject({ code: "KEY_SERVICE_FAILED", retryable: true });
    expect(error.message).toContain(`${service} did not answer within 0.2 s`);
  });
});
