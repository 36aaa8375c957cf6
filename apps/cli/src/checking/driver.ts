import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { MementoError } from "@mementojs/memento";
import { randomText, systemRandom } from "@mementojs/memento/core";
import type { MementoStore, StoreSupports } from "@mementojs/memento/store";
import type { StoreKitOptions, StorePlace } from "@mementojs/memento/testing";

import { ownProgram } from "../own-files.ts";
import { namedPlace } from "../place/store-place.ts";
import { openStore } from "./url-store.ts";

/** What is checked, ready for the conformance kit. */
export interface CheckedDriver extends Omit<StoreKitOptions, "test" | "describe"> {
  /** A store of one place, for people. */
  readonly url: string;
  /** True: places stay behind on a server, for nobody here knows how to take them away. */
  readonly leavesPlaces: boolean;
}

/** What a driver's module must export, and may. */
interface DriverModule {
  readonly openStore: (address: string) => Promise<MementoStore>;
  readonly place: () => Promise<StorePlace>;
  readonly knownGaps?: Readonly<Record<string, string>>;
}

/** Stands in a URL for a text that is another one for each test. */
const COUNTER = "{n}";

/** A driver from its module's path, or one of ours at a URL. INPUT_MISSING, INVALID_ARGUMENT, what the driver raises. */
export async function checkedDriver(subject: string, cwd: string): Promise<CheckedDriver> {
  const file = path.resolve(cwd, subject);
  if (existsSync(file)) return await fromModule(file);
  if (/^[a-z][a-z0-9+.-]+:/u.test(subject)) return await fromUrl(subject, cwd);
  throw new MementoError("INPUT_MISSING", `There is no file ${file}`, {
    hint: "Name the module of a driver, or the URL of a store.",
  });
}

async function fromModule(file: string): Promise<CheckedDriver> {
  const workerModule = pathToFileURL(file);
  const found = (await import(workerModule.href)) as Partial<DriverModule>;
  const missing = (["openStore", "place"] as const).filter((name) => typeof found[name] !== "function");
  if (missing.length > 0)
    throw new MementoError("INVALID_ARGUMENT", `${file} exports no function ${missing.join(" and ")}`, {
      hint: "A driver's module exports openStore(address) and place(); docs/moving.md shows one.",
    });
  const { place = async () => await Promise.reject(new Error("not reached")), knownGaps = {} } = found;
  return { ...(await probe(place)), place, workerModule, knownGaps, leavesPlaces: false };
}

async function fromUrl(url: string, cwd: string): Promise<CheckedDriver> {
  const isMemory = url.startsWith("memory:");
  if (!url.includes(COUNTER) && !isMemory)
    throw new MementoError("INVALID_ARGUMENT", "Each test needs an empty place of its own: put {n} into the URL", {
      hint: "For example file:/tmp/check-{n}, postgres://host/db?schema=check_{n} or s3://bucket/check-{n}.",
    });
  let count = 0;
  // Another one in each process, so that a check that was stopped is not in the way of the next.
  const session = randomText(systemRandom, 6);
  const place = async (): Promise<StorePlace> => {
    count += 1;
    const named = namedPlace(url.replaceAll(COUNTER, `${session}${count}`), "option", cwd);
    return await Promise.resolve({
      open: async () => await openStore(named.url),
      address: named.url,
      dispose: async () => {
        if (named.path === null) return;
        for (const end of ["", "-wal", "-shm", ".key"])
          await rm(`${named.path}${end}`, { recursive: true, force: true });
      },
    });
  };
  const { path: folder } = namedPlace(url, "option", cwd);
  const workerModule = ownProgram("checking/url-store");
  return { ...(await probe(place)), place, workerModule, leavesPlaces: folder === null && !isMemory };
}

/** Opens a first place: what the driver says of itself decides which tests there are. */
async function probe(
  place: DriverModule["place"],
): Promise<{ readonly url: string; readonly supports: StoreSupports }> {
  const first = await place();
  try {
    await using store = await first.open();
    return { url: store.url, supports: store.supports };
  } finally {
    await first.dispose();
  }
}
