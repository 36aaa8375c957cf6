import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-approve-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

async function waiting(): Promise<string> {
  const paused = await memento(folder, ["run", pipelineFile("release.ts")]);
  expect(paused.exitCode).toBe(0);
  expect(paused.stderr).toContain("stage ok waits for approval: Ship it?");
  const id = /run (\S+) waits for the approval of ok/u.exec(paused.stdout)?.[1] ?? "";
  expect(paused.stdout).toContain(`memento approve ${id} --reject`);
  return id;
}

describe("memento approve", { timeout: 600_000 }, () => {
  test("keeps who approved and why, and goes on to the end", async () => {
    const id = await waiting();
    expect((await memento(folder, ["run", pipelineFile("release.ts")])).exitCode).toBe(4);
    const watched = await memento(folder, ["watch", "--once"]);
    expect(watched.stdout).toContain("ok (waits for approval)");
    const args = ["approve", id.slice(0, 8), "--by", "ana", "--note", "looks fine", "--json"];
    const done = await memento(folder, args);
    expect(JSON.parse(done.stdout)).toMatchObject({ status: "completed", run: id, skipped: ["build", "nap"] });
    expect(done.exitCode).toBe(0);
    const { mementos } = JSON.parse((await memento(folder, ["ls", "--reason", "approval", "--json"])).stdout) as {
      mementos: { id: string }[];
    };
    const shown = await memento(folder, ["show", mementos[0]?.id ?? ""]);
    expect(shown.stdout).toContain("ana");
    expect(shown.stdout).toContain("looks fine");
    const nothing = await memento(folder, ["approve", id]);
    expect(nothing.stderr).toContain(`Run ${id} waits for no approval`);
    expect(nothing.exitCode).toBe(1);
  });

  test("a rejection fails the run, and it may be approved after all", async () => {
    const id = await waiting();
    const rejected = await memento(folder, ["approve", id, "--reject", "--note", "tests are red"]);
    expect(rejected.stdout).toContain("is rejected, and the run has failed");
    expect(rejected.exitCode).toBe(0);
    const again = await memento(folder, ["resume", id]);
    expect(again.stderr).toContain("APPROVAL_REJECTED");
    expect(again.stderr).toContain("tests are red");
    expect(again.exitCode).toBe(1);
    const kept = await memento(folder, ["approve", id, "--no-resume", "--json"]);
    expect(JSON.parse(kept.stdout)).toMatchObject({ stage: "ok", decision: { approved: true } });
    expect((await memento(folder, ["run", pipelineFile("release.ts")])).stdout).toContain("completed");
  });
});
