import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-init-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("memento init", () => {
  test("makes the store and its key, and says where the key is and that it must be kept", async () => {
    const { exitCode, stdout, stderr } = await memento(folder, ["init"]);
    const key = path.join(folder, ".memento", "store.db.key");
    expect(stdout).toBe(
      `Made a store at sqlite:${folder}/.memento/store.db\nIt is sealed by the key in ${key}\nKeep a copy of that file elsewhere: without it nobody can read the store.\n`,
    );
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
    expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(readFileSync(path.join(folder, ".memento", ".gitignore"), "utf8")).toBe("*\n");
    expect(stdout).not.toContain(readFileSync(key, "utf8").split(":").at(-1)?.trim());
  });

  test("a second time changes nothing", async () => {
    const first = await memento(folder, ["init", "--json"]);
    const again = await memento(folder, ["init", "--json"]);
    const [made, found] = [first, again].map(({ stdout }) => JSON.parse(stdout) as { created: boolean; id: string });
    expect(made?.created).toBe(true);
    expect(found).toEqual({ ...made, created: false });
    expect((await memento(folder, ["init"])).stdout).toContain("nothing was changed");
  });

  test("makes it in another folder, and of another kind elsewhere", async () => {
    mkdirSync(path.join(folder, "etl"));
    expect((await memento(folder, ["init", "etl"])).exitCode).toBe(0);
    expect(existsSync(path.join(folder, "etl", ".memento", "store.db"))).toBe(true);
    expect((await memento(folder, ["init", "--store", "file:mementos"])).exitCode).toBe(0);
    expect(readdirSync(folder).toSorted()).toEqual(["etl", "mementos", "mementos.key"]);
  });

  test("a project below another one gets a store of its own", async () => {
    mkdirSync(path.join(folder, "sub"));
    await memento(folder, ["init"]);
    await memento(path.join(folder, "sub"), ["init"]);
    expect(existsSync(path.join(folder, "sub", ".memento", "store.db"))).toBe(true);
  });

  test.each([
    [["init", "nowhere"], "There is no folder"],
    [["init", ".", "--store", "sqlite:x.db"], "two places"],
  ])("%j is refused, and makes nothing", async (args, message) => {
    const { exitCode, stderr } = await memento(folder, args);
    expect(stderr).toContain(message);
    expect(exitCode).toBe(2);
    expect(readdirSync(folder)).toEqual([]);
  });
});
