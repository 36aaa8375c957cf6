import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { requireEngine } from "../../../../test/harness/engines.ts";
import { mementoOnTerminal, probeScript } from "../../../../test/harness/terminal.ts";

const script = await requireEngine("script (util-linux)", probeScript);

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-copy-")));
  symlinkSync(path.resolve(import.meta.dirname, "../../../../node_modules"), path.join(folder, "node_modules"));
  copyFileSync(pipelineFile("numbers.ts"), path.join(folder, "numbers.ts"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const failing = ["run", "numbers.ts", "--param", "into=numbers.db", "--param", "failAt=45"];
const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>;

describe("memento backup and restore-backup", () => {
  test("a file in a folder, listed, restored under its old key; a changed one is refused", async () => {
    await memento(folder, failing);
    const made = await memento(folder, ["backup", "sqlite:.memento/store.db", ".", "--json"]);
    const { file, digest } = json(made.stdout) as { readonly file: string; readonly digest: string };
    expect(path.basename(file)).toMatch(/^memento-.*\.memento$/u);
    const listed = await memento(folder, ["backup", "--list", file, "--key-file", ".memento/store.db.key"]);
    expect(listed.stdout).toMatch(/^Sound: .*\n.*\npipelines\/numbers .*\nIt brings no keys\.\nDigest /u);
    const args = ["restore-backup", file, "sqlite:back.db", "--key-file", ".memento/store.db.key"];
    expect((await memento(folder, args)).stdout).toContain(`gives the digest of the backup, ${digest}`);
    expect((await memento(folder, ["--store", "sqlite:back.db", "verify"])).exitCode).toBe(0);
    expect((await memento(folder, args)).stdout).toMatch(/^Nothing to restore/u);
    const bytes = readFileSync(file);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    const refused = await memento(folder, [
      "restore-backup",
      file,
      "sqlite:other.db",
      "--key-file",
      ".memento/store.db.key",
    ]);
    expect([refused.exitCode, refused.stderr]).toEqual([3, expect.stringContaining("DAMAGED")]);
    expect(existsSync(path.join(folder, "other.db"))).toBe(false);
  }, 600_000);

  test("brings the keys along only under a passphrase, and puts them beside the new store", async () => {
    await memento(folder, failing);
    const env = { PASS: "correct horse" };
    const bare = await memento(folder, ["backup", "sqlite:.memento/store.db", "all.memento", "--with-keys"], env);
    expect([bare.exitCode, bare.stderr]).toEqual([2, expect.stringContaining("--passphrase-env")]);
    const sealed = ["--passphrase-env", "PASS"];
    const made = await memento(
      folder,
      ["backup", "sqlite:.memento/store.db", "all.memento", "--with-keys", ...sealed],
      env,
    );
    expect(made.stdout).toContain("brings the store's keys along");
    const key = readFileSync(path.join(folder, ".memento/store.db.key"), "utf8");
    expect(readFileSync(path.join(folder, "all.memento"), "latin1")).not.toContain(key.split("\n")[1]);
    const back = await memento(folder, ["restore-backup", "all.memento", "sqlite:back.db", ...sealed], env);
    expect(back.exitCode).toBe(0);
    expect(readFileSync(path.join(folder, "back.db.key"), "utf8")).toBe(key);
    expect(statSync(path.join(folder, "back.db.key")).mode & 0o777).toBe(0o600);
    expect((await memento(folder, ["--store", "sqlite:back.db", "verify"])).exitCode).toBe(0);
    for (const place of ["sqlite:gone/back.db", "file:gone/back"]) {
      const nowhere = await memento(folder, ["restore-backup", "all.memento", place, ...sealed], env);
      expect([nowhere.exitCode, nowhere.stderr]).toEqual([1, expect.stringMatching(/no folder \S+\/gone\n/u)]);
    }
  }, 600_000);

  test.skipIf(!script)(
    "Ctrl-C while the file is read again ends that, and says that the file is there",
    async () => {
      await memento(folder, ["init"]);
      writeFileSync(path.join(folder, "big"), randomBytes(120_000_000));
      expect((await memento(folder, ["put", "big", "--caretaker", "c"])).exitCode).toBe(0);
      const { sent, exitCode } = await mementoOnTerminal(folder, ["backup", "sqlite:.memento/store.db", "b.memento"], {
        env: { NO_COLOR: "1" },
        typed: [["read it again", "\u0003"]],
      });
      expect(sent).toContain("SIGINT: the file stays, and was not read again to its end; once more stops at once");
      expect(sent).toContain("error: Stopped by Ctrl-C");
      expect(exitCode).toBe(130);
      const listed = await memento(folder, ["backup", "--list", "b.memento", "--key-file", ".memento/store.db.key"]);
      expect(listed.stdout).toMatch(/^Sound: /u);
    },
    600_000,
  );

  test("into a store of backups only what is new comes", async () => {
    await memento(folder, failing);
    const first = json(
      (await memento(folder, ["backup", "sqlite:.memento/store.db", "file:backups", "--json"])).stdout,
    );
    expect(first).toMatchObject({ present: 0, verified: { identical: true } });
    await memento(folder, ["put", "numbers.ts", "--caretaker", "etl"]);
    const second = json(
      (await memento(folder, ["backup", "sqlite:.memento/store.db", "file:backups", "--json"])).stdout,
    );
    expect(second).toMatchObject({ copied: 1, verified: { identical: true } });
  }, 600_000);
});
