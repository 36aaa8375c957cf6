import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { startMemento } from "../../../../test/harness/started-command.ts";
import { stopOutsideTransactions } from "../../../../test/harness/stop-outside-transactions.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-cancel-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function runId(): Promise<string> {
  const { stdout } = await memento(folder, ["watch", "--json"]);
  return (JSON.parse(stdout) as { runs: { run: string }[] }).runs[0]?.run ?? "";
}

describe("memento cancel", { timeout: 600_000 }, () => {
  test("a run that is under way ends, and is not gone on with", async () => {
    const args = ["run", pipelineFile("release.ts"), "--param", "waitMs=3600000", "--json"];
    await using run = startMemento(folder, args);
    await run.says("stage 1/4 build started");
    const id = await runId();
    const cancelled = await memento(folder, ["cancel", id, "--why", "wrong month"]);
    expect(cancelled.stdout).toContain("its worker has lost the timeline");
    expect(cancelled.exitCode).toBe(0);
    const ended = await run.ended;
    expect(JSON.parse(ended.stdout)).toMatchObject({ status: "cancelled", run: id });
    expect(ended.exitCode).toBe(1);
    expect((await memento(folder, ["show", "head", "--json"])).stdout).toContain("wrong month");
    expect((await memento(folder, ["resume", id])).stderr).toContain("NOTHING_TO_RESUME");
    expect((await memento(folder, ["cancel", id])).exitCode).toBe(1);
    const next = await memento(folder, ["run", pipelineFile("release.ts"), "--json"]);
    expect(JSON.parse(next.stdout)).toMatchObject({ status: "paused", waitingFor: "ok", resumed: false });
  });

  test("a worker that was stopped dead loses its run too, and finds that out when it wakes", async () => {
    const args = ["run", pipelineFile("release.ts"), "--param", "waitMs=3600000", "--json"];
    await using run = startMemento(folder, args);
    await run.says("stage 1/4 build started");
    const id = await runId();
    await stopOutsideTransactions(path.join(folder, ".memento", "store.db"), (name) => run.signal(name));
    expect((await memento(folder, ["cancel", id])).exitCode).toBe(0);
    run.signal("SIGCONT");
    const ended = await run.ended;
    expect(JSON.parse(ended.stdout)).toMatchObject({ status: "cancelled", run: id });
  });

  test("a key is written out, and an empty text names no run", async () => {
    await memento(folder, ["run", pipelineFile("release.ts"), "--key", "day-10"]);
    for (const [text, code] of [
      ["day-1", "NOT_FOUND"],
      ["", "INVALID_ARGUMENT"],
    ] as const)
      for (const command of ["cancel", "approve", "resume", "pause"])
        expect((await memento(folder, [command, text])).stderr, `${command} ${text}`).toContain(code);
    expect((await memento(folder, ["cancel", "day-10"])).exitCode).toBe(0);
  });

  test("a run that nobody is running is marked", async () => {
    await using run = startMemento(folder, ["run", pipelineFile("release.ts"), "--param", "waitMs=3600000"]);
    await run.says("stage 1/4 build started");
    const id = await runId();
    run.signal("SIGKILL");
    await run.ended;
    const cancelled = await memento(folder, ["cancel", id, "--json"]);
    expect(JSON.parse(cancelled.stdout)).toMatchObject({ run: id, wasLive: false });
    expect((await memento(folder, ["ls"])).stdout).toContain("cancelled");
  });
});
