import { existsSync, mkdtempSync, realpathSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-keys-")));
  await memento(folder, ["init"]);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const FROM = ["--from", "sqlite:.memento/store.db"];

describe("a key that is missing", () => {
  test.each([
    [["copy", ...FROM, "--from-keys", "gone.key", "--to", "sqlite:x.db"], /gone\.key.*hint:.*--from-keys/su],
    [["copy", ...FROM, "--from-keys", "key:NONE", "--to", "sqlite:x.db"], /NONE.*hint: Set NONE.*--from-keys/su],
    [["copy", ...FROM, "--from-keys", "none", "--to", "sqlite:x.db"], /sealed.*hint:.*--from-keys/su],
    [["copy", ...FROM, "--to", "sqlite:x.db", "--to-keys", "passphrase:NONE"], /hint: Set NONE.*--to-keys/su],
    [["copy", ...FROM, "--to", "sqlite:x.db", "--to-keys", "gone.key"], /gone\.key.*hint:.*--to-keys/su],
    [["backup", "sqlite:.memento/store.db", "all", "--passphrase-env", "NONE"], /hint: Set NONE.*--passphrase-env/su],
    [["backup", "sqlite:.memento/store.db", "all", "--key-file", "gone.key"], /gone\.key.*hint:.*--key-file/su],
    [["backup", "--list", "sealed", "--from-keys", "gone.key"], /gone\.key.*hint:.*--from-keys/su],
    [["backup", "--list", "sealed"], /hint:.*--key-file.*--passphrase-env/su],
    [["restore-backup", "sealed", "sqlite:x.db", "--passphrase-env", "NONE"], /hint: Set NONE.*--passphrase-env/su],
    [["import", "sealed", "--verify-only", "--key-file", "gone.key"], /gone\.key.*hint:.*--key-file/su],
  ])("%j: the hint names the option that names it", async (args, says) => {
    expect((await memento(folder, ["backup", "sqlite:.memento/store.db", "sealed"])).exitCode).toBe(0);
    const { exitCode, stderr } = await memento(folder, args);
    expect([exitCode, stderr]).toEqual([1, expect.stringMatching(says)]);
    expect(stderr).toContain("KEY_MISSING");
    expect(stderr).not.toContain("MEMENTO_KEY");
    expect(existsSync(path.join(folder, "x.db"))).toBe(false);
  });

  test("says that the source's key file is gone, and that it can be named", async () => {
    renameSync(path.join(folder, ".memento/store.db.key"), path.join(folder, "moved.key"));
    const { stderr } = await memento(folder, ["copy", ...FROM, "--to", "sqlite:x.db"]);
    expect(stderr).toMatch(/store\.db\.key.*hint:.*--from-keys/su);
    const found = await memento(folder, ["copy", ...FROM, "--to", "sqlite:x.db", "--from-keys", "moved.key"]);
    expect(found.exitCode).toBe(0);
  });
});
