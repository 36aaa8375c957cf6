import { createServer, request } from "node:http";
import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";

import { afterAll, beforeAll, describe, test } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { azuriteIsThere, startAzurite, type AzuriteServer } from "../harness/servers/azurite.ts";
import { fakeGcsIsThere, startFakeGcs } from "../harness/servers/fake-gcs.ts";
import { minioIsThere, startMinio } from "../harness/servers/minio.ts";
import type { S3Server } from "../harness/servers/s3-server.ts";
import { startServer } from "../harness/servers/server.ts";
import { expectRefused, SECRET } from "./refusals.ts";

describe.skipIf(!(await requireEngine("MinIO", minioIsThere)))("S3", () => {
  let server: S3Server;

  beforeAll(async () => {
    server = await startMinio();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("a wrong secret key", async () => {
    await expectRefused(server.url(await server.bucket()), {
      environment: { ...server.environment, AWS_SECRET_ACCESS_KEY: SECRET },
      code: "ACCESS_DENIED",
      exit: 1,
      names: /SignatureDoesNotMatch/u,
      hint: /AWS_SECRET_ACCESS_KEY/u,
    });
  });

  test("a bucket that is not there", async () => {
    const refusal = { code: "PLACE_MISSING", exit: 1, names: /nowhere/u, hint: /bucket/u };
    await expectRefused(server.url("nowhere"), { ...refusal, environment: server.environment });
  });

  test("an account that may only read", async () => {
    await using gateway = await readOnlyGateway(server.port);
    const url = server.url(await server.bucket(), "prefix", gateway.port);
    const refusal = { code: "ACCESS_DENIED", exit: 1, names: /AccessDenied/u, hint: /s3:PutObject/u };
    await expectRefused(url, { ...refusal, environment: server.environment });
  });
});

describe("S3 by a server that ignores conditions", () => {
  test("is refused by name", async () => {
    const program = path.join(
      path.dirname(createRequire(import.meta.url).resolve("s3rver/package.json")),
      "bin/s3rver.js",
    );
    await using server = await startServer({
      name: "s3rver",
      command: ({ port, folder }) => [
        process.execPath,
        program,
        "-d",
        folder,
        "-a",
        "127.0.0.1",
        "-p",
        String(port),
        "--silent",
        "--configure-bucket",
        "bucket",
      ],
    });
    await expectRefused(`s3://bucket/prefix?endpoint=${encodeURIComponent(`http://127.0.0.1:${server.port}`)}`, {
      environment: { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER", AWS_REGION: "us-east-1" },
      code: "ENGINE_UNSUITABLE",
      exit: 1,
      names: /condition|If-None-Match|absent/u,
    });
  });
});

describe.skipIf(!(await requireEngine("azurite", azuriteIsThere)))("Azure Blob Storage", () => {
  let server: AzuriteServer;

  beforeAll(async () => {
    server = await startAzurite();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("a wrong key", async () => {
    const environment = { AZURE_STORAGE_KEY: Buffer.from(SECRET).toString("base64") };
    const refusal = { code: "ACCESS_DENIED", exit: 1, names: /memento-/u };
    await expectRefused(server.url(await server.container()), { ...refusal, environment });
  });

  test("a container that is not there", async () => {
    const refusal = { code: "PLACE_MISSING", exit: 1, names: /nowhere/u, hint: /make/iu };
    await expectRefused(server.url("nowhere"), { ...refusal, environment: server.environment });
  });

  test("a signature that may only read", async () => {
    const { BlobServiceClient, ContainerSASPermissions, StorageSharedKeyCredential } =
      await import("@azure/storage-blob");
    const container = await server.container();
    const credential = new StorageSharedKeyCredential(server.account, server.accountKey);
    const signed = await new BlobServiceClient(server.endpoint, credential)
      .getContainerClient(container)
      .generateSasUrl({
        permissions: ContainerSASPermissions.parse("rl"),
        expiresOn: new Date(Date.now() + 3_600_000),
      });
    await expectRefused(server.url(container), {
      environment: { AZURE_STORAGE_SAS_TOKEN: new URL(signed).search.slice(1) },
      code: "ACCESS_DENIED",
      exit: 1,
      names: /AuthorizationPermissionMismatch|403/u,
    });
  });
});

describe.skipIf(!(await requireEngine("fake-gcs-server", fakeGcsIsThere)))("Google Cloud Storage", () => {
  test("a bucket that is not there", async () => {
    await using server = await startFakeGcs();
    await expectRefused(server.url("nowhere"), { code: "PLACE_MISSING", exit: 1, names: /nowhere/u, hint: /make/iu });
  });

  test("an account that may only read", async () => {
    await using server = await startFakeGcs();
    await using gateway = await readOnlyGateway(server.port);
    const url = server.url(await server.bucket(), "prefix", gateway.port);
    await expectRefused(url, { code: "ACCESS_DENIED", exit: 1, names: /403/u });
  });
});

interface Gateway extends AsyncDisposable {
  readonly port: number;
}

/** A gateway before an object store that passes what reads, and answers the rest as S3 answers an account without that right. */
async function readOnlyGateway(serverPort: number): Promise<Gateway> {
  const gateway = createServer((asked, answer) => {
    const { method = "GET", url = "/", headers } = asked;
    if (method === "GET" || method === "HEAD") {
      const passed = request({ port: serverPort, host: "127.0.0.1", method, path: url, headers }, (reply) => {
        answer.writeHead(reply.statusCode ?? 500, reply.headers);
        reply.pipe(answer);
      });
      asked.pipe(passed);
      return;
    }
    asked.resume();
    answer.writeHead(403, { "content-type": "application/xml" });
    answer.end("<Error><Code>AccessDenied</Code><Message>Access Denied.</Message></Error>");
  });
  await new Promise<void>((resolve) => void gateway.listen(0, "127.0.0.1", resolve));
  const address = gateway.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: async () => {
      gateway.closeAllConnections();
      await new Promise((resolve) => void gateway.close(resolve));
    },
  };
}
