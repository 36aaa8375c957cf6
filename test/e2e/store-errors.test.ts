import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, beforeAll, describe, test } from "vitest";

import { freePort } from "../harness/servers/server.ts";
import { expectRefused, SECRET, SECRET_IN_URL } from "./refusals.ts";

const root = path.resolve(import.meta.dirname, "../..");

describe("a store's URL that cannot be", () => {
  test.each([
    ["without a database", `postgres://me:${SECRET_IN_URL}@127.0.0.1:5432`, /database/u],
    ["with a parameter that nobody knows", `postgres://me:${SECRET_IN_URL}@127.0.0.1:5432/db?shcema=x`, /shcema/u],
    ["of MongoDB without a database", `mongodb://me:${SECRET_IN_URL}@127.0.0.1:27017`, /database/u],
    ["of MySQL without a database", `mysql://me:${SECRET_IN_URL}@127.0.0.1:3306/`, /database/u],
    ["with a database that is no number", `redis://:${SECRET_IN_URL}@127.0.0.1:6379/db`, /number/u],
    ["that names no bucket", "s3://", /s3:|bucket/iu],
    ["with credentials where none belong", `s3://me:${SECRET_IN_URL}@bucket/prefix`, /credentials/u],
    ["that names no container", "azure://account", /CONTAINER/u],
    ["of Google that names no bucket", "gs://", /gs:|bucket/iu],
  ])("%s: %s", async (_what, url, names) => {
    await expectRefused(url, { code: "INVALID_ARGUMENT", exit: 2, names });
  });

  test("of no known kind", async () => {
    const refusal = { code: "PORT_UNKNOWN", exit: 2, names: /oracle:/u, hint: /docs\/stores\.md/u };
    await expectRefused(`oracle://me:${SECRET_IN_URL}@host/db`, refusal);
  });
});

describe("a server that nobody is at", () => {
  const encoded = (endpoint: string): string => encodeURIComponent(endpoint);

  test.each([
    ["PostgreSQL", (port: number) => `postgres://me:${SECRET_IN_URL}@127.0.0.1:${port}/db`, {}],
    ["MariaDB", (port: number) => `mariadb://me:${SECRET_IN_URL}@127.0.0.1:${port}/db`, {}],
    ["MongoDB", (port: number) => `mongodb://me:${SECRET_IN_URL}@127.0.0.1:${port}/db`, {}],
    ["Redis", (port: number) => `redis://me:${SECRET_IN_URL}@127.0.0.1:${port}/0`, {}],
    [
      "S3",
      (port: number) => `s3://bucket/prefix?endpoint=${encoded(`http://127.0.0.1:${port}`)}`,
      { AWS_ACCESS_KEY_ID: "me", AWS_SECRET_ACCESS_KEY: SECRET, AWS_REGION: "us-east-1" },
    ],
    [
      "Azure",
      (port: number) => `azure://me/container?endpoint=${encoded(`http://127.0.0.1:${port}/me`)}`,
      { AZURE_STORAGE_KEY: Buffer.from(SECRET).toString("base64") },
    ],
    [
      "Google Cloud Storage",
      (port: number) => `gs://bucket/prefix?endpoint=${encoded(`http://127.0.0.1:${port}`)}`,
      {},
    ],
  ])("%s", async (_engine, url, environment) => {
    const port = await freePort();
    const refusal = { code: "STORE_UNREACHABLE", exit: 1, names: String(port), hint: /runs/u };
    await expectRefused(url(port), { ...refusal, environment });
  });
});

describe("a package that is not installed", () => {
  let alone: string;

  /** The command and the library, copied to where their own dependencies are, and nothing that is optional. */
  beforeAll(() => {
    alone = mkdtempSync(path.join(tmpdir(), "memento-no-peers-"));
    const modules = path.join(alone, "node_modules");
    mkdirSync(path.join(modules, "@mementojs"), { recursive: true });
    for (const [name, from, parts] of [
      ["cli", "apps/cli", ["bin", "dist", "package.json"]],
      ["memento", "packages/memento", ["dist", "package.json"]],
    ] as const) {
      for (const part of parts)
        cpSync(path.join(root, from, part), path.join(modules, "@mementojs", name, part), { recursive: true });
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
  });
  afterAll(() => {
    rmSync(alone, { recursive: true });
  });

  test.each([
    ["pg", `postgres://me:${SECRET_IN_URL}@127.0.0.1:1/db`],
    ["mysql2", `mysql://me:${SECRET_IN_URL}@127.0.0.1:1/db`],
    ["mongodb", `mongodb://me:${SECRET_IN_URL}@127.0.0.1:1/db`],
    ["ioredis", `redis://me:${SECRET_IN_URL}@127.0.0.1:1/0`],
    ["@aws-sdk/client-s3", "s3://bucket/prefix"],
    ["@azure/storage-blob", "azure://account/container"],
    ["@google-cloud/storage", "gs://bucket/prefix"],
  ])("%s is named, with how to install it", async (name, url) => {
    await expectRefused(url, {
      bin: path.join(alone, "node_modules/@mementojs/cli/bin/memento.js"),
      environment: { AZURE_STORAGE_KEY: "a2V5" },
      code: "PEER_MISSING",
      exit: 1,
      names: name,
      hint: `npm install "${name}@`,
    });
  });
});
