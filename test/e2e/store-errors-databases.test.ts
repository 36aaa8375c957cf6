import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";

import { MongoClient } from "mongodb";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../harness/engines.ts";
import { probeMariadb, startMariadb, type MariadbServer } from "../harness/servers/mariadb.ts";
import { mongodbIsThere, startMongodb, type MongodbServer } from "../harness/servers/mongodb.ts";
import { probePostgres, startPostgres, type PostgresServer } from "../harness/servers/postgres.ts";
import { ask, redisIsThere, startRedis, type RedisServer } from "../harness/servers/redis.ts";
import { expectRefused, SECRET, SECRET_IN_URL, startDisguise } from "./refusals.ts";

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

describe.skipIf(!(await requireEngine("MariaDB", probeMariadb)))("MariaDB", () => {
  let server: MariadbServer;
  const url = (user: string, database = "memento", port = server.port): string =>
    `mariadb://${user}:${SECRET_IN_URL}@127.0.0.1:${port}/${database}`;

  beforeAll(async () => {
    server = await startMariadb();
    await server.query(`CREATE USER locked IDENTIFIED BY 'another one'; CREATE USER reader IDENTIFIED BY '${SECRET}';
      CREATE USER owner IDENTIFIED BY '${SECRET}'; GRANT SELECT ON memento.* TO reader; GRANT ALL ON *.* TO owner`);
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("a wrong password", async () => {
    await expectRefused(url("locked"), { code: "ACCESS_DENIED", exit: 1, names: /denied/iu, hint: /password/iu });
  });

  test("a database that is not there", async () => {
    const refusal = { code: "PLACE_MISSING", exit: 1, names: /nowhere/u, hint: /make it/iu };
    await expectRefused(url("owner", "nowhere"), refusal);
  });

  test("an account that may only read", async () => {
    await expectRefused(url("reader"), { code: "ACCESS_DENIED", exit: 1, names: /denied/iu, hint: /rights/u });
  });

  test("an old server", async () => {
    await using disguise = await startDisguise(server.port, [["10.11.", "10.01."]]);
    const refusal = { code: "ENGINE_UNSUITABLE", exit: 1, names: /10\.01\..*10\.6/u };
    await expectRefused(url("owner", "memento", disguise.port), refusal);
  });
});

describe.skipIf(!(await requireEngine("MongoDB protocol (SecantusDB)", mongodbIsThere)))("MongoDB", () => {
  let server: MongodbServer;
  const url = (user: string, port = server.port): string =>
    server.url("memento", `${user}:${SECRET_IN_URL}`).replace(`:${server.port}`, `:${port}`);

  beforeAll(async () => {
    const started = await startMongodb();
    server = started;
    const client = await new MongoClient(server.url("admin")).connect();
    for (const [createUser, pwd, role] of [
      ["locked", "another one", "readWriteAnyDatabase"],
      ["reader", SECRET, "readAnyDatabase"],
      ["owner", SECRET, "root"],
    ] as const)
      await client.db("admin").command({ createUser, pwd, roles: [{ role, db: "admin" }] });
    await client.close();
    await started.stop();
    started.requireAccounts();
    await started.start();
  });
  afterAll(async () => {
    await server[Symbol.asyncDispose]();
  });

  test("a wrong password", async () => {
    await expectRefused(url("locked"), {
      code: "ACCESS_DENIED",
      exit: 1,
      names: /authentication/iu,
      hint: /password/iu,
    });
  });

  test("an account that may only read", async () => {
    await expectRefused(url("reader"), { code: "ACCESS_DENIED", exit: 1, names: /authori[sz]ed/iu, hint: /rights/u });
  });

  test("an old server", async () => {
    const wireVersion = (number: number): Buffer =>
      Buffer.concat([Buffer.from("maxWireVersion\0"), Buffer.from([number, 0, 0, 0])]);
    await using disguise = await startDisguise(server.port, [[wireVersion(27), wireVersion(6)]]);
    await expectRefused(url("owner", disguise.port), { code: "ENGINE_UNSUITABLE", exit: 1, names: /wire version/iu });
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
