import { chmodSync, mkdtempSync } from "node:fs";
import { join } from "node:path";

import { NETWORKED_ENGINES, type EngineId } from "../../../test/chaos/engines.ts";
import type { StoreName } from "../arguments.ts";
import { BenchError } from "../bench-error.ts";
import { bareMongodb, bareMysql, barePostgres, bareRedis, wipeRedis } from "./bare-databases.ts";
import { bareFiles, bareSqliteTable } from "./bare-embedded.ts";
import { bareAzure, bareGcs, bareS3 } from "./bare-objects.ts";
import type { BareStore, StartedEngine, StoreEngine } from "./store-engine.ts";

/** How the bare client of each networked engine works. */
interface Bare {
  readonly title: string;
  readonly open: (url: string, writers: number) => Promise<BareStore>;
  readonly wipe?: (url: string) => Promise<void>;
}

const BARE: Readonly<Record<EngineId, Bare>> = {
  postgres: { title: "INSERT, SELECT by pg", open: barePostgres },
  mariadb: { title: "INSERT, SELECT by mysql2", open: bareMysql },
  mongodb: { title: "insertOne, findOne by mongodb", open: bareMongodb },
  redis: { title: "SET, GET by ioredis", open: bareRedis, wipe: wipeRedis },
  "s3-minio": { title: "PUT, GET by @aws-sdk/client-s3", open: bareS3 },
  "s3-versitygw": { title: "PUT, GET by @aws-sdk/client-s3", open: bareS3 },
  azure: { title: "PUT, GET by @azure/storage-blob", open: bareAzure },
  gcs: { title: "PUT, GET by @google-cloud/storage", open: bareGcs },
};

const sqlite: StoreEngine = {
  title: "SQLite",
  bareTitle: "INSERT, SELECT by node:sqlite",
  start: async (folder) => ({
    place: async () => {
      const own = mkdtempSync(join(folder, "turn-"));
      return {
        url: `sqlite:${join(own, "memento.db")}`,
        bare: async () => await bareSqliteTable(join(own, "bare.db")),
      };
    },
    [Symbol.asyncDispose]: async () => undefined,
  }),
};

const files: StoreEngine = {
  title: "files",
  bareTitle: "a file each, synced and renamed",
  start: async (folder) => ({
    place: async () => {
      const own = mkdtempSync(join(folder, "turn-"));
      return { url: `file:${join(own, "memento")}`, bare: async () => await bareFiles(join(own, "bare")) };
    },
    [Symbol.asyncDispose]: async () => undefined,
  }),
};

/** Every engine that a store can be on, by the name given on the command line. Memory is left out: it has nothing to wait for. */
export const STORE_ENGINES: ReadonlyMap<StoreName, StoreEngine> = new Map<StoreName, StoreEngine>([
  ["sqlite", sqlite],
  ["file", files],
  ...NETWORKED_ENGINES.map(({ id }) => [id, networked(id)] as const),
]);

/** An engine of the tests, by the same private start: its data lies below the folder, and it ends with the bench. */
function networked(id: EngineId): StoreEngine {
  const engine = NETWORKED_ENGINES.find((each) => each.id === id);
  const bare = BARE[id];
  if (engine === undefined) throw new BenchError(`there is no engine ${id}`);
  return {
    title: engine.name,
    bareTitle: bare.title,
    start: async (folder): Promise<StartedEngine> => {
      const available = await engine.probe();
      if (available !== true) throw new BenchError(`${engine.name} cannot be started: ${available}`);
      // Servers of the tests keep their data below the system's temp folder.
      process.env["TMPDIR"] = folder;
      // Those that run as users of their own write there too.
      chmodSync(folder, 0o1777);
      const running = await engine.start();
      const endWithUs = (): void => running.server.signal("SIGKILL");
      process.once("exit", endWithUs);
      Object.assign(process.env, running.environment);
      let last = "";
      return {
        place: async () => {
          const url = (await running.place())();
          last = url;
          return { url, bare: async (writers) => await bare.open(url, writers) };
        },
        ...(bare.wipe === undefined ? {} : { wipe: async () => await bare.wipe?.(last) }),
        [Symbol.asyncDispose]: async () => {
          process.off("exit", endWithUs);
          await running[Symbol.asyncDispose]();
        },
      };
    },
  };
}
