import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../harness/servers/postgres.ts";
import { ask, redisIsThere, startRedis, type RedisServer } from "../harness/servers/redis.ts";
import { expectRefused, SECRET_IN_URL, startDisguise } from "./refusals.ts";

describe.skipIf(!(await requireEngine("PostgreSQL", probePostgres)))("PostgreSQL", () => {
  let server: PostgresServer;
  const url = (user: string, database = "postgres", port = server.port): string =>
    `postgres://${user}:${SECRET_IN_URL}@127.0.0.1:${port}/${database}`;

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
    const refusal = { code: "ACCESS_DENIED", exit: 1, names: /locked|password/u, hint: /password/iu };
    await expectRefused(url("locked"), refusal);
  });

  test("a database that is not there", async () => {
    const refusal = { code: "PLACE_MISSING", exit: 1, names: /nowhere/u, hint: /make it/iu };
    await expectRefused(url("postgres", "nowhere"), refusal);
  });

  test("an account that may only read", async () => {
    await expectRefused(url("reader"), { code: "ACCESS_DENIED", exit: 1, names: /permission/u, hint: /rights/u });
  });

  test("an old server", async () => {
    const [{ server_version_num: number } = {}] = await server.query("SHOW server_version_num");
    await using disguise = await startDisguise(server.port, [
      [String(number), "090624"],
      ["15.", "09."],
    ]);
    const refusal = { code: "ENGINE_UNSUITABLE", exit: 1, names: /PostgreSQL 09\.\d+.*13/u };
    await expectRefused(url("postgres", "postgres", disguise.port), refusal);
  });
});

describe.skipIf(!(await requireEngine("Redis", redisIsThere)))("Redis", () => {
  let server: RedisServer;
  const url = (user: string, port = server.port): string => `redis://${user}:${SECRET_IN_URL}@127.0.0.1:${port}/0`;

  beforeAll(async () => {
    server = await startRedis();
    for (const account of [
      "locked on >other ~* &* +@all",
      "reader on nopass ~* &* +@read +@connection +info +config|get",
    ])
      expect(await ask(server.port, `ACL SETUSER ${account}`)).toContain("OK");
    expect(await ask(server.port, "ACL SETUSER owner on nopass ~* &* +@all")).toContain("OK");
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("a wrong password", async () => {
    await expectRefused(url("locked"), { code: "ACCESS_DENIED", exit: 1, names: /WRONGPASS/u, hint: /password/iu });
  });

  test("a database that is not there", async () => {
    const refusal = { code: "PLACE_MISSING", exit: 1, names: /99|index/u };
    await expectRefused(url("owner").replace(/0$/u, "99"), refusal);
  });

  test("an account that may only read", async () => {
    await expectRefused(url("reader"), {
      code: "ACCESS_DENIED",
      exit: 1,
      names: /NOPERM|permission/iu,
      hint: /rights/u,
    });
  });

  test("an old server", async () => {
    await using disguise = await startDisguise(server.port, [["redis_version:7.", "redis_version:5."]]);
    await expectRefused(url("owner", disguise.port), { code: "ENGINE_UNSUITABLE", exit: 1, names: /Redis 5\..*7/u });
  });

  test("a server that may lose what it acknowledges", async () => {
    await using forgetful = await startRedis("appendonly", "no");
    const refusal = { code: "ENGINE_UNSUITABLE", exit: 1, names: /appendonly/u, hint: /appendfsync always/u };
    await expectRefused(url("default", forgetful.port), refusal);
  });
});
