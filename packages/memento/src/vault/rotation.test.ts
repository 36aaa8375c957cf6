import { createHash } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { isMementoError } from "../core/errors.ts";
import { Memento } from "../memento.ts";
import { MemoryStore } from "../store/memory/index.ts";
import type { KeyRecord, MementoStore } from "../store/store.ts";
import { makeKeyCurrent } from "./keys/key-file.ts";
import { rawKeyRing, ringKeyId } from "./keys/key-ring.ts";
import { formatKey, parseKeys } from "./keys/key-text.ts";
import { revokeKey } from "./rotation-revoke.ts";
import { surveyKeys } from "./rotation-survey.ts";
import { rotateKeys } from "./rotation.ts";
import { Vault } from "./vault.ts";

const SECRET = "planted-s3cret-value-5d1c";
const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const [oldId, newId] = [ringKeyId(key(1)), ringKeyId(key(2))];
const both = rawKeyRing([key(2), key(1)]);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-rotation-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A store with an integrity key and a data key of each of three caretakers, all wrapped by the old key. */
async function threeCaretakers(): Promise<{ store: MemoryStore; vault: Vault; ids: Map<string, string> }> {
  const store = await MemoryStore.open();
  const memento = await Memento.open(store, { keys: { raw: [key(1)] } });
  const ids = new Map<string, string>();
  for (const name of ["a", "b", "c"]) ids.set(name, (await memento.caretaker(name).save({ name, SECRET })).id);
  return { store, vault: memento.vault, ids };
}

async function packs(store: MementoStore): Promise<string> {
  const hash = createHash("sha256");
  for await (const { header, body } of store.commits(null)) hash.update(header).update(body ?? "");
  return hash.digest("hex");
}

const ringsOf = async (store: MementoStore): Promise<string[]> =>
  [...new Set((await store.keys()).map(({ ring }) => ring))].toSorted();

describe("rotateKeys()", () => {
  test("wraps every key anew, changes no byte of any pack, and does it once", async () => {
    const { store, ids } = await threeCaretakers();
    const before = await packs(store);
    expect(await rotateKeys(store, both)).toEqual({ current: newId, rewrapped: 4, unchanged: 0, unopened: [] });
    expect(await ringsOf(store)).toEqual([newId]);
    expect(await packs(store)).toBe(before);
    expect(await rotateKeys(store, both)).toEqual({ current: newId, rewrapped: 0, unchanged: 4, unopened: [] });
    await using again = await Memento.open(store, { keys: { raw: [key(2)] } });
    for (const [name, id] of ids) expect(await again.caretaker(name).load(id)).toEqual({ name, SECRET });
  });

  test("two that race end with everything wrapped by one of their keys, and all of it opens", async () => {
    const { store, vault } = await threeCaretakers();
    const other = rawKeyRing([key(3), key(2), key(1)]);
    const reports = await Promise.all([
      rotateKeys(store, rawKeyRing([key(2), key(1), key(3)])),
      rotateKeys(store, other),
    ]);
    expect(reports.flatMap(({ unopened }) => unopened)).toEqual([]);
    expect((await surveyKeys(store, other)).unopened).toEqual([]);
    await rotateKeys(store, other);
    expect(await ringsOf(store)).toEqual([ringKeyId(key(3))]);
    await vault.close();
  });

  test("an open vault goes on with what it holds, and what it adds under the old key is found by the next rotation", async () => {
    const { store, vault, ids } = await threeCaretakers();
    await rotateKeys(store, both);
    expect(await (await vault.load(ids.get("a") ?? "")).value("state/name")).toBe("a");
    const writer = await vault.writer(
      await vault.ensureTimeline({ caretaker: "late", originator: "o", partition: "", fork: "" }, "value"),
    );
    await writer.append({ reason: "save", status: "saved", generation: 0, pieces: new Map([["value", 1]]) });
    const { keys } = await surveyKeys(store, both);
    expect(keys).toEqual([
      { id: newId, origin: "raw key", current: true, wraps: 4 },
      { id: oldId, origin: "raw key", current: false, wraps: 1 },
    ]);
    expect(await rotateKeys(store, both)).toMatchObject({ rewrapped: 1, unchanged: 4 });
  });

  test("leaves what it cannot open as it is, and names it", async () => {
    const { store } = await threeCaretakers();
    const [first] = await store.keys();
    await store.rewrapKey({ ...(first as KeyRecord), ring: "kUnknown___" }, oldId);
    const report = await rotateKeys(store, both);
    expect(report).toMatchObject({
      rewrapped: 3,
      unopened: [{ id: first?.id, ring: "kUnknown___", code: "KEY_WRONG" }],
    });
    expect((await surveyKeys(store, both)).keys.at(-1)).toEqual({
      id: "kUnknown___",
      origin: null,
      current: false,
      wraps: 1,
    });
  });

  test("replaces nothing when the service gives back something else than it was given", async () => {
    const { store } = await threeCaretakers();
    const broken = {
      ...both,
      wrap: async (_key: Uint8Array, bound: string) => await rawKeyRing([key(2)]).wrap(key(0), bound),
    };
    await expect(rotateKeys(store, broken)).rejects.toMatchObject({ code: "KEY_SERVICE_FAILED" });
    expect(await ringsOf(store)).toEqual([oldId]);
  });

  test("refuses a store without keys, a key that is not held, and stops when it is told to", async () => {
    const { store } = await threeCaretakers();
    await expect(rotateKeys(store, both, { to: "kNope" })).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(rotateKeys(store, both, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: "CANCELLED" });
    await using open = await Memento.open("memory:", { keys: false });
    await expect(open.rotateKeys()).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

describe("P4 secret: keys", () => {
  test("a revoked key opens nothing, and the file no longer holds it", async () => {
    const [url, file] = [`sqlite:${folder}/store.db`, path.join(folder, "store.db.key")];
    await using memento = await Memento.open(url);
    const { id } = await memento.caretaker("a").save({ SECRET });
    const [old] = parseKeys(readFileSync(file, "utf8"), file);
    cpSync(file, path.join(folder, "stolen.key"));
    const revoked = ringKeyId(old ?? key(0));
    await expect(memento.revokeKey(revoked)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    const fresh = await memento.newKey();
    expect(await memento.revokeKey(revoked)).toMatchObject({ current: fresh, rewrapped: 2 });
    expect(readFileSync(file, "utf8")).not.toContain(revoked);
    await expect(Memento.open(url, { keys: { file: path.join(folder, "stolen.key") } })).rejects.toMatchObject({
      code: "KEY_WRONG",
      message: expect.stringContaining(fresh),
    });
    await memento.caretaker("a").save({ SECRET, more: 1 });
    await using again = await Memento.open(url);
    expect(await again.caretaker("a").load(id)).toEqual({ SECRET });
    expect((await again.keys()).keys).toEqual([expect.objectContaining({ id: fresh, current: true })]);
  });

  test("the current key of a file gives way to a fresh one, and not to one that was given up for it", async () => {
    const url = `sqlite:${folder}/store.db`;
    await using memento = await Memento.open(url);
    const { id } = await memento.caretaker("a").save({ SECRET });
    const old = (await memento.keys()).keys[0]?.id ?? "";
    const current = await memento.newKey();
    const { made, current: heir } = await memento.revokeKey(current);
    expect(made).toBe(heir);
    expect([old, current]).not.toContain(made);
    await using again = await Memento.open(url);
    expect(await again.caretaker("a").load(id)).toEqual({ SECRET });
    expect((await again.keys()).keys.map(({ id: held }) => held)).toEqual([made, old]);
  });

  test("a key that two sources hold is not its own heir", async () => {
    const file = path.join(folder, "both.key");
    writeFileSync(file, `${formatKey(key(1))}\n${formatKey(key(2))}\n`, { mode: 0o600 });
    const keys = [{ raw: [key(1)] }, { file }];
    await using memento = await Memento.open(await MemoryStore.open(), { keys });
    await memento.caretaker("a").save({ SECRET });
    expect(await memento.revokeKey(oldId)).toMatchObject({ current: newId, made: null });
    expect(readFileSync(file, "utf8")).not.toContain(oldId);
  });

  test("a key that was revoked between the wrapping and the commit wraps nothing in the end", async () => {
    const url = `file:${folder}/store`;
    await using other = await Memento.open(url);
    const old = (await other.keys()).keys[0]?.id ?? "";
    await using memento = await Memento.open(url);
    const held = memento.vault.store.append.bind(memento.vault.store);
    // The record is wrapped already, and not yet in the store: nobody who rotates now can see it.
    memento.vault.store.append = async (batch) => {
      memento.vault.store.append = held;
      await other.newKey();
      await other.revokeKey(old);
      return await held(batch);
    };
    const { id } = await memento.caretaker("a").save({ SECRET });
    await using again = await Memento.open(url);
    expect(await again.caretaker("a").load(id)).toEqual({ SECRET });
    expect(await ringsOf(again.vault.store)).not.toContain(old);
  });

  test("a save that commits after a revocation has looked for the last time is opened by the new key", async () => {
    const url = `file:${folder}/store`;
    await using other = await Memento.open(url);
    const old = (await other.keys()).keys[0]?.id ?? "";
    await other.newKey();
    // The saver wraps by the old key, as long as that is the file's current one.
    await makeKeyCurrent(path.join(folder, "store.key"), old);
    await using memento = await Memento.open(url);
    const [begun, release] = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
    const append = memento.vault.store.append.bind(memento.vault.store);
    memento.vault.store.append = async (batch) => {
      begun.resolve(undefined);
      await release.promise;
      return await append(batch);
    };
    const saving = memento.caretaker("a").save({ SECRET });
    await begun.promise;
    const keys = other.vault.store.keys.bind(other.vault.store);
    let commits = 0;
    other.vault.store.keys = async () => {
      const records = await keys();
      // Nothing is wrapped by the old one any more, it says; and then something is, until its save is acknowledged.
      if (records.every(({ ring }) => ring !== old) && commits++ >= 1) {
        release.resolve(undefined);
        await saving;
      }
      return records;
    };
    await other.revokeKey(old);
    const { id } = await saving;
    await using again = await Memento.open(url);
    expect(await again.caretaker("a").load(id)).toEqual({ SECRET });
    expect(await ringsOf(again.vault.store)).not.toContain(old);
  });

  test("is not revoked while anything is still wrapped by it", async () => {
    const { store } = await threeCaretakers();
    const damaged = (await store.keys()).at(-1);
    await store.rewrapKey({ ...(damaged as KeyRecord), wrapped: "AAAA" }, oldId);
    await expect(revokeKey(store, both, oldId)).rejects.toMatchObject({
      code: "KEY_IN_USE",
      details: { keys: [damaged?.id] },
    });
  });

  test("a wrong passphrase is one clear error, and the right one opens", async () => {
    const url = `file:${folder}/store`;
    const { id } = await (async () => {
      await using memento = await Memento.open(url, { keys: { passphrase: "right one", n: 2 ** 10 } });
      return await memento.caretaker("a").save({ SECRET });
    })();
    await expect(Memento.open(url, { keys: { passphrase: "wrong one" } })).rejects.toMatchObject({
      code: "KEY_WRONG",
      message: expect.stringContaining("The passphrase is not the one of the key scrypt.10.8.1."),
    });
    await using memento = await Memento.open(url, { environment: { MEMENTO_PASSPHRASE: "right one" } });
    expect(await memento.caretaker("a").load(id)).toEqual({ SECRET });
    await expect(Memento.open(url, { environment: {} })).rejects.toMatchObject({ code: "KEY_MISSING" });
  });

  test.each(["sqlite", "file"])(
    "without a key there is no plaintext and no key in any byte of a %s store",
    async (kind) => {
      const url = `${kind}:${folder}/store`;
      const told: string[] = [];
      await using memento = await Memento.open(url);
      for (const name of ["a", "b"]) await memento.caretaker(name).save({ SECRET, deep: [{ SECRET }] });
      told.push(JSON.stringify(await memento.keys()));
      told.push(await memento.newKey(), JSON.stringify(await memento.rotateKeys()));
      const file = path.join(folder, "store.key");
      const keys = parseKeys(readFileSync(file, "utf8"), file);
      expect(keys).toHaveLength(2);
      const needles = [Buffer.from(SECRET), ...keys].flatMap((bytes) => spellings(Buffer.from(bytes)));
      const places = readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && !entry.name.startsWith("store.key"))
        .map((entry) => readFileSync(path.join(entry.parentPath, entry.name)));
      expect(places.length).toBeGreaterThan(0);
      for (const bytes of [...places, Buffer.from(told.join("\n"))])
        for (const needle of needles) expect(bytes.includes(needle)).toBe(false);
      // The same search finds what is there.
      expect(needles.some((needle) => readFileSync(file).includes(needle))).toBe(true);
    },
  );

  test.each(["id", "purpose", "group", "ring", "wrapped"] as const)(
    "a key record whose %s was changed is refused by name",
    async (field) => {
      const { store, ids } = await threeCaretakers();
      const records = await store.keys();
      for (const [index, record] of records.entries()) {
        const changed = { ...record, [field]: flipped(record[field], field) };
        const lying = new Proxy(store, {
          get: (target, name) => {
            if (name === "keys") return async () => records.with(index, changed);
            const value: unknown = Reflect.get(target, name);
            return typeof value === "function" ? (value.bind(target) as unknown) : value;
          },
        });
        const opened = (async () => {
          const vault = await Vault.open(lying, { keys: both });
          const results: unknown[] = [];
          for (const [name, id] of ids) results.push(await (await vault.load(id)).value("state/name"), name);
          return results;
        })();
        const what = expect.stringMatching(new RegExp(`${changed.id}|${record.id}|integrity key`, "u")) as unknown;
        // A data key that says it is the integrity key stands behind the true one, and nobody asks for it by that name.
        if (field === "purpose" && record.purpose === "data") {
          const code = await opened.then(
            () => "opened",
            (error: unknown) => (isMementoError(error) ? error.code : String(error)),
          );
          expect(["opened", "DAMAGED"]).toContain(code);
          continue;
        }
        const code = field === "ring" ? "KEY_WRONG" : "DAMAGED";
        await expect(opened, `${field} of ${record.purpose}`).rejects.toMatchObject({ code, message: what });
      }
    },
  );
});

function flipped(text: string, field: string): string {
  if (field === "purpose") return text === "data" ? "integrity" : "data";
  if (text === "") return "x";
  const at = Math.floor(text.length / 2);
  return `${text.slice(0, at)}${text[at] === "a" ? "b" : "a"}${text.slice(at + 1)}`;
}

const spellings = (bytes: Buffer): readonly Buffer[] =>
  [bytes, ...(["hex", "base64", "base64url"] as const).map((encoding) => Buffer.from(bytes.toString(encoding)))].map(
    // What stands at the end of base64 depends on what follows.
    (spelling) => spelling.subarray(0, -2),
  );
