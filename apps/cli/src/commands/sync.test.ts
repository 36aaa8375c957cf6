import { copyFileSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync } from "node:fs";
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
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

describe("memento sync", () => {
  test("follows a store until Ctrl-C, and removes what was removed where that is asked for", async () => {
    await memento(folder, ["init"]);
    await memento(folder, ["put", "numbers.ts", "--caretaker", "etl"]);
    const args = ["sync", ...FROM, "--to", "sqlite:mirror.db", "--watch", "--interval", "200ms", "--delete"];
    await using command = startMemento(folder, args);
    await command.says("; verified");
    await memento(folder, ["put", "numbers.ts", "--originator", "two", "--caretaker", "etl"]);
    await expect.poll(() => statSync(path.join(folder, "mirror.db")).size > 0, { timeout: 60_000 }).toBe(true);
    await expect
      .poll(async () => (await memento(folder, ["--store", "sqlite:mirror.db", "ls", "--json"])).stdout, {
        timeout: 60_000,
      })
      .toContain("two");
    command.signal("SIGINT");
    const ended = await command.ended;
    expect([ended.exitCode, ended.stdout]).toEqual([0, expect.stringMatching(/^Followed for \d+ rounds?\.\n$/u)]);
    const once = await memento(folder, ["sync", ...FROM, "--to", "sqlite:mirror.db", "--json"]);
    expect(json(once.stdout)).toMatchObject({ copied: 0, verified: { identical: true, whole: true } });
  }, 240_000);
});
