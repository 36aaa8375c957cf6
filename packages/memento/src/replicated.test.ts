import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import nodePath from "node:path";
import process from "node:process";

import { describe, expect, onTestFinished, test } from "vitest";

import { requireEngine } from "../../../test/harness/engines.ts";
import { expectSame } from "../../../test/harness/replica-content.ts";
import { probeMariadb, startMariadb } from "../../../test/harness/servers/mariadb.ts";
import { minioIsThere, startMinio } from "../../../test/harness/servers/minio.ts";
import { mongodbIsThere, startMongodb } from "../../../test/harness/servers/mongodb.ts";
import { probePostgres, startPostgres } from "../../../test/harness/servers/postgres.ts";
import { redisIsThere, startRedis } from "../../../test/harness/servers/redis.ts";
import type { Server } from "../../../test/harness/servers/server.ts";
import { Memento } from "./memento.ts";
import { openReplicated } from "./replicated.ts";
import { openStore } from "./store/open-store.ts";
import type { MementoStore } from "./store/store.ts";
import { promoteReplica } from "./store/wrap/index.ts";
import { replicaAuthority } from "./vault/replica-authority.ts";

const KEYS = { raw: [new Uint8Array(32).fill(5)] };

/** A server with one empty place for a store. */
interface Engine {
  readonly server: Server;
  readonly url: string;
}

const engines = {
  PostgreSQL: {
    probe: probePostgres,
    start: async () => at(await startPostgres(), (server) => server.url("replicas")),
  },
  MariaDB: { probe: probeMariadb, start: async () => at(await startMariadb(), (server) => server.url("replicas_")) },
  Redis: { probe: redisIsThere, start: async () => at(await startRedis(), (server) => server.url("replicas")) },
  "MongoDB protocol (SecantusDB)": {
    probe: mongodbIsThere,
    start: async () => at(await startMongodb(), (server) => server.url("replicas")),
  },
  MinIO: {
    probe: minioIsThere,
    start: async () => {
      const server = await startMinio();
      Object.assign(process.env, server.environment);
      const url = server.url(await server.bucket(), "replicas");
      return at(server, () => url);
    },
  },
} as const;

function at<Started extends Server>(server: Started, url: (server: Started) => string): Engine {
  onTestFinished(async () => await server[Symbol.asyncDispose]());
  return { server, url: url(server) };
}

async function bare(url: string): Promise<MementoStore> {
  const { store } = await openStore(url);
  onTestFinished(async () => await store.close());
  return store;
}

const pairs = [
  ["PostgreSQL", "Redis", "synchronous"],
  ["Redis", "MinIO", "streamed"],
  ["MongoDB protocol (SecantusDB)", "MariaDB", "synchronous"],
] as const;

for (const [from, to, mode] of pairs) {
  const areThere = (await requireEngine(from, engines[from].probe)) && (await requireEngine(to, engines[to].probe));
  describe.skipIf(!areThere)(`a replica of ${from} on ${to}, ${mode}`, () => {
    test("outlives its own server's kill -9, then its primary's, and has everything", async () => {
      const [primary, replica] = [await engines[from].start(), await engines[to].start()];
      const options = { keys: KEYS, mode, onReplicaFailure: "lag", replicas: [{ store: replica.url }] } as const;
      const { memento, store } = await openReplicated(primary.url, options);
      onTestFinished(async () => await memento.close().catch(() => undefined));
      const etl = memento.caretaker("etl");
      const ids: string[] = [];
      const save = async (count: number): Promise<void> => {
        for (let left = count; left > 0; left--)
          ids.push(
            (
              await etl.save(
                { page: ids.length, text: "x".repeat(2_000) },
                { id: `name-${ids.length % 3}`, replace: true },
              )
            ).id,
          );
      };
      await save(8);
      await replica.server.kill();
      await save(3);
      expect((await store.lag())[0]?.commits).toBeGreaterThanOrEqual(3);
      await replica.server.start();
      await save(3);
      await etl.delete(ids[1] ?? "");
      await memento.secureDelete([ids[2] ?? ""], { reason: "asked for" });
      await store.catchUp();
      expect((await store.compare())[0]?.differing).toEqual([]);
      await expectSame(await bare(primary.url), await bare(replica.url));

      await primary.server.kill();
      const taken = await Memento.open(await bare(replica.url), { keys: KEYS, create: false });
      await promoteReplica(await bare(replica.url), { authority: replicaAuthority(taken.vault), epochs: 4 });
      expect(await taken.caretaker("etl").latest()).toMatchObject({ page: 13 });
      expect((await taken.verify()).damages).toEqual([]);
      await taken.caretaker("etl").save({ page: 14 });
      expect(await taken.caretaker("etl").latest()).toEqual({ page: 14 });
    }, 120_000);
  });
}

const late = ["PostgreSQL", "MariaDB", "Redis", "MongoDB protocol (SecantusDB)", "MinIO"] as const;

for (const engine of late) {
  const isThere = await requireEngine(engine, engines[engine].probe);
  describe.skipIf(!isThere)(`a replica on ${engine} that is down when all is opened`, () => {
    test("lags by its name, and catches up once it is there", async () => {
      const { server, url } = await engines[engine].start();
      await server.kill();
      const problems: string[] = [];
      const { memento, store } = await openReplicated(await sqliteUrl(), {
        keys: KEYS,
        mode: "streamed",
        replicas: [{ store: url }],
        onProblem: ({ code }) => problems.push(code),
      });
      onTestFinished(async () => await memento.close());
      await memento.caretaker("etl").save({ page: 1 }, { id: "first" });
      expect(await store.lag()).toMatchObject([{ state: "failing", commits: 1 }]);
      expect((await store.lag())[0]?.replica).toContain(new URL(url).protocol);
      expect(problems).toEqual(["STORE_UNREACHABLE"]);
      await server.start();
      await store.catchUp();
      expect(await store.lag()).toMatchObject([{ state: "following", commits: 0, problem: null }]);
      await expectSame(memento.vault.store, await bare(url));
    }, 120_000);
  });
}

describe("openReplicated()", () => {
  test("opens without a replica whose disk is not there, tells who saves, and has it once it is", async () => {
    const folder = await temporaryFolder();
    const url = `sqlite:${folder}/disk/replica.db`;
    const options = { keys: KEYS, mode: "synchronous", replicas: [{ store: url }] } as const;
    const { memento, store } = await openReplicated(`sqlite:${folder}/primary.db`, { ...options, pollMs: 1e6 });
    onTestFinished(async () => await memento.close());
    const etl = memento.caretaker("etl");
    await expect(etl.save({ page: 1 })).rejects.toMatchObject({
      code: "STORE_UNREACHABLE",
      message: expect.stringContaining("replica.db") as unknown,
    });
    expect(await store.lag()).toMatchObject([{ replica: url, state: "failing" }]);
    await mkdir(`${folder}/disk`);
    await etl.save({ page: 2 });
    await expectSame(memento.vault.store, await bare(url));
  });

  test("is closed while a replica is still missing", async () => {
    const folder = await temporaryFolder();
    const { memento } = await openReplicated(`sqlite:${folder}/primary.db`, {
      keys: KEYS,
      mode: "streamed",
      pollMs: 1,
      replicas: [{ store: `sqlite:${folder}/disk/replica.db` }],
    });
    await memento.caretaker("etl").save({ page: 1 });
    await expect(memento.close()).resolves.toBeUndefined();
  });

  test("refuses at once what no waiting mends", async () => {
    const folder = await temporaryFolder();
    const options = { keys: KEYS, mode: "streamed", replicas: [{ store: "sqlight:replica.db" }] } as const;
    await expect(openReplicated(`sqlite:${folder}/primary.db`, options)).rejects.toMatchObject({
      code: "PORT_UNKNOWN",
    });
  });
});

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(nodePath.join(tmpdir(), "memento-replicated-"));
  onTestFinished(async () => await rm(folder, { recursive: true }));
  return folder;
}

async function sqliteUrl(): Promise<string> {
  return `sqlite:${await temporaryFolder()}/primary.db`;
}
