import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, mementoCommand, pipelineFile } from "../../../../test/harness/command-line.ts";
import { shellEnvironment } from "../../../../test/harness/process.ts";

let folder: string;
let here: string;
let there: string;
let key: string;

beforeEach(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-portable-")));
  [here, there] = [path.join(folder, "here"), path.join(folder, "there")];
  for (const place of [here, there]) mkdirSync(place);
  key = path.join(here, ".memento", "store.db.key");
  expect((await memento(here, ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"])).exitCode).toBe(0);
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Runs the command line with these bytes on its standard input; the exit code. */
const withPipe = (place: string, args: readonly string[], input: Uint8Array): number | null => {
  const [file, all] = mementoCommand(args);
  return spawnSync(file, all, { cwd: place, env: shellEnvironment(), input, timeout: 600_000 }).status;
};

const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

describe("memento export", () => {
  test("writes a timeline, and shows the file's size beside the state's, and the signer", async () => {
    const { stdout, exitCode } = await memento(here, ["export", "--timeline", "numbers", "--out", "numbers.memento"]);
    expect(stdout).toMatch(
      /^Wrote \S+numbers\.memento: one timeline, 8 mementos \([\d.]+ kB; the state is \d+ B\)\.\nIt is sealed\.\nSigned by ed25519:[\w-]{43}\n$/u,
    );
    expect(exitCode).toBe(0);
  });

  test("never overwrites a file without --force", async () => {
    writeFileSync(path.join(here, "it"), "precious");
    const refused = await memento(here, ["export", "head", "--out", "it"]);
    expect(refused.stderr).toContain("EXISTS");
    expect(refused.exitCode).toBe(1);
    expect(readFileSync(path.join(here, "it"), "utf8")).toBe("precious");
    expect((await memento(here, ["export", "head", "--out", "it", "--force"])).exitCode).toBe(0);
  });

  test("says what contradicts itself", async () => {
    const both = await memento(here, ["export", "--plain", "--key-file", key, "--out", "it"]);
    expect([both.exitCode, both.stderr]).toEqual([2, expect.stringContaining("contradict")]);
    const two = await memento(here, ["export", "head", "--caretaker", "pipelines", "--out", "it"]);
    expect(two.exitCode).toBe(2);
  });
});

describe("memento import", () => {
  test("brings a timeline into a store that it makes, once", async () => {
    const out = path.join(there, "numbers.memento");
    const { signer } = json((await memento(here, ["export", "--timeline", "numbers", "--out", out, "--json"])).stdout);
    const lacking = await memento(there, ["import", "numbers.memento"]);
    expect([lacking.exitCode, lacking.stderr]).toEqual([1, expect.stringContaining("KEY_WRONG")]);
    const args = ["import", "numbers.memento", "--key-file", key];
    const untrusted = await memento(there, [...args, "--trust", `ed25519:${"x".repeat(43)}`]);
    expect([untrusted.exitCode, untrusted.stderr]).toEqual([4, expect.stringContaining("SIGNER_UNTRUSTED")]);
    writeFileSync(path.join(there, "trusted"), `# the other machine\n${String(signer)}\n`);
    const imported = await memento(there, [...args, "--trust", "trusted"]);
    expect(imported.stdout).toMatch(
      /^Imported 8 mementos\.\n {2}pipelines\/numbers {2}new, 8 mementos appended; head /u,
    );
    expect((await memento(there, args)).stdout).toMatch(/^Nothing to import: all of it is there already\.\n/u);
    expect(json((await memento(there, ["verify", "--json"])).stdout)).toMatchObject({ sound: true });
    const ids = async (place: string): Promise<unknown> =>
      (await memento(place, ["log"])).stdout.match(/\w{12}-\d+-\w{6}/gu);
    expect(await ids(there)).toEqual(await ids(here));
  });

  test("opens a file by the passphrase that sealed it, and by no other", async () => {
    const args = ["export", "head", "--passphrase-env", "PASS", "--out", "head.memento"];
    expect((await memento(here, args, { PASS: "correct horse" })).stdout).toContain("It is sealed.");
    const file = path.join(here, "head.memento");
    const open = ["import", file, "--passphrase-env", "PASS"];
    const wrong = await memento(there, open, { PASS: "another" });
    expect([wrong.exitCode, wrong.stderr]).toEqual([1, expect.stringContaining("KEY_WRONG")]);
    expect((await memento(there, open, { PASS: "correct horse" })).stdout).toMatch(/^Imported 1 memento\.\n/u);
  });

  test("takes a file from a pipe, and a dry run changes nothing", async () => {
    await memento(here, ["export", "head", "--plain", "--out", "head.memento"]);
    await memento(there, ["init"]);
    const args = ["import", "../here/head.memento"];
    const dry = await memento(there, [...args, "--dry-run"]);
    expect(dry.stdout).toMatch(/^Nothing was changed\. It would be imported:\n/u);
    expect(json((await memento(there, [...args, "--json"])).stdout)).toMatchObject({ imported: 1, dryRun: false });
  });

  test("makes no store for a file that cannot be imported, nor for a dry run", async () => {
    for (const name of ["sealed", "plain"])
      await memento(here, [
        "export",
        "head",
        "--out",
        path.join(there, name),
        ...(name === "plain" ? ["--plain"] : []),
      ]);
    writeFileSync(path.join(there, "empty"), "");
    writeFileSync(path.join(there, "garbage"), "no portable file at all");
    for (const name of ["missing", "empty", "garbage", "sealed"]) {
      expect((await memento(there, ["import", name])).exitCode).not.toBe(0);
      expect(existsSync(path.join(there, ".memento"))).toBe(false);
    }
    const dry = await memento(there, ["import", "plain", "--dry-run"]);
    expect([dry.exitCode, dry.stdout]).toEqual([
      0,
      expect.stringMatching(/^Nothing was changed\. It would be imported:/u),
    ]);
    expect(existsSync(path.join(there, ".memento"))).toBe(false);
    expect((await memento(there, ["import", "sealed", "--dry-run"], { MEMENTO_KEY_FILE: key })).exitCode).toBe(0);
    const piped = withPipe(there, ["import", "-"], readFileSync(path.join(there, "plain")));
    expect(piped).toBe(0);
    expect(json((await memento(there, ["verify", "--json"])).stdout)).toMatchObject({ sound: true });
  });

  test("verifies a file without a store: 3 for one changed byte", async () => {
    await memento(here, ["export", "head", "--out", "head.memento"]);
    const file = path.join(here, "head.memento");
    const outside = await memento(there, ["import", file, "--verify-only"]);
    expect(outside.stdout).toContain("no key was given to look inside");
    const inside = await memento(there, ["import", file, "--verify-only", "--key-file", key]);
    expect(inside.stdout).toContain("every byte was read and checked");
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const damaged = await memento(there, ["import", file, "--verify-only"]);
    expect([damaged.exitCode, damaged.stderr]).toEqual([3, expect.stringContaining(`The file ${file} is refused`)]);
  });
});
