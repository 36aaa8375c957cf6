import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento } from "@mementojs/memento";
import { afterEach, beforeEach, expect, test } from "vitest";

import numbers from "../../../../test/fixtures/pipelines/numbers.ts";
import { memento, mementoCommand, pipelineFile } from "../../../../test/harness/command-line.ts";
import { type ProcessResult, runProcess, shellEnvironment } from "../../../../test/harness/process.ts";
import { shellWord } from "../terminal/shell-word.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-printed-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Does what a person does with the last command that was printed: copies it into a shell. */
async function copied({ stdout, stderr }: ProcessResult): Promise<ProcessResult & { readonly line: string }> {
  const line = [...stdout.matchAll(/\bmemento (?:adopt|plan|reset|resume|rollback|run) .*$/gmu)].at(-1)?.[0] ?? "";
  expect(line, stdout + stderr).not.toBe("");
  const [file, args] = mementoCommand([]);
  const command = [file, ...args].map((word) => shellWord(word)).join(" ");
  const result = await runProcess("/bin/sh", ["-c", `memento() { ${command} "$@"; }; ${line}`], {
    cwd: folder,
    env: shellEnvironment(),
    timeoutMs: 60_000,
  });
  return { ...result, line };
}

const run = async (name: string, ...more: readonly string[]): Promise<ProcessResult> =>
  await memento(folder, ["run", pipelineFile("several.ts"), "--name", name, ...more]);

test("the reset of a partition names the partition, and not the pipeline beside it", async () => {
  await run("one");
  await run("one", "--partition", "a");
  const plan = await memento(folder, ["reset", "one@a", "--dry-run", "--purge", "--secure"]);
  expect(plan.stdout).toMatch(/^Reset one@a\n/u);
  expect(plan.stdout).toContain("\n  memento reset one@a --purge --secure\n");
});

test("a fork of one of several pipelines in a file is run", async () => {
  await run("zwei");
  const { exitCode, stderr } = await copied(await memento(folder, ["fork", "start", "--name", "try"]));
  expect(stderr).toContain("resumed run");
  expect(exitCode).toBe(0);
});

test("a run on a fork goes on there, though its origin has the same run", async () => {
  await run("one");
  await memento(folder, ["fork", "start", "--name", "try"]);
  const { mementos } = JSON.parse((await memento(folder, ["ls", "--json", "--limit", "1"])).stdout) as {
    mementos: { run: string }[];
  };
  const paused = await memento(folder, ["pause", mementos[0]?.run ?? "", "--timeline", "one#try"]);
  const { exitCode, stdout } = await copied(paused);
  expect(stdout).toContain("completed");
  expect(exitCode).toBe(0);
});

test("a run whose fork has it too is gone on with by the command that is printed, where it stands in the way and elsewhere", async () => {
  const failing = ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"];
  expect((await memento(folder, [...failing, "--param", "failAt=45"])).exitCode).toBe(1);
  const alone = await memento(folder, failing);
  expect(alone.stderr).toMatch(/Go on with it by `memento resume r\w+`, or leave it behind by --fresh\.\n/u);
  await memento(folder, ["fork", "head", "--name", "try"]);
  const inTheWay = await memento(folder, failing);
  expect(inTheWay.stderr).toContain("code: RUN_PENDING");
  const [, line = ""] = /by `(memento [^`]*)`/u.exec(inTheWay.stderr) ?? [];
  expect(line).toMatch(/^memento resume r\w+ --timeline numbers$/u);
  const doctor = await memento(folder, ["doctor"]);
  expect(doctor.stdout).toContain(`-> ${line}\n`);
  expect(doctor.stdout).toContain(`-> ${line}#try\n`);
  const { stderr } = await copied({ ...inTheWay, stdout: line });
  expect(stderr).toContain("resumed run");
  expect(stderr).toContain("the number 45 is one too many");
});

test("what was run by a program of its own is taken back, and that undone, by the file that was named", async () => {
  const store = `sqlite:${folder}/store.db`;
  {
    await using own = await Memento.open(store);
    await own.run(numbers, { params: { into: path.join(folder, "numbers.db") } });
  }
  const named = ["--store", store, "--pipeline", pipelineFile("numbers.ts")];
  const undoes = async (done: ProcessResult): Promise<void> => {
    expect(done.stderr).toBe("");
    const undo = await copied(done);
    expect(undo.line).toMatch(/^memento plan /u);
    expect(undo.stderr).toBe("");
    const undone = await copied(undo);
    expect(undone.stdout).toMatch(/^Rolled back numbers /u);
  };
  await undoes(await copied(await memento(folder, ["plan", "start", ...named])));
  await undoes(await memento(folder, ["edit", "head", "--set", "state.note=1", ...named]));
  await undoes(await memento(folder, ["reset", "numbers", "--yes", "--confirm", "numbers", ...named]));
});
