import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { startMemento } from "../../../../test/harness/started-command.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-pause-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

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

describe("memento pause", () => {
  test("a live run stops at its next checkpoint, stays so, and goes on when it is resumed", async () => {
    writeFileSync(path.join(folder, "hold"), "");
    await using run = startMemento(folder, [...slow, "--json"]);
    await run.says("stage 2/4 read started");
    const { mementos } = JSON.parse((await memento(folder, ["ls", "--json"])).stdout) as {
      mementos: { run: string }[];
    };
    const id = mementos[0]?.run ?? "";
    const asked = await memento(folder, ["pause", id.slice(0, 8)]);
    expect(asked.stdout).toContain("asked to stop at its next checkpoint");
    expect(asked.exitCode).toBe(0);
    // What is left takes longer than it takes a run to hear of what was asked.
    rmSync(path.join(folder, "hold"));
    const ended = await run.ended;
    expect(ended.exitCode).toBe(0);
    expect(JSON.parse(ended.stdout)).toMatchObject({ status: "paused", run: id });
    const refused = await memento(folder, slow);
    expect(refused.stderr).toContain(`memento resume ${id}`);
    expect(refused.exitCode).toBe(4);
    const resumed = await memento(folder, ["resume", id, "--json"]);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ status: "completed", run: id, skipped: ["prepare"] });
  });

  test("one that stands interrupted no longer goes on by itself", async () => {
    writeFileSync(path.join(folder, "hold"), "");
    await using run = startMemento(folder, slow);
    await run.says("stage 2/4 read started");
    run.signal("SIGKILL");
    await run.ended;
    rmSync(path.join(folder, "hold"));
    const { mementos } = JSON.parse((await memento(folder, ["ls", "--json"])).stdout) as {
      mementos: { run: string }[];
    };
    const id = mementos[0]?.run ?? "";
    const paused = await memento(folder, ["pause", id, "--json"]);
    expect(JSON.parse(paused.stdout)).toMatchObject({ run: id, status: "paused" });
    expect((await memento(folder, slow)).exitCode).toBe(4);
    expect((await memento(folder, [...slow, "--resume"])).exitCode).toBe(0);
  });

  test("one that was asked to pause and killed before it saw that goes on when it is resumed, and says so", async () => {
    writeFileSync(path.join(folder, "hold"), "");
    await using run = startMemento(folder, slow);
    await run.says("stage 2/4 read started");
    run.signal("SIGSTOP");
    const { mementos } = JSON.parse((await memento(folder, ["ls", "--json"])).stdout) as {
      mementos: { run: string }[];
    };
    const id = mementos[0]?.run ?? "";
    const asked = await memento(folder, ["pause", id, "--json"]);
    expect(JSON.parse(asked.stdout)).toMatchObject({ run: id, status: "requested" });
    run.signal("SIGKILL");
    await run.ended;
    rmSync(path.join(folder, "hold"));
    const resumed = await memento(folder, ["resume", id, "--json"]);
    expect(resumed.stderr).toContain("a pause was asked for, and the worker before ended without having seen it");
    expect(JSON.parse(resumed.stdout)).toMatchObject({ status: "completed", run: id });
  });

  test("a run that is done, and one that never was, are no runs to pause", async () => {
    const done = await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db", "--json"]);
    const { run } = JSON.parse(done.stdout) as { run: string };
    expect((await memento(folder, ["pause", run])).stderr).toContain("NOTHING_TO_RESUME");
    const unknown = await memento(folder, ["pause", "rnope"]);
    expect(unknown.stderr).toContain("There is no run rnope");
    expect(unknown.exitCode).toBe(1);
  });
});
