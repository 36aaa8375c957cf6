import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import process from "node:process";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { requireEngine } from "../../../../../test/harness/engines.ts";
import { mayMount, withSmallDisk } from "../../../../../test/harness/small-disk.ts";
import { systemClock, systemRandom } from "../../core/ports.ts";
import { loadPeer } from "../../store/optional-peer.ts";
import { combinedKeyRing } from "./combined-ring.ts";
import { addKeyToFile, createKeyFile, keyRingFromFile, makeKeyCurrent, removeKeyFromFile } from "./key-file.ts";
import { rawKeyRing, ringKeyId, type KeyRing } from "./key-ring.ts";
import { passphraseKeyRing } from "./passphrase-ring.ts";
import { resolveKeys } from "./resolve-keys.ts";

const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const quick = { n: 2 ** 10 };
let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), "memento-rings-"));
  file = path.join(folder, "a.key");
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const idsOf = (ring: KeyRing): readonly string[] => (ring.keys?.() ?? []).map(({ id }) => id);

describe("passphraseKeyRing()", () => {
  test("keeps the derivation in the key's id, so that the passphrase alone opens it anywhere", async () => {
    const wrapped = await passphraseKeyRing("correct horse", { n: 2 ** 11, r: 4, p: 2 }).wrap(key(1), "bound");
    expect(wrapped.ring).toMatch(/^scrypt\.11\.4\.2\.[\w-]{22}\.k[\w-]{10}$/u);
    expect(Buffer.from(await passphraseKeyRing("correct horse").unwrap(wrapped, "bound"))).toEqual(Buffer.from(key(1)));
  });

  test("a wrong passphrase is KEY_WRONG, and damage is DAMAGED", async () => {
    const wrapped = await passphraseKeyRing("correct horse", quick).wrap(key(1), "bound");
    const wrong = passphraseKeyRing("battery staple", quick);
    await expect(wrong.unwrap(wrapped, "bound")).rejects.toMatchObject({
      code: "KEY_WRONG",
      message: expect.stringContaining(wrapped.ring),
    });
    const right = passphraseKeyRing("correct horse", quick);
    await expect(right.unwrap(wrapped, "other")).rejects.toMatchObject({ code: "DAMAGED" });
    const greedy = { ...wrapped, ring: wrapped.ring.replace("scrypt.10.8", "scrypt.30.8") };
    await expect(right.unwrap(greedy, "bound")).rejects.toMatchObject({ code: "DAMAGED" });
  });

  test("lends the salt of what it has opened to what it wraps, and derives it once", async () => {
    const wrapped = await passphraseKeyRing("correct horse", quick).wrap(key(1), "bound");
    const ring = passphraseKeyRing("correct horse", quick);
    await ring.unwrap(wrapped, "bound");
    expect((await ring.wrap(key(2), "bound")).ring).toBe(wrapped.ring);
    const other = passphraseKeyRing("correct horse", quick);
    expect((await other.wrap(key(2), "bound")).ring).not.toBe(wrapped.ring);
  });

  test("is the same for any spelling of the same letters", async () => {
    const wrapped = await passphraseKeyRing("Wört", quick).wrap(key(1), "b");
    expect(await passphraseKeyRing("Wo\u0308rt", quick).unwrap(wrapped, "b")).toHaveLength(32);
  });

  test.each([
    ["", {}],
    ["x", { n: 1000 }],
    ["x", { n: 2 ** 30 }],
    ["x", { p: 0 }],
  ])("refuses %j with %j", (passphrase, options) => {
    expect(() => passphraseKeyRing(passphrase, options)).toThrow(expect.objectContaining({ code: "INVALID_ARGUMENT" }));
  });
});

describe("combinedKeyRing()", () => {
  test("the first wraps, all of them unwrap, and another one can be made the first", async () => {
    const [one, two, three] = [rawKeyRing([key(1)]), rawKeyRing([key(2)]), passphraseKeyRing("x", quick)];
    const ring = combinedKeyRing([one, two, three]);
    expect((await ring.wrap(key(9), "b")).ring).toBe(ringKeyId(key(1)));
    for (const each of [one, two, three])
      expect(Buffer.from(await ring.unwrap(await each.wrap(key(9), "b"), "b"))).toEqual(Buffer.from(key(9)));
    expect((await ring.withCurrent?.(ringKeyId(key(2)))?.wrap(key(9), "b"))?.ring).toBe(ringKeyId(key(2)));
    expect(ring.withCurrent?.("nothing")).toBeNull();
    await expect(ring.unwrap(await rawKeyRing([key(4)]).wrap(key(9), "b"), "b")).rejects.toMatchObject({
      code: "KEY_WRONG",
      message: expect.stringContaining(ringKeyId(key(4))),
    });
  });

  test("damage found by one source is not hidden by the others", async () => {
    const wrapped = await rawKeyRing([key(1)]).wrap(key(9), "b");
    const ring = combinedKeyRing([rawKeyRing([key(1)]), rawKeyRing([key(2)])]);
    await expect(ring.unwrap(wrapped, "other")).rejects.toMatchObject({ code: "DAMAGED" });
  });
});

describe("a key file", () => {
  test("takes keys in and out, keeps its comments and its mode, and leaves nothing beside it", async () => {
    await createKeyFile(file);
    const [first = ""] = idsOf(await keyRingFromFile(file));
    const second = await addKeyToFile(file);
    expect(idsOf(await keyRingFromFile(file))).toEqual([second, first]);
    await makeKeyCurrent(file, first);
    expect(idsOf(await keyRingFromFile(file))).toEqual([first, second]);
    await removeKeyFromFile(file, first);
    expect(idsOf(await keyRingFromFile(file))).toEqual([second]);
    expect(readFileSync(file, "utf8")).toMatch(/^# Whoever/u);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readdirSync(folder)).toEqual(["a.key"]);
    await expect(removeKeyFromFile(file, second)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(removeKeyFromFile(file, first)).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("that is reached by a link is changed where it is: the link stays, and nobody finds the old keys behind it", async () => {
    const real = path.join(folder, "real.key");
    await createKeyFile(real);
    symlinkSync("real.key", file);
    const [first = ""] = idsOf(await keyRingFromFile(file));
    const [second] = await Promise.all([addKeyToFile(file), addKeyToFile(real)]);
    await removeKeyFromFile(file, first);
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    expect(idsOf(await keyRingFromFile(real))).toHaveLength(2);
    expect(idsOf(await keyRingFromFile(real))).toContain(second);
    expect(idsOf(await keyRingFromFile(real))).not.toContain(first);
    expect(readdirSync(folder).toSorted()).toEqual(["a.key", "real.key"]);
  });

  test("keeps its owner and its mode, so that the service that reads it goes on reading it", async () => {
    const isRoot = (): true | string => process.getuid?.() === 0 || "only root may give a file to another user";
    if (!(await requireEngine("another user (root)", isRoot))) return;
    await createKeyFile(file);
    chownSync(file, 65_534, 65_533);
    chmodSync(file, 0o640);
    await addKeyToFile(file);
    const { uid, gid, mode } = statSync(file);
    expect([uid, gid, mode & 0o777]).toEqual([65_534, 65_533, 0o640]);
  });

  test("made by many at once is made by one of them, and whole for whoever finds it", async () => {
    const found = (async () => {
      while (!existsSync(file)) await new Promise((resolve) => setImmediate(resolve));
      return readFileSync(file, "utf8");
    })();
    const made = await Promise.all(Array.from({ length: 8 }, async () => await createKeyFile(file)));
    expect(made.filter(Boolean)).toHaveLength(1);
    expect(await found).toBe(readFileSync(file, "utf8"));
    expect(readdirSync(folder)).toEqual(["a.key"]);
  });

  test.each([
    ["", ""],
    [", also for the lock of one that was killed", "999999999\n"],
  ])("changes that race are made one after the other%s", async (_, left) => {
    await createKeyFile(file);
    if (left !== "") writeFileSync(`${file}.lock`, left);
    // As often as others, and for longer: each of the changes before the last one waits for a slow disk three times.
    const patient = { ...systemClock, sleep: async (ms: number) => await systemClock.sleep(ms * 10) };
    const ids = await Promise.all(
      Array.from({ length: 8 }, async () => await addKeyToFile(file, systemRandom, patient)),
    );
    expect(idsOf(await keyRingFromFile(file)).toSorted()).toEqual(expect.arrayContaining(ids.toSorted()));
    expect(idsOf(await keyRingFromFile(file))).toHaveLength(9);
    expect(readdirSync(folder)).toEqual(["a.key"]);
  });

  test("that has no room leaves no part of it, which would bar its place", async () => {
    if (!(await requireEngine("a small tmpfs (root)", mayMount))) return;
    await withSmallDisk("size=4k", async (disk) => {
      writeFileSync(path.join(disk, "filler"), new Uint8Array(4096));
      await expect(createKeyFile(path.join(disk, "a.key"))).rejects.toMatchObject({ code: "DISK_FULL" });
      expect(readdirSync(disk)).toEqual(["filler"]);
    });
  });

  test("the lock and the half-made file of a change that was killed are in nobody's way", async () => {
    await createKeyFile(file);
    writeFileSync(`${file}.lock`, "999999999\n");
    writeFileSync(`${file}.next`, "half");
    const id = await addKeyToFile(file);
    expect(idsOf(await keyRingFromFile(file))[0]).toBe(id);
    expect(readdirSync(folder)).toEqual(["a.key"]);
  });

  test("an open ring follows a change made by another process", async () => {
    await createKeyFile(file);
    const ring = await keyRingFromFile(file);
    const [first = ""] = idsOf(ring);
    const second = await addKeyToFile(file);
    const wrapped = await (await keyRingFromFile(file)).wrap(key(1), "b");
    expect(wrapped.ring).toBe(second);
    expect(await ring.unwrap(wrapped, "b")).toHaveLength(32);
    await removeKeyFromFile(file, first);
    expect(await ring.holds?.(first)).toBe(false);
    rmSync(file);
    expect((await ring.wrap(key(1), "b")).ring).toBe(second);
  });
});

describe("resolveKeys()", () => {
  const none = { besideStore: null, mayCreate: false };

  test("takes all keys that the environment names; the first wraps", async () => {
    await createKeyFile(file);
    const environment = {
      MEMENTO_KEY: Buffer.from(key(3)).toString("base64"),
      MEMENTO_KEY_FILE: file,
      MEMENTO_PASSPHRASE: "x",
    };
    const ring = await resolveKeys(undefined, { ...none, environment });
    expect(ring?.keys?.().map(({ origin }) => origin)).toEqual(["MEMENTO_KEY", file, "passphrase"]);
    expect((await ring?.wrap(key(1), "b"))?.ring).toBe(ringKeyId(key(3)));
  });

  test.each([
    [
      [{ passphrase: "x" }, { raw: [key(1)] }],
      ["passphrase", "raw key"],
    ],
    [{ aws: { keyId: "k" } }, ["AWS KMS"]],
    [{ azure: { keyId: "https://v.vault.azure.net/keys/k" } }, ["Azure Key Vault"]],
    [{ google: { name: "projects/p" } }, ["Google Cloud KMS"]],
    [{ transit: { key: "k", address: "https://vault:8200" } }, ["HashiCorp Vault Transit"]],
    [{ url: "gcp-kms://projects/p" }, ["Google Cloud KMS"]],
  ])("makes a ring of %j", async (source, origins) => {
    const ring = await resolveKeys(source, { ...none, environment: {} });
    expect(ring?.keys?.().map(({ origin }) => origin)).toEqual(origins);
  });

  test.each([
    ["transit://user:hidden-thing@host/transit/key"],
    ["aws-kms://key?token=hidden-thing"],
    ["hidden-thing"],
    ["transit://host/key"],
  ])("refuses the URL %s without repeating what may be secret", async (url) => {
    const failed = resolveKeys({ url }, { ...none, environment: {} });
    await expect(failed).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await expect(failed).rejects.not.toMatchObject({ message: expect.stringContaining("hidden-thing") });
  });
});

describe("loadPeer()", () => {
  test("names the package and the range that are missing", async () => {
    await expect(loadPeer("@mementojs/not-there", "^3.0.0", "A thing")).rejects.toMatchObject({
      code: "PEER_MISSING",
      message: "A thing needs the package @mementojs/not-there (^3.0.0), which is not installed",
      hint: 'Install it: npm install "@mementojs/not-there@^3.0.0"',
    });
  });
});
