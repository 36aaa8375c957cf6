import { readFile } from "node:fs/promises";

import { describe, expect, test } from "vitest";

import library from "../../packages/memento/package.json" with { type: "json" };
import { collectParts } from "../../tools/stores-page/collect.ts";
import { DRIVERS } from "../../tools/stores-page/facts.ts";
import { driverSection, makeStoresPage } from "../../tools/stores-page/page.ts";
import { requireEngine } from "../harness/engines.ts";
import { NETWORKED_ENGINES } from "./engines.ts";

let allThere = true;
for (const { name, probe } of NETWORKED_ENGINES) allThere = (await requireEngine(name, probe)) && allThere;

const readPage = () => readFile(new URL("../../docs/stores.md", import.meta.url), "utf8");

describe("docs/stores.md", () => {
  test.skipIf(!allThere)(
    "is what `npm run docs:stores` makes of the drivers, their facts and the figures",
    async () => {
      expect(await readPage()).toBe(makeStoresPage(await collectParts()));
    },
  );

  test("says of each driver what the facts say, which needs no engine", async () => {
    const page = await readPage();
    for (const driver of DRIVERS) expect(page).toContain(driverSection(driver, library.peerDependencies).join("\n"));
  });

  test("names subpaths and packages that there are", () => {
    const { exports, peerDependencies } = library;
    for (const { subpath, packages } of DRIVERS) {
      expect(Object.keys(exports)).toContain(subpath.replace("@mementojs/memento", "."));
      for (const name of packages) expect(Object.keys(peerDependencies)).toContain(name);
    }
  });

  test("has every engine of the tests and every scheme that the library opens", async () => {
    expect(DRIVERS.flatMap(({ engines }) => engines).toSorted()).toEqual(
      NETWORKED_ENGINES.map(({ id }) => id).toSorted(),
    );
    const { openStore } = await import("@mementojs/memento/store");
    const refused: unknown = await openStore("nothing:").catch((error: unknown) => error);
    const schemes = [...String(refused).matchAll(/[\w+]+:(?=,|$)/gu)].map(([scheme]) => scheme);
    const urls = JSON.stringify(DRIVERS.map((driver) => driver.urls));
    expect(schemes.length).toBeGreaterThan(2);
    expect(schemes.filter((scheme) => !urls.includes(scheme))).toEqual([]);
  });
});
