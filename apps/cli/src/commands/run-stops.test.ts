import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { startMemento } from "../../../../test/harness/started-command.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-stops-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const HOUR = "3600000";

describe("Ctrl-C", { timeout: 600_000 }, () => {
  test.each([
    ["in a sleep", "napMs", HOUR, "stage nap sleeps until"],
    ["in an item of a list", "waitMs", HOUR, "stage 1/4 build started"],
    ["before the next attempt", "failsFor", HOUR, "tried again in"],
  ])("%s leaves a run that goes on; a second one, too", async (_where, param, value, said) => {
    const args = ["run", pipelineFile("release.ts"), "--param", `${param}=${value}`];
    await using first = startMemento(folder, args);
    await first.says(said);
    first.signal("SIGINT");
    const stopped = await first.ended;
    expect(stopped.exitCode).toBe(130);
    expect(stopped.stdout).toContain("was interrupted");

    await using second = startMemento(folder, [...args, "--json"]);
    await second.says(param === "waitMs" ? said : "resumed run");
    second.signal("SIGINT");
    second.signal("SIGINT");
    expect((await second.ended).exitCode).toBe(130);

    const { runs } = JSON.parse((await memento(folder, ["watch", "--json"])).stdout) as { runs: { status: string }[] };
    expect(runs).toMatchObject([{ status: "interrupted", holder: null }]);
    expect((await memento(folder, ["verify"])).exitCode).toBe(0);
    const fresh = await memento(folder, ["run", pipelineFile("release.ts"), "--fresh", "--json"]);
    expect(JSON.parse(fresh.stdout)).toMatchObject({ status: "paused", waitingFor: "ok" });
  });

  test("a hanging stage that does not heed it is ended by the second one, and the items before it stay done", async () => {
    const args = ["run", pipelineFile("release.ts"), "--param", "hangs=true"];
    await using run = startMemento(folder, args);
    // Before that, the first one is heeded, and the second comes to a process that is about to end.
    await run.says(" hangs");
    run.signal("SIGINT");
    await run.says("once more stops at once");
    run.signal("SIGINT");
    expect((await run.ended).exitCode).toBe(130);
    expect((await memento(folder, ["watch", "--once"])).stdout).toContain("interrupted");
  });
});
