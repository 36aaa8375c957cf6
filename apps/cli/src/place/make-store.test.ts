import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { keyAdvice, keyPlaceOf, makeStore } from "./make-store.ts";
import { folderPlace } from "./store-place.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-make-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const modeOf = (file: string): number => statSync(path.join(folder, ".memento", file)).mode & 0o777;

describe("makeStore()", () => {
  test("makes the folder, the store, a key for its owner alone, and keeps all of it out of repositories", async () => {
    const { memento, created, key } = await makeStore(folderPlace(folder), { env: {} });
    await memento.close();
    expect(created).toBe(true);
    expect(modeOf("")).toBe(0o700);
    expect(modeOf("store.db.key")).toBe(0o600);
    expect(readFileSync(path.join(folder, ".memento", ".gitignore"), "utf8")).toBe("*\n");
    expect(key).toEqual({ kind: "file", where: path.join(folder, ".memento", "store.db.key"), exists: true });
    expect(keyAdvice(key)).toContain("Keep a copy");
  });

  test("opens what is there, and changes nothing", async () => {
    await (await makeStore(folderPlace(folder), { env: {} })).memento.close();
    const before = readFileSync(path.join(folder, ".memento", "store.db.key"), "utf8");
    const again = await makeStore(folderPlace(folder), { env: {} });
    await again.memento.close();
    expect(again.created).toBe(false);
    expect(readFileSync(path.join(folder, ".memento", "store.db.key"), "utf8")).toBe(before);
  });

  test("makes no key file where the environment has the key", async () => {
    const env = { MEMENTO_KEY: Buffer.alloc(32, 7).toString("base64url") };
    const { memento, key } = await makeStore(folderPlace(folder), { env });
    await memento.close();
    expect(key).toEqual({ kind: "environment", where: "MEMENTO_KEY", exists: true });
    expect(readdirSync(path.join(folder, ".memento"))).not.toContain("store.db.key");
  });

  test("leaves no folder behind when the key is none", async () => {
    await expect(makeStore(folderPlace(folder), { env: { MEMENTO_KEY: "short" } })).rejects.toMatchObject({
      code: "KEY_WRONG",
    });
    const left = readdirSync(folder);
    // Whatever a store's driver has begun is not ours to remove; our own folder and its file alone are.
    if (left.length > 0) expect(readdirSync(path.join(folder, ".memento"))).not.toEqual([".gitignore"]);
  });

  test("says which folder cannot be made", async () => {
    writeFileSync(path.join(folder, ".memento"), "a file in its place");
    await expect(makeStore(folderPlace(folder), { env: {} })).rejects.toMatchObject({ code: "IO_FAILED" });
  });
});

describe("keyPlaceOf()", () => {
  test("looks where the library looks", () => {
    mkdirSync(path.join(folder, ".memento"));
    const place = folderPlace(folder);
    expect(keyPlaceOf(place, { MEMENTO_KEY_FILE: "/nowhere/key" }, true)).toEqual({
      kind: "file",
      where: "/nowhere/key",
      exists: false,
    });
    expect(keyPlaceOf(place, {}, true)).toEqual({ kind: "file", where: `${place.path ?? ""}.key`, exists: false });
    expect(keyPlaceOf(place, { MEMENTO_PASSPHRASE: "x" }, true)).toEqual({
      kind: "environment",
      where: "MEMENTO_PASSPHRASE",
      exists: true,
    });
    expect(keyPlaceOf(place, {}, false).kind).toBe("none");
  });
});
