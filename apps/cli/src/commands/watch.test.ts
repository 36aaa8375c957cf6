import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { requireEngine } from "../../../../test/harness/engines.ts";
import { startMemento } from "../../../../test/harness/started-command.ts";
import { mementoOnTerminal, probeScript } from "../../../../test/harness/terminal.ts";
import { linesOn } from "../terminal/width.ts";

const script = await requireEngine("script (util-linux)", probeScript);

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-watch-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Watched {
  readonly runs: readonly {
    readonly run: string;
    readonly status: string;
    readonly holder: { readonly pid: number } | null;
    readonly until: string | null;
  }[];
}

async function watched(): Promise<Watched["runs"]> {
  return (JSON.parse((await memento(folder, ["watch", "--json"])).stdout) as Watched).runs;
}

describe("memento watch", { timeout: 600_000 }, () => {
  test("says what goes on, who is at it, and what it waits for", async () => {
    await using run = startMemento(folder, ["run", pipelineFile("release.ts"), "--param", "napMs=3600000"]);
    await run.says("stage nap sleeps until");
    const [live] = await watched();
    expect(live).toMatchObject({ pipeline: "release", status: "running", stages: ["nap"], holder: { pid: run.pid } });
    expect(Date.parse(live?.until ?? "")).toBeGreaterThan(Date.now());
    run.signal("SIGKILL");
    await run.ended;
    expect((await watched())[0]).toMatchObject({ status: "interrupted", holder: null });
    expect((await memento(folder, ["watch", "--once"])).stdout).toContain("waits until");
  });

  test("away from a terminal it writes a line for each change, until the run that was named has ended", async () => {
    await using run = startMemento(folder, ["run", pipelineFile("release.ts"), "--param", "waitMs=3600000"]);
    await run.says("stage 1/4 build started");
    const id = (await watched())[0]?.run ?? "";
    await using watch = startMemento(folder, ["watch", id]);
    await watch.says("Ctrl-C ends it");
    await memento(folder, ["cancel", id]);
    const { stdout, exitCode } = await watch.ended;
    expect(exitCode).toBe(0);
    const lines = stdout.trim().split("\n");
    expect(lines[0]).toContain(`release ${id}: running, build`);
    expect(lines.at(-1)).toBe(`release ${id}: ended`);
    expect(new Set(lines).size).toBe(lines.length);
    expect((await memento(folder, ["watch", "--once"])).stdout).toBe("No run goes on or waits.\n");
  });

  test.skipIf(!script)("on a narrow terminal it draws over what it has drawn, where lines are broken too", async () => {
    await using run = startMemento(folder, ["run", pipelineFile("release.ts"), "--param", "napMs=3600000"]);
    await run.says("stage nap sleeps until");
    const { sent, exitCode } = await mementoOnTerminal(folder, ["watch"], {
      columns: 40,
      env: { NO_COLOR: "1" },
      typed: [["\u001b[J", "\u0003"]],
    });
    const [first = "", up = ""] = sent.replaceAll("\r", "").split(/␛\[(\d+)A/u);
    expect(first).toContain("release");
    expect(Number(up)).toBe(linesOn(first.trimEnd(), 40));
    expect(Number(up)).toBeGreaterThan(2);
    expect(exitCode).toBe(0);
  });

  test("Ctrl-C ends it well", async () => {
    await memento(folder, ["run", pipelineFile("release.ts")]);
    await using watch = startMemento(folder, ["watch"]);
    await watch.says("Ctrl-C ends it");
    watch.signal("SIGINT");
    expect((await watch.ended).exitCode).toBe(0);
  });
});
