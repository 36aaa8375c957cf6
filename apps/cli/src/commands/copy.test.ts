import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { startMemento } from "../../../../test/harness/started-command.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-copy-")));
  symlinkSync(path.resolve(import.meta.dirname, "../../../../node_modules"), path.join(folder, "node_modules"));
  copyFileSync(pipelineFile("numbers.ts"), path.join(folder, "numbers.ts"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const FROM = ["--from", "sqlite:.memento/store.db"];
const failing = ["run", "numbers.ts", "--param", "into=numbers.db", "--param", "failAt=45"];
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

describe("memento copy", () => {
  test("moves a store: the pipeline goes on in the new one where it stood", async () => {
    expect((await memento(folder, failing)).exitCode).toBe(1);
    const copied = await memento(folder, ["copy", ...FROM, "--to", "file:moved"]);
    expect(copied.stdout).toMatch(
      /^Copied \d+ mementos from sqlite:\S+ to file:\S+ \([\d.]+ kB, in .*\)\.\n {2}1 timeline, 1 of them new\nVerified: both stores give the digest [\w-]{43} for \d+ mementos\.\n$/u,
    );
    expect(copied.exitCode).toBe(0);
    const again = await memento(folder, ["--store", "file:moved", "resume"]);
    expect(again.stderr).toMatch(/resumed run \w+ at memento \S+, in the middle of read: stage prepare skipped/u);
    expect((await memento(folder, ["--store", "file:moved", "verify"])).exitCode).toBe(0);
    // The old one is behind now, and is told so.
    const behind = await memento(folder, [
      "copy",
      "--from",
      "file:moved",
      "--to",
      "sqlite:.memento/store.db",
      "--json",
    ]);
    expect(json(behind.stdout)).toMatchObject({ newTimelines: 0, verified: { identical: true } });
  }, 600_000);

  test("says the same as JSON, and copies nothing the second time", async () => {
    await memento(folder, failing);
    const first = json((await memento(folder, ["copy", ...FROM, "--to", "sqlite:b.db", "--json"])).stdout);
    const second = json((await memento(folder, ["copy", ...FROM, "--to", "sqlite:b.db", "--json"])).stdout);
    expect(second).toMatchObject({ copied: 0, bytes: 0, present: first["copied"], verified: first["verified"] });
    expect((await memento(folder, ["copy", ...FROM, "--to", "sqlite:b.db"])).stdout).toMatch(/^Nothing to copy: /u);
    const quick = await memento(folder, ["copy", ...FROM, "--to", "sqlite:c.db", "--no-verify", "--json"]);
    expect(json(quick.stdout)).toMatchObject({ verified: null, copied: first["copied"] });
  }, 600_000);

  test("takes other keys for each side: a file, a variable, a passphrase, none", async () => {
    await memento(folder, failing);
    const env = { RAW: Buffer.alloc(32, 7).toString("base64url"), WORDS: "correct horse" };
    const hops = [
      ["sqlite:.memento/store.db", ".memento/store.db.key", "sqlite:raw.db", "key:RAW"],
      ["sqlite:raw.db", "key:RAW", "file:words", "passphrase:WORDS"],
      ["file:words", "passphrase:WORDS", "sqlite:plain.db", "none"],
    ];
    const digests: unknown[] = [];
    for (const [from = "", fromKeys = "", to = "", toKeys = ""] of hops) {
      const args = ["copy", "--from", from, "--from-keys", fromKeys, "--to", to, "--to-keys", toKeys, "--json"];
      const { stdout, exitCode } = await memento(folder, args, env);
      expect([exitCode, stdout]).toEqual([0, expect.stringContaining('"identical": true')]);
      digests.push((json(stdout)["verified"] as Record<string, unknown>)["digest"]);
    }
    expect(new Set(digests).size).toBe(1);
    expect(existsSync(path.join(folder, "raw.db.key"))).toBe(false);
    const empty = await memento(folder, ["copy", ...FROM, "--to", "sqlite:d.db", "--to-keys", "key:NOTHING"]);
    expect([empty.exitCode, empty.stderr]).toEqual([1, expect.stringContaining("KEY_MISSING")]);
  }, 600_000);

  test("a memento of which there are several is to be written out: --id goes with no timeline", async () => {
    await memento(folder, failing);
    await memento(folder, [...failing, "--partition", "b"]);
    const { stderr, exitCode } = await memento(folder, ["copy", ...FROM, "--to", "sqlite:x.db", "--id", "head"]);
    expect(stderr).toContain("2 mementos fit head: ");
    expect(stderr).toContain("\n  hint: Write the id out.\n");
    expect(exitCode).toBe(2);
  });

  test("copies what is chosen, and refuses to choose twice", async () => {
    await memento(folder, failing);
    const one = await memento(folder, ["copy", ...FROM, "--to", "sqlite:one.db", "--id", "head", "--json"]);
    expect(json(one.stdout)).toMatchObject({ copied: 1, verified: { identical: true, mementos: 1 } });
    const line = await memento(folder, ["copy", ...FROM, "--to", "sqlite:line.db", "--timeline", "numbers", "--json"]);
    expect(json(line.stdout)).toMatchObject({ timelines: 1, verified: { identical: true } });
    const both = await memento(folder, ["copy", ...FROM, "--to", "sqlite:x.db", "--id", "head", "--caretaker", "x"]);
    expect([both.exitCode, both.stderr]).toEqual([2, expect.stringContaining("three ways")]);
  }, 600_000);

  test("Ctrl-C stops between two packs; the same command goes on", async () => {
    // After its first pack it waits for minutes.
    await memento(folder, ["init"]);
    writeFileSync(path.join(folder, "large.bin"), randomBytes(300_000));
    expect((await memento(folder, ["put", "large.bin", "--caretaker", "files"])).exitCode).toBe(0);
    await memento(folder, failing);
    await using command = startMemento(folder, ["copy", ...FROM, "--to", "sqlite:slow.db", "--bandwidth", "1kB"]);
    await expect
      .poll(async () => (await memento(folder, ["--store", "sqlite:slow.db", "ls", "--json"])).stdout, {
        timeout: 600_000,
      })
      .toContain("files");
    command.signal("SIGINT");
    const ended = await command.ended;
    expect([ended.exitCode, ended.stderr]).toEqual([130, expect.stringContaining("the same command goes on")]);
    const rest = await memento(folder, ["copy", ...FROM, "--to", "sqlite:slow.db", "--json"]);
    expect(json(rest.stdout)).toMatchObject({ verified: { identical: true } });
  }, 600_000);

  test.each([
    ["copy", "--caretaker", "nope"],
    ["copy", "--timeline", "nope"],
    ["copy", "--id", "nope"],
    ["copy", "--id", "abcdefabcdef-1-abcdef"],
    ["sync", "--caretaker", "nope"],
  ])("%s makes no store for a %s that is not in the source", async (command, ...choice) => {
    await memento(folder, failing);
    const before = readdirSync(folder);
    const refused = await memento(folder, [command, ...FROM, "--to", "sqlite:new.db", ...choice]);
    expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("NOT_FOUND")]);
    expect(readdirSync(folder)).toEqual(before);
  });

  test("makes no store for a memento that was removed", async () => {
    await memento(folder, ["init"]);
    const put = await memento(folder, ["put", "numbers.ts", "--caretaker", "etl", "--json"]);
    const { id } = json(put.stdout)["memento"] as { readonly id: string };
    expect((await memento(folder, ["rm", id, "--yes"])).exitCode).toBe(0);
    const refused = await memento(folder, ["copy", ...FROM, "--to", "sqlite:new.db", "--id", id]);
    expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("NOT_FOUND")]);
    expect(existsSync(path.join(folder, "new.db.key"))).toBe(false);
  });

  test("a store that is not there, and one that is not sealed where keys were meant", async () => {
    const none = await memento(folder, ["copy", "--from", "sqlite:none.db", "--to", "sqlite:x.db"]);
    expect([none.exitCode, none.stderr]).toEqual([1, expect.stringContaining("which --from names")]);
    expect(existsSync(path.join(folder, "x.db"))).toBe(false);
    const wrong = await memento(folder, ["copy", ...FROM, "--to", "sqlite:x.db", "--bandwidth", "fast"]);
    expect([wrong.exitCode, wrong.stderr]).toEqual([2, expect.stringContaining("500kB or 10MB")]);
  }, 600_000);
});
