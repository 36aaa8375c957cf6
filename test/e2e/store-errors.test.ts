import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { afterAll, beforeAll, describe, test } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { azuriteIsThere, startAzurite, type AzuriteServer } from "../harness/servers/azurite.ts";
import { minioIsThere, startMinio } from "../harness/servers/minio.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../harness/servers/postgres.ts";
import type { S3Server } from "../harness/servers/s3-server.ts";
import { freePort, startServer } from "../harness/servers/server.ts";
import { expectStoreRefusal, type Refusal } from "./refusals.ts";

const root = path.resolve(import.meta.dirname, "../..");
const bin = path.join(root, "apps/cli/bin/memento.js");
const SECRET = "p4ss-w0rd/of:nobody";
const KEY = Buffer.alloc(32, 7).toString("base64url");
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-store-errors-"));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** A command that would make a store at this URL, and must not. */
async function expectRefused(url: string, refusal: Refusal, environment: NodeJS.ProcessEnv = {}): Promise<void> {
  const command = { bin, folder, environment: { MEMENTO_KEY: KEY, ...environment } };
  await expectStoreRefusal(command, ["init", "--store", url], { secrets: [SECRET], ...refusal });
}

const secretInUrl = encodeURIComponent(SECRET);

describe("a URL that cannot be", () => {
  test.each([
    ["without a database", `postgres://me:${secretInUrl}@127.0.0.1:5432`, /database/u],
    ["with a parameter that nobody knows", `postgres://me:${secretInUrl}@127.0.0.1:5432/db?shcema=x`, /shcema/u],
    ["that names no bucket", "s3://", /S3/u],
    ["with credentials where none belong", `s3://me:${secretInUrl}@bucket/prefix`, /credentials/u],
    ["that names no container", "azure://account", /azure:/u],
  ])("%s: %s", async (_what, url, names) => {
    await expectRefused(url, { code: "INVALID_ARGUMENT", exit: 2, names });
  });

  test("of no known kind", async () => {
    await expectRefused(`oracle://me:${secretInUrl}@host/db`, { code: "PORT_UNKNOWN", exit: 2, names: /oracle:/u });
  });
});

describe("a server that nobody is at", () => {
  test.each([
    ["PostgreSQL", (port: number) => `postgres://me:${secretInUrl}@127.0.0.1:${port}/db`, {}],
    [
      "S3",
      (port: number) => `s3://bucket/prefix?endpoint=${encodeURIComponent(`http://127.0.0.1:${port}`)}`,
      { AWS_ACCESS_KEY_ID: "me", AWS_SECRET_ACCESS_KEY: SECRET, AWS_REGION: "us-east-1" },
    ],
    [
      "Azure",
      (port: number) => `azure://me/container?endpoint=${encodeURIComponent(`http://127.0.0.1:${port}/me`)}`,
      { AZURE_STORAGE_KEY: Buffer.from(SECRET).toString("base64") },
    ],
  ])("%s", async (_engine, url, environment) => {
    const port = await freePort();
    await expectRefused(
      url(port),
      { code: "STORE_UNREACHABLE", exit: 1, names: String(port), hint: /runs/u },
      environment,
    );
  });
});

describe.skipIf(!(await requireEngine("PostgreSQL", probePostgres)))("PostgreSQL", () => {
  let server: PostgresServer;
  const url = (user: string, database = "postgres"): string =>
    `postgres://${user}:${secretInUrl}@127.0.0.1:${server.port}/${database}`;

  beforeAll(async () => {
    server = await startPostgres();
    await server.query("CREATE ROLE locked LOGIN PASSWORD 'another one'; CREATE ROLE reader LOGIN");
    const rules = path.join(server.folder, "data", "pg_hba.conf");
    writeFileSync(rules, `host all locked 127.0.0.1/32 scram-sha-256\n${readFileSync(rules, "utf8")}`);
    await server.query("SELECT pg_reload_conf()");
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("a wrong password", async () => {
    await expectRefused(url("locked"), {
      code: "ACCESS_DENIED",
      exit: 1,
      names: /locked|password/u,
      hint: /password/iu,
    });
  });

  test("a database that is not there", async () => {
    await expectRefused(url("postgres", "nowhere"), {
      code: "PLACE_MISSING",
      exit: 1,
      names: /nowhere/u,
      hint: /make it/iu,
    });
  });

  test("an account that may only read", async () => {
    await expectRefused(url("reader"), {
      code: "ACCESS_DENIED",
      exit: 1,
      names: /permission|denied/u,
      hint: /rights/u,
    });
  });
});

describe.skipIf(!(await requireEngine("MinIO", minioIsThere)))("S3", () => {
  let server: S3Server;

  beforeAll(async () => {
    server = await startMinio();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("a wrong secret key", async () => {
    const url = server.url(await server.bucket());
    const environment = { ...server.environment, AWS_SECRET_ACCESS_KEY: SECRET };
    const refusal = { code: "ACCESS_DENIED", exit: 1, names: /SignatureDoesNotMatch/u, hint: /AWS_SECRET_ACCESS_KEY/u };
    await expectRefused(url, refusal, environment);
  });

  test("a bucket that is not there", async () => {
    const refusal = { code: "PLACE_MISSING", exit: 1, names: /nowhere/u, hint: /bucket/u };
    await expectRefused(server.url("nowhere"), refusal, server.environment);
  });

  test("an account that may only read", async () => {
    const bucket = await server.bucket();
    await using gateway = await readOnlyGateway(server.port);
    const refusal = { code: "ACCESS_DENIED", exit: 1, names: /AccessDenied/u, hint: /s3:PutObject/u };
    await expectRefused(server.url(bucket, "prefix", gateway.port), refusal, server.environment);
  });
});

describe("S3 by a server that ignores conditions", () => {
  test("is refused by name, before anything is written that another could overwrite", async () => {
    const program = path.join(root, "node_modules/s3rver/bin/s3rver.js");
    await using server = await startServer({
      name: "s3rver",
      command: ({ port, folder: data }) => [
        process.execPath,
        program,
        "-d",
        data,
        "-a",
        "127.0.0.1",
        "-p",
        String(port),
        "--silent",
        "--configure-bucket",
        "bucket",
      ],
    });
    const endpoint = encodeURIComponent(`http://127.0.0.1:${server.port}`);
    const environment = { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER", AWS_REGION: "us-east-1" };
    const refusal = { code: "ENGINE_UNSUITABLE", exit: 1, names: /condition|If-None-Match|absent/u };
    await expectRefused(`s3://bucket/prefix?endpoint=${endpoint}`, refusal, environment);
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
    await expectRefused(
      server.url(await server.container()),
      { code: "ACCESS_DENIED", exit: 1, names: /memento-/u },
      environment,
    );
  });

  test("a container that is not there", async () => {
    const refusal = { code: "PLACE_MISSING", exit: 1, names: /nowhere/u, hint: /make/iu };
    await expectRefused(server.url("nowhere"), refusal, server.environment);
  });
});

describe("a package that is not installed", () => {
  let alone: string;

  /** The command and the library, copied to where their own dependencies are, and nothing that is optional. */
  beforeAll(() => {
    const project = mkdtempSync(path.join(tmpdir(), "memento-no-peers-"));
    const modules = path.join(project, "node_modules");
    mkdirSync(path.join(modules, "@mementojs"), { recursive: true });
    for (const [name, from, folders] of [
      ["cli", "apps/cli", ["bin", "dist", "package.json"]],
      ["memento", "packages/memento", ["dist", "package.json"]],
    ] as const) {
      for (const each of folders)
        cpSync(path.join(root, from, each), path.join(modules, "@mementojs", name, each), { recursive: true });
      const { dependencies } = JSON.parse(readFileSync(path.join(root, from, "package.json"), "utf8")) as {
        dependencies: Record<string, string>;
      };
      for (const dependency of Object.keys(dependencies)) {
        if (dependency.startsWith("@mementojs/") || existsSync(path.join(modules, dependency))) continue;
        const own = path.join(root, from, "node_modules", dependency);
        const installed = existsSync(own) ? own : path.join(root, "node_modules", dependency);
        symlinkSync(installed, path.join(modules, dependency));
      }
    }
    alone = project;
  });
  afterAll(() => {
    rmSync(alone, { recursive: true });
  });

  test.each([
    ["pg", `postgres://me:${secretInUrl}@127.0.0.1:1/db`],
    ["@aws-sdk/client-s3", "s3://bucket/prefix"],
    ["@azure/storage-blob", "azure://account/container"],
  ])("%s is named, with how to install it", async (name, url) => {
    const command = { bin: path.join(alone, "node_modules/@mementojs/cli/bin/memento.js"), folder };
    const environment = { MEMENTO_KEY: KEY, AZURE_STORAGE_KEY: "a2V5" };
    await expectStoreRefusal({ ...command, environment }, ["init", "--store", url], {
      code: "PEER_MISSING",
      exit: 1,
      names: name,
      hint: `npm install "${name}@`,
      secrets: [SECRET],
    });
  });
});

interface Gateway extends AsyncDisposable {
  readonly port: number;
}

/** A gateway before an S3 server that passes what reads, and answers everything else as S3 answers an account without that right. */
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
