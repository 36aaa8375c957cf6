import { chmodSync, mkdtempSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { startMemento } from "../../../../test/harness/started-command.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-doctor-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Report {
  readonly healthy: boolean;
  readonly findings: readonly {
    readonly check: string;
    readonly verdict: string;
    readonly finding: string;
    readonly advice: string | null;
  }[];
}

async function examined(exitCode: number): Promise<(check: string) => Report["findings"][number] | undefined> {
  const result = await memento(folder, ["doctor", "--json"]);
  expect(result.exitCode).toBe(exitCode);
  const { findings } = JSON.parse(result.stdout) as Report;
  return (check) => findings.find((finding) => finding.check === check);
}

const slow = [
  "run",
  pipelineFile("numbers.ts"),
  "--param",
  "into=numbers.db",
  "--param",
  "count=200",
  "--param",
  "waitMs=20",
  "--param",
  "heldBy=hold",
];

describe("memento doctor", () => {
  test("P4: says nothing secret of a store that cannot be opened", async () => {
    const urls = ["oracle://u:hunter2@h/x?token=hunter3", "postgres://u:hunt/er2@127.0.0.1:1/x?password=hunter3"];
    for (const url of urls) {
      const { stdout, stderr } = await memento(folder, ["doctor", "--json", "--store", url]);
      expect(stdout).toContain('"store"');
      expect(`${stdout}${stderr}`).not.toMatch(/hunt|er2/u);
    }
  });

  test("says so of a database whose pages contradict each other, and names the way out", async () => {
    await memento(folder, ["init"]);
    const file = path.join(folder, ".memento/store.db");
    const bytes = readFileSync(file);
    const database = new DatabaseSync(file, { readOnly: true });
    const root = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = 'memento'").get()?.["rootpage"];
    const pageBytes = Number(database.prepare("PRAGMA page_size").get()?.["page_size"]);
    database.close();
    bytes.fill(0xff, (Number(root) - 1) * pageBytes, Number(root) * pageBytes);
    writeFileSync(file, bytes);
    const found = await examined(1);
    expect(found("engine")).toMatchObject({ verdict: "bad", advice: expect.stringContaining("memento copy") });
  });

  test("finds a new store well, and says so", async () => {
    await memento(folder, ["init"]);
    const { stdout, exitCode } = await memento(folder, ["doctor"]);
    expect(stdout).toMatch(/^✓ Node\.js +\d+\./u);
    expect(stdout).toMatch(/^✓ store +sqlite:\S+, format 1, sealed, made /mu);
    expect(stdout).toMatch(/^✓ key's permissions +0600$/mu);
    expect(stdout).toMatch(/^✓ leases +none is held$/mu);
    expect(stdout).toMatch(/durable write +[\d.]+ ms/u);
    expect(stdout).toMatch(/disk +\d.* free/u);
    expect(exitCode).toBe(0);
  });

  test("a key that others may read is wrong, and how to mend it is said", async () => {
    await memento(folder, ["init"]);
    const key = path.join(folder, ".memento", "store.db.key");
    chmodSync(key, 0o644);
    const found = await examined(1);
    expect(found("key's permissions")).toMatchObject({
      verdict: "bad",
      finding: "0644: others may read it",
      advice: `chmod 600 ${key}`,
    });
  });

  test("a lost key is told as such, not as a damage", async () => {
    await memento(folder, ["init"]);
    renameSync(path.join(folder, ".memento", "store.db.key"), path.join(folder, "elsewhere"));
    const found = await examined(1);
    expect(found("store")?.finding).toContain("KEY_MISSING");
    expect(found("key")?.verdict).toBe("bad");
  });

  test("tells a live run from one that was killed", async () => {
    writeFileSync(path.join(folder, "hold"), "");
    await using run = startMemento(folder, slow);
    await run.says("stage 2/4 read started");
    const live = await examined(0);
    expect(live("lease")).toMatchObject({
      verdict: "good",
      finding: expect.stringContaining(`held by process ${run.pid} `) as string,
    });
    expect(live("run")).toMatchObject({ verdict: "good", finding: expect.stringContaining("is under way") as string });
    run.signal("SIGKILL");
    await run.ended;
    const dead = await examined(0);
    expect(dead("run")).toMatchObject({
      verdict: "advice",
      advice: expect.stringMatching(/^memento resume r\w+$/u) as string,
    });
    expect(dead("run")?.finding).toContain("stands interrupted");
    if (process.platform === "linux") expect(dead("lease")?.finding).toContain("is gone");
  });

  test("no store at all is one clear finding", async () => {
    const found = await examined(1);
    expect(found("store")).toMatchObject({ verdict: "bad", advice: expect.stringContaining("memento init") as string });
  });

  test("shows engine and latency, and how far copies are behind", async () => {
    await memento(folder, ["init"]);
    await memento(folder, ["sync", "--from", "sqlite:.memento/store.db", "--to", "file:copy"]);
    const same = JSON.parse((await memento(folder, ["doctor", "--replica", "file:copy", "--json"])).stdout) as Report;
    expect(same.findings.find(({ check }) => check === "latency")?.finding).toMatch(/a memento [\d.]+ ms$/u);
    expect(same.findings.find(({ check }) => check === "replica")).toMatchObject({ verdict: "good" });
    writeFileSync(path.join(folder, "notes.txt"), "one");
    await memento(folder, ["put", "notes.txt", "--caretaker", "etl"]);
    const behind = await memento(folder, ["doctor", "--replica", "file:copy", "--replica", "sqlite:none.db", "--json"]);
    const { findings } = JSON.parse(behind.stdout) as Report;
    const replicas = findings.filter(({ check }) => check === "replica");
    expect(replicas.map(({ verdict }) => verdict)).toEqual(["advice", "bad"]);
    expect(replicas[0]?.finding).toMatch(/is \d+ mementos? behind, on 1 timeline$/u);
    expect(behind.exitCode).toBe(1);
  });
});
