import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, test } from "vitest";

import { FileStore } from "../../packages/memento/src/store/file/store.ts";
import { MemoryStore } from "../../packages/memento/src/store/memory/store.ts";
import type { MementoStore, StoreSupports } from "../../packages/memento/src/store/store.ts";
import type { StorePlace } from "../../packages/memento/src/testing/store/kit.ts";
import { testStore } from "../../packages/memento/src/testing/store/store-kit.ts";
import { requiresEverything } from "../harness/engines.ts";
import { sqlitePlace, sqliteWorker } from "./sqlite-place.ts";

/** A driver that needs no server, as the conformance kit wants to be told of it. */
export interface EmbeddedDriver {
  readonly name: string;
  readonly supports: StoreSupports;
  readonly place: () => Promise<StorePlace>;
  readonly workerModule?: URL;
}

/** A place of the conformance kit: a folder in a temporary folder of its own. */
export async function filePlace(): Promise<StorePlace> {
  const folder = await mkdtemp(join(tmpdir(), "memento-file-"));
  const path = join(folder, "store");
  return { open: () => FileStore.open({ path }), address: path, dispose: () => rm(folder, { recursive: true }) };
}

/** The drivers that need no server. */
export const embeddedDrivers: readonly EmbeddedDriver[] = [
  {
    name: "MemoryStore",
    supports: { durable: false, sharedBy: "process", bodyBytesMax: 2 ** 31 - 1, reclaimsSpace: true },
    place: async () => ({ open: () => MemoryStore.open(), address: "", dispose: async () => undefined }),
  },
  {
    name: "SqliteStore",
    supports: { durable: true, sharedBy: "machine", bodyBytesMax: 900_000_000, reclaimsSpace: true },
    place: sqlitePlace,
    workerModule: sqliteWorker,
  },
  {
    name: "FileStore",
    supports: { durable: true, sharedBy: "machine", bodyBytesMax: 2 ** 30, reclaimsSpace: true },
    place: filePlace,
    workerModule: new URL("./file-store.ts", import.meta.url),
  },
];

/** Of two drivers that keep files, one will do for what lies around them: both where everything is required. */
const wrappedDrivers = embeddedDrivers.filter(({ name }) => requiresEverything() || name !== "FileStore");

/** Declares the whole conformance kit for a wrapper over drivers that need no server. Worker processes open the driver bare. */
export function testWrapped(
  name: string,
  wrap: (store: MementoStore, driver: EmbeddedDriver) => MementoStore | Promise<MementoStore>,
  drivers: readonly EmbeddedDriver[] = wrappedDrivers,
): void {
  for (const driver of drivers) {
    const place = async (): Promise<StorePlace> => {
      const inner = await driver.place();
      return { ...inner, open: async () => await wrap(await inner.open(), driver) };
    };
    const { supports, workerModule } = driver;
    describe(`${name} around ${driver.name}`, () => {
      testStore({ test, describe, supports, place, kills: 1, ...(workerModule === undefined ? {} : { workerModule }) });
    });
  }
}
