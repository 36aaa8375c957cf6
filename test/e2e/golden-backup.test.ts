import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { listBackup, Memento } from "@mementojs/memento";
import { describe, expect, test } from "vitest";

const at = (name: string): string => fileURLToPath(new URL(`../fixtures/portable-2/${name}`, import.meta.url));
const told = JSON.parse(readFileSync(at("told.json"), "utf8")) as { readonly digest: string };

describe("P9 readable for ever: a portable file of version 2", () => {
  test("the backup of a store is listed as it was told, with the key text that it brings", async () => {
    const { digest, caretakers, timelines, keys } = await listBackup(at("store.memento"), {
      keys: { file: at("key") },
    });
    expect({ digest, caretakers, timelines }).toEqual(told);
    expect(keys).toBe("# no key of anybody's\n");
  });

  test("it is restored, and the store gives its digest", async () => {
    await using memento = await Memento.open("memory:");
    const restored = await memento.restoreBackup(at("store.memento"), { keys: { file: at("key") } });
    expect(restored.verified).toMatchObject({ identical: true, digest: told.digest });
    expect((await memento.digest()).digest).toBe(told.digest);
    expect((await memento.verify()).damages).toEqual([]);
    expect(await memento.caretaker("öther 漢字").load("step 5")).toEqual({ step: 5 });
    expect(await memento.caretaker("etl").policy()).toEqual({ maxCount: 100 });
  });

  test("in the header the version is 2, and the content is a store", () => {
    const bytes = readFileSync(at("store.memento"));
    expect(bytes.readUInt32BE(8)).toBe(2);
    const header = JSON.parse(bytes.toString("utf8", 16, 16 + bytes.readUInt32BE(12))) as unknown;
    expect(header).toMatchObject({ content: "store", caretaker: "", timeline: null, memento: null });
  });
});
