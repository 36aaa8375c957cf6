import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { Memento } from "./memento.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-apart-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

describe("caretaker() with a place of its own", () => {
  test("keeps its mementos there, under its own key, and closes with the rest", async () => {
    const place = { store: `sqlite:${folder}/audit.db` };
    const memento = await Memento.open(`sqlite:${folder}/main.db`);
    await memento.caretaker("etl").save({ a: 1 });
    expect(existsSync(`${folder}/audit.db`)).toBe(false);
    const audit = await memento.caretaker("audit", place);
    const { id } = await audit.save({ who: "x" });
    expect(await (await memento.caretaker("audit", { ...place })).load(id)).toEqual({ who: "x" });
    await expect(memento.vault.load(id)).rejects.toMatchObject({ code: "NOT_FOUND" });
    await memento.close();
    await expect(audit.load(id)).rejects.toMatchObject({ code: "STORE_CLOSED" });
    await memento.close();
    await using apart = await Memento.open(place.store, { keys: { file: `${folder}/audit.db.key` } });
    expect(await apart.caretaker("audit").load(id)).toEqual({ who: "x" });
    await expect(Memento.open(place.store, { keys: { file: `${folder}/main.db.key` } })).rejects.toMatchObject({
      code: "KEY_WRONG",
    });
  });

  test("refuses the same name in another place, and says what is wrong with a place", async () => {
    await using memento = await Memento.open(`sqlite:${folder}/main.db`);
    const wrong = { store: `sqlite:${folder}/none/x.db` };
    await expect(memento.caretaker("audit", wrong)).rejects.toMatchObject({ code: "IO_FAILED" });
    await memento.caretaker("audit", { store: "memory:" });
    const refused = { code: "INVALID_ARGUMENT", message: expect.stringContaining('"audit"') };
    await expect(memento.caretaker("audit", wrong)).rejects.toMatchObject(refused);
    expect(() => memento.caretaker("audit")).toThrow(expect.objectContaining(refused));
    memento.caretaker("etl");
    await expect(memento.caretaker("etl", { store: "memory:" })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});
