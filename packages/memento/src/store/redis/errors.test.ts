import { execFile } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { ask, redisIsThere, startRedis, type RedisServer } from "../../../../../test/harness/servers/redis.ts";
import { freePort } from "../../../../../test/harness/servers/server.ts";
import { isMementoError, type ErrorCode, type MementoError } from "../../core/errors.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { collect, expectCode } from "../../testing/store/kit.ts";
import { mementoQuery } from "../query.ts";
import { readRedisUrl } from "./address.ts";
import { RedisStore } from "./store.ts";
import { judgeServer } from "./suitability.ts";

const SECRET = "s3cr-t";

async function refusal(call: () => Promise<unknown>): Promise<MementoError> {
  try {
    await call();
  } catch (error) {
    if (isMementoError(error)) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** All that an error shows, to people and to logs. */
const shown = (error: unknown): string =>
  error instanceof Error
    ? JSON.stringify([error.message, error.stack, Object.entries(error)]) + shown(error.cause)
    : JSON.stringify(error ?? null);

describe.skipIf(!(await requireEngine("Redis", redisIsThere)))("what goes wrong with a store on Redis", () => {
  let server: RedisServer;
  let redis: Redis;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.port, "127.0.0.1");
    await redis.acl("SETUSER", "writer", "on", `>${SECRET}`, "~*", "+@all");
    await redis.acl("SETUSER", "reader", "on", `>${SECRET}`, "~*", "+@all", "-@write");
    await redis.acl("SETUSER", "humble", "on", `>${SECRET}`, "~{humble}:*", "+@all", "-@admin", "-@dangerous");
    await redis.acl("SETUSER", "elsewhere", "on", `>${SECRET}`, "~{other}:*", "+@all");
  });
  afterAll(async () => {
    redis.disconnect();
    await server[Symbol.asyncDispose]();
  });

  const as = (user: string, password: string, query: string): string =>
    `redis://${user}:${password}@127.0.0.1:${server.port}/0?${query}`;

  describe("open()", () => {
    test("refuses a wrong password with ACCESS_DENIED, and never shows one", async () => {
      const error = await refusal(async () => await RedisStore.openUrl(as("writer", `${SECRET}-wrong`, "prefix=a")));
      expect(error.code).toBe("ACCESS_DENIED");
      expect(shown(error)).not.toContain(SECRET);
      await using store = await RedisStore.openUrl(as("writer", SECRET, "prefix=a"));
      expect(store.url).toBe(`redis://127.0.0.1:${server.port}?prefix=a`);
    });

    test("refuses a database that there is not with PLACE_MISSING, in place of using another", async () => {
      await expectCode("PLACE_MISSING", async () => await RedisStore.openUrl(`redis://127.0.0.1:${server.port}/99`));
    });

    test("says STORE_UNREACHABLE where nobody answers", async () => {
      const port = await freePort();
      const error = await refusal(async () => await RedisStore.openUrl(`redis://u:${SECRET}@127.0.0.1:${port}`));
      expect(error.code).toBe("STORE_UNREACHABLE");
      expect(shown(error)).not.toContain(SECRET);
    });

    test("makes no key", async () => {
      await using store = await RedisStore.openUrl(server.url("empty"));
      expect(await store.meta()).toBe(null);
      expect(await redis.keys("{empty}*")).toEqual([]);
    });

    test.each([
      ["appendfsync", "everysec"],
      ["appendonly", "no"],
      ["no-appendfsync-on-rewrite", "yes"],
    ])("refuses a server with %s %s, naming it and the way out", async (name, value) => {
      await using weak = await startRedis(name, value);
      const error = await refusal(async () => await RedisStore.openUrl(weak.url("a")));
      expect(error.code).toBe("ENGINE_UNSUITABLE");
      expect(error.message).toContain(`${name} is ${value}`);
      expect(error.hint).toContain("durability=relaxed");
      await using relaxed = await RedisStore.openUrl(`${weak.url("a")}&durability=relaxed`);
      expect(relaxed.supports.durable).toBe(false);
    });

    test("refuses a server that evicts, even where loss is accepted", async () => {
      await using weak = await startRedis("maxmemory", "50mb", "maxmemory-policy", "allkeys-lru");
      const error = await refusal(async () => await RedisStore.open({ url: weak.url("a"), allowLoss: true }));
      expect(error.code).toBe("ENGINE_UNSUITABLE");
      expect(error.message).toContain("allkeys-lru");
    });

    test("refuses a server that does not tell, unless loss is accepted", async () => {
      const error = await refusal(async () => await RedisStore.openUrl(as("humble", SECRET, "prefix=humble")));
      expect(error.code).toBe("ENGINE_UNSUITABLE");
      await using store = await RedisStore.openUrl(as("humble", SECRET, "prefix=humble&durability=relaxed"));
      expect(store.supports.durable).toBe(false);
      const make = new StoreFixture(1);
      await store.create(make.meta(), make.key("integrity"));
      const timeline = await make.timeline(store);
      const dataKey = make.key("data");
      await store.append(make.batch([timeline.next()], { dataKey, suite: "A256GCM" }));
      expect(await store.dropKey(dataKey.id)).toBe(true);
      expect(await collect(store.check())).toEqual([]);
    });

    test("refuses an old server", () => {
      const facts = new Map([["info redis_version", "6.2.14"]]);
      expect(() => judgeServer(facts, "redis://h:1", true)).toThrow(/6\.2\.14/u);
    });
  });

  describe("an account", () => {
    test("that may only read is told ACCESS_DENIED where it writes, and reads", async () => {
      const make = new StoreFixture(1);
      await using owner = await RedisStore.openUrl(as("writer", SECRET, "prefix=b"));
      await owner.create(make.meta(), make.key("integrity"));
      const timeline = await make.timeline(owner);
      const { id } = await timeline.save(owner);
      await using reader = await RedisStore.openUrl(as("reader", SECRET, "prefix=b"));
      expect((await reader.read(id))?.slot).toBe(0);
      expect(await collect(reader.query(mementoQuery()))).toHaveLength(1);
      expect(await collect(reader.check())).toEqual([]);
      await expectCode("ACCESS_DENIED", async () => await reader.append(make.batch([timeline.record()])));
      await expectCode("ACCESS_DENIED", async () => await reader.note(make.notice("restored")));
      expect(await collect(owner.check())).toEqual([]);
      await using nothing = await RedisStore.openUrl(as("reader", SECRET, "prefix=c"));
      await expectCode("ACCESS_DENIED", async () => await nothing.create(make.meta(), make.key("integrity")));
    });

    test("of other keys is told ACCESS_DENIED", async () => {
      const make = new StoreFixture(1);
      await using store = await RedisStore.openUrl(as("elsewhere", SECRET, "prefix=d"));
      await expectCode("ACCESS_DENIED", async () => await store.create(make.meta(), make.key("integrity")));
    });
  });

  test("a server without memory left says DISK_FULL, and nothing is half done", async () => {
    await using small = await startRedis("maxmemory", "12mb", "maxmemory-policy", "noeviction");
    await using store = await RedisStore.openUrl(small.url("full"));
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    const timeline = await make.timeline(store);
    const body = Buffer.alloc(1_000_000, 1);
    const saved: string[] = [];
    const error = await refusal(async () => {
      for (;;) {
        const record = timeline.record();
        await store.append(make.batch([record], { body }));
        timeline.next(record.entry);
        saved.push(record.entry.id);
      }
    });
    expect(error.code).toBe("DISK_FULL");
    expect(saved.length).toBeGreaterThan(2);
    expect((await store.timeline(timeline.key))?.head?.id).toBe(saved.at(-1));
    expect(await collect(store.check())).toEqual([]);
  });

  test("a server without memory left takes what gives some back: leases, removals, and their reclaiming", async () => {
    await using small = await startRedis();
    await using store = await RedisStore.openUrl(small.url("full"));
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    const timeline = await make.timeline(store);
    const { id } = await timeline.save(store);
    await timeline.save(store);
    expect(await ask(small.port, "CONFIG SET maxmemory 1000000")).toBe("+OK\r\n");
    await expectCode("DISK_FULL", async () => await timeline.save(store));
    const collector = await make.timeline(store);
    expect(await store.acquireLease({ timeline: collector.key, lease: make.lease(2) })).toBe(true);
    expect(await store.remove([id], make.notice("cleaned", { mementos: [id] }))).toEqual([id]);
    expect(await store.reclaim([id])).toMatchObject({ packs: 1 });
    expect(await store.releaseLease({ timeline: collector.key, lease: make.lease(2, null) }, "owner-2")).toBe(true);
    expect(await collect(store.check())).toEqual([]);
  });

  test("a replica says STORE_UNREACHABLE where it is written to", async () => {
    const make = new StoreFixture(1);
    await using owner = await RedisStore.openUrl(server.url("e"));
    await owner.create(make.meta(), make.key("integrity"));
    await using replica = await startRedis("replicaof", `127.0.0.1 ${server.port}`);
    const follower = new Redis(replica.port, "127.0.0.1");
    for (const end = Date.now() + 60_000; (await follower.exists("{e}:store")) === 0 && Date.now() < end;)
      await new Promise((resolve) => void setTimeout(resolve, 50));
    follower.disconnect();
    await using store = await RedisStore.openUrl(replica.url("e"));
    expect(await store.meta()).toEqual(await owner.meta());
    await expectCode("STORE_UNREACHABLE", async () => await store.note(make.notice("restored")));
    await using waiting = await RedisStore.openUrl(`${server.url("e")}&waitReplicas=1`);
    await waiting.note(make.notice("restored"));
    await replica.kill();
    await using patient = await RedisStore.open({ url: `${server.url("e")}&waitReplicas=1`, commandTimeoutMs: 20_000 });
    const error = await refusal(async () => await patient.note(make.notice("restored")));
    expect([error.code, error.details["replicas"]]).toEqual(["STORE_UNREACHABLE", 0]);
  });

  test("TLS: a certificate is trusted by the authority that is given, and by nothing else", async () => {
    const folder = mkdtempSync(join(tmpdir(), "memento-tls-"));
    chmodSync(folder, 0o755);
    const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
    const names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
    const made = [
      "req",
      "-x509",
      "-newkey",
      "rsa:2048",
      "-nodes",
      "-days",
      "2",
      "-keyout",
      key,
      "-out",
      cert,
      ...names,
    ];
    await promisify(execFile)("openssl", made);
    chmodSync(key, 0o644);
    const port = await freePort();
    const settings = ["tls-port", String(port), "tls-cert-file", cert, "tls-key-file", key, "tls-ca-cert-file", cert];
    await using secure = await startRedis(...settings, "tls-auth-clients", "no");
    const url = `rediss://127.0.0.1:${port}?prefix=tls`;
    await using store = await RedisStore.open({ url, tls: { ca: readFileSync(cert) } });
    const make = new StoreFixture(1);
    await store.create(make.meta(), make.key("integrity"));
    expect(store.url).toBe(url);
    await expectCode("STORE_UNREACHABLE", async () => await RedisStore.openUrl(url));
    await expectCode(
      "STORE_UNREACHABLE",
      async () => await RedisStore.open({ url: url.replace(`${port}`, `${secure.port}`), connectTimeoutMs: 500 }),
    );
    rmSync(folder, { recursive: true });
  });

  describe("a client that is handed in", () => {
    test("is used, and left open", async () => {
      const client = new Redis({ port: server.port, host: "127.0.0.1", autoResendUnfulfilledCommands: false });
      const store = await RedisStore.open({ client, prefix: "own" });
      const make = new StoreFixture(1);
      await store.create(make.meta(), make.key("integrity"));
      expect(store.url).toBe(`redis://127.0.0.1:${server.port}?prefix=own`);
      await store.close();
      await expectCode("STORE_CLOSED", async () => await store.meta());
      expect(await client.ping()).toBe("PONG");
      client.disconnect();
    });

    test.each([
      ["sends commands again", {}],
      ["has a keyPrefix", { autoResendUnfulfilledCommands: false, keyPrefix: "x:" }],
    ])("is refused when it %s", async (_, options) => {
      const client = new Redis({ port: server.port, host: "127.0.0.1", ...options });
      await expectCode("INVALID_ARGUMENT", async () => await RedisStore.open({ client }));
      client.disconnect();
    });
  });
});

describe("a URL", () => {
  test("gives hosts, account, database and options", () => {
    expect(readRedisUrl("rediss://me:p%40ss:w@[::1]:7000/3?prefix=etl&durability=relaxed&waitReplicas=2")).toEqual({
      address: {
        nodes: [{ host: "::1", port: 7_000 }],
        isCluster: false,
        isTls: true,
        user: "me",
        password: "p@ss:w",
        database: 3,
      },
      options: { prefix: "etl", allowLoss: true, waitReplicas: 2 },
    });
    expect(readRedisUrl("redis+cluster://a:1,b").address.nodes).toEqual([
      { host: "a", port: 1 },
      { host: "b", port: 6_379 },
    ]);
  });

  test.each([
    `http://u:${SECRET}@h`,
    `redis://u:${SECRET}@h/x`,
    `redis://u:${SECRET}@`,
    `redis://u:${SECRET}@a,b`,
    `redis+cluster://u:${SECRET}@a,b/1`,
    `redis://u:${SECRET}%zz@h`,
    `redis://u:${SECRET}@h?prefix={a}`,
    `redis://u:${SECRET}@h?durability=none`,
    `redis://u:${SECRET}@h?timeout=1`,
    `redis://u:${SECRET}@h:99999`,
  ])("that cannot be read is INVALID_ARGUMENT, and its password is not shown: %#", (url) => {
    const codes: ErrorCode[] = [];
    try {
      readRedisUrl(url);
    } catch (error) {
      if (isMementoError(error)) codes.push(error.code);
      expect(shown(error)).not.toContain(SECRET);
    }
    expect(codes).toEqual(["INVALID_ARGUMENT"]);
  });
});
