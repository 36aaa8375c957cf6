import { mkdtempSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento } from "../../../../test/harness/command-line.ts";

interface Listed {
  readonly keys: readonly {
    readonly id: string;
    readonly current: boolean;
    readonly wraps: number;
    readonly origin: string;
  }[];
}

let folder: string;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-keys-")));
  await memento(folder, ["init"]);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function list(environment: NodeJS.ProcessEnv = {}): Promise<Listed["keys"]> {
  const { stdout } = await memento(folder, ["keys", "list", "--json"], environment);
  return (JSON.parse(stdout) as Listed).keys;
}

describe("memento keys", () => {
  test("rotate makes a key and wraps by it, finishes what `new` began, and revoke takes the old ones away", async () => {
    const file = path.join(folder, ".memento", "store.db.key");
    const [first] = await list();
    expect(first).toMatchObject({ current: true, wraps: 1, origin: file });
    const rotated = await memento(folder, ["keys", "rotate"]);
    expect(rotated).toMatchObject({
      exitCode: 0,
      stdout: expect.stringContaining("1 key of the store wrapped anew by k"),
    });
    const made = await memento(folder, ["keys", "new", "--json"]);
    const { key } = JSON.parse(made.stdout) as { key: string };
    const again = await memento(folder, ["keys", "rotate", "--json"]);
    expect(JSON.parse(again.stdout)).toEqual({ current: key, rewrapped: 1, unchanged: 0, unopened: [], made: null });
    const revoked = await memento(folder, ["keys", "revoke", first?.id ?? ""]);
    expect(revoked).toMatchObject({ exitCode: 0, stdout: expect.stringContaining(`Revoked ${first?.id}`) });
    expect((await list()).map(({ id }) => id)).not.toContain(first?.id);
    const lines = readFileSync(file, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("memento-key-1:"));
    expect(lines).toHaveLength(2);
    for (const { stdout, stderr } of [rotated, made, again, revoked])
      for (const line of lines) expect(stdout + stderr).not.toContain(line.split(":").at(-1));
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
  });

  test("a key that a variable holds too is taken out of its file, and the variable is named", async () => {
    const file = path.join(folder, ".memento", "store.db.key");
    const line = readFileSync(file, "utf8")
      .split("\n")
      .find((each) => each.startsWith("memento-key-1:"));
    const both = { MEMENTO_KEY: line ?? "", MEMENTO_KEY_FILE: file };
    const [first] = await list(both);
    await memento(folder, ["keys", "new"]);
    const revoked = await memento(folder, ["keys", "revoke", first?.id ?? ""], both);
    expect(revoked).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(/no longer in .*store\.db\.key, .*\nTake it away where it is kept: MEMENTO_KEY\./u),
    });
    expect(readFileSync(file, "utf8")).not.toContain(line);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
  });

  test("a store moves from its key file to a passphrase, and is then opened by that alone", async () => {
    const both = { MEMENTO_PASSPHRASE: "hidden-thing", MEMENTO_KEY_FILE: ".memento/store.db.key" };
    const { stdout, exitCode } = await memento(folder, ["keys", "rotate", "--to", "passphrase"], both);
    expect(stdout).toContain("wrapped anew by scrypt.17.8.1.");
    expect(exitCode).toBe(0);
    expect(await list({ MEMENTO_PASSPHRASE: "hidden-thing" })).toEqual([
      expect.objectContaining({ current: true, wraps: 1, origin: "passphrase" }),
    ]);
    const wrong = await memento(folder, ["keys", "list"], { MEMENTO_PASSPHRASE: "another" });
    expect(wrong).toMatchObject({
      exitCode: 1,
      stdout: "",
      stderr: expect.stringContaining("The passphrase is not the one"),
    });
    expect(stdout + wrong.stderr).not.toMatch(/hidden-thing|another/u);
    expect((await memento(folder, ["keys", "list"])).stderr).toContain("KEY_WRONG");
  });

  test.each([
    [["keys", "revoke", "kNotThere"], 1, "does not hold the key kNotThere\n  hint: `memento keys list` names"],
    [["keys", "rotate", "--to", "kNotThere"], 1, "does not hold the key kNotThere"],
    [["keys", "revoke"], 2, "missing required argument"],
    [["keys", "nope"], 2, "unknown command"],
  ])("%j is refused", async (args, exitCode, message) => {
    expect(await memento(folder, args)).toMatchObject({ exitCode, stderr: expect.stringContaining(message) });
  });

  test("the current key gives way to a fresh one, and not to one that was given up for it", async () => {
    const [first] = await list();
    await memento(folder, ["keys", "rotate"]);
    const [second] = await list();
    const revoked = await memento(folder, ["keys", "revoke", second?.id ?? "", "--json"]);
    expect(revoked.exitCode).toBe(0);
    const { made, current } = JSON.parse(revoked.stdout) as { made: string; current: string };
    expect(made).toBe(current);
    expect([first?.id, second?.id]).not.toContain(made);
    expect(await list()).toMatchObject([
      { id: made, current: true, wraps: 1 },
      { id: first?.id, wraps: 0 },
    ]);
  });

  test("the only key is not revoked", async () => {
    const id = (await list())[0]?.id ?? "";
    const { exitCode, stderr } = await memento(folder, ["keys", "revoke", id]);
    expect(exitCode).toBe(2);
    expect(stderr).toContain("Make one first: `memento keys new`.");
  });

  test("a client of a key-management service that is not installed is named", async () => {
    const environment = { MEMENTO_KEY_URL: "gcp-kms://projects/p/locations/l/keyRings/r/cryptoKeys/k" };
    const { exitCode, stderr } = await memento(folder, ["init", "--store", "sqlite:other.db"], environment);
    expect(exitCode).toBe(1);
    expect(stderr).toContain("needs the package @google-cloud/kms (>=4 <7), which is not installed");
    expect(stderr).toContain("PEER_MISSING");
  });

  test.each(["list", "new", "rotate", "revoke"])("%s has examples and exit codes in its help", async (command) => {
    const { stdout, exitCode } = await memento(folder, ["keys", command, "--help"]);
    expect(stdout).toContain("Examples:\n  memento keys");
    expect(stdout).toMatch(/Exit codes:\n {2}0 +done\n {2}1 +failed\n {2}2 /u);
    expect(exitCode).toBe(0);
  });
});
