import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { openStore, type StoreSupports } from "@mementojs/memento/store";

import { NETWORKED_ENGINES } from "../../test/chaos/engines.ts";
import { DRIVERS, type DriverFacts } from "./facts.ts";
import type { BenchRow, PageParts } from "./page.ts";

const root = path.join(import.meta.dirname, "..", "..");
const figuresFile = path.join(root, "bench", "results", "stores.json");

/** Everything that the page is made of; each engine is started for a moment. */
export async function collectParts(): Promise<PageParts> {
  const { peerDependencies: ranges } = JSON.parse(
    readFileSync(path.join(root, "packages", "memento", "package.json"), "utf8"),
  ) as { peerDependencies: Record<string, string> };
  return { drivers: DRIVERS, ranges, supports: await collectSupports(), figures: readFigures() };
}

/** What every driver says of itself, by its scheme: each is asked, on the engine of the tests. */
async function collectSupports(): Promise<Readonly<Record<string, StoreSupports>>> {
  const supports: Record<string, StoreSupports> = {};
  for (const driver of DRIVERS) supports[driver.scheme] = await supportsOf(driver);
  return supports;
}

/** The bench's committed figures; none before it was run. */
function readFigures(): readonly BenchRow[] {
  return existsSync(figuresFile) ? (JSON.parse(readFileSync(figuresFile, "utf8")) as BenchRow[]) : [];
}

async function supportsOf({ scheme, engines: [first] }: DriverFacts): Promise<StoreSupports> {
  if (first === undefined) {
    const folder = mkdtempSync(path.join(tmpdir(), "memento-stores-page-"));
    try {
      return await ask(`${scheme}:${folder}/store`);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  const engine = NETWORKED_ENGINES.find(({ id }) => id === first);
  if (engine === undefined) throw new Error(`there is no engine ${first}`);
  await using running = await engine.start();
  const before = { ...process.env };
  Object.assign(process.env, running.environment);
  try {
    return await ask((await running.place())());
  } finally {
    for (const name of Object.keys(running.environment)) {
      if (before[name] === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = before[name];
    }
  }
}

async function ask(url: string): Promise<StoreSupports> {
  const { store } = await openStore(url);
  try {
    return store.supports;
  } finally {
    await store.close();
  }
}
