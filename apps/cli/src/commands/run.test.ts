import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";
import { startMemento } from "../../../../test/harness/started-command.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-run-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

const numbers = (...more: string[]): string[] => [
  "run",
  pipelineFile("numbers.ts"),
  "--param",
  "into=numbers.db",
  ...more,
];

interface RunJson {
  readonly run: string;
  readonly status: string;
  readonly resumed: boolean;
  readonly resumedFrom: string | null;
  readonly alreadyDone: boolean;
  readonly skipped: readonly string[];
  readonly recordsReadAgain: number;
  readonly takenBack: readonly { readonly rows: number; readonly records: number }[];
  readonly stages: readonly { readonly name: string; readonly records: number }[];
}

function rows(): { readonly count: number; readonly sum: number } {
  const database = new DatabaseSync(path.join(folder, "numbers.db"), { readOnly: true });
  const row = database.prepare("SELECT count(*) AS count, sum(value) AS sum FROM numbers").get();
  database.close();
  return { count: Number(row?.["count"]), sum: Number(row?.["sum"]) };
}

describe("memento run", () => {
  test.each([
    ["a stage that waits for what never comes", "await new Promise(() => undefined)", ""],
    ["a stage that ends the process", "process.exit(0)", ""],
    ["a file that waits for what never comes", "undefined", "await new Promise(() => undefined);"],
  ])("%s is no success", async (_what, inStage, inFile) => {
    writeFileSync(
      path.join(folder, "lost.ts"),
      `import { definePipeline } from "@mementojs/memento";
       ${inFile}
       export default definePipeline({ name: "lost", version: "1", stages: (stage) => [
         stage.task("wait", async () => { ${inStage}; }),
       ] });`,
    );
    symlinkSync(path.resolve(import.meta.dirname, "../../../../node_modules"), path.join(folder, "node_modules"));
    const people = await memento(folder, ["run", "lost.ts"]);
    expect(people.stderr).toContain("error: The command did not come to its end: ");
    expect(people.exitCode).toBe(1);
    const programs = await memento(folder, ["run", "lost.ts", "--json"]);
    expect(JSON.parse(programs.stdout)).toMatchObject({ error: { code: "UNEXPECTED" } });
    expect(programs.exitCode).toBe(1);
  });

  test("refuses --fresh together with --resume: one leaves a run behind, the other goes on with it alone", async () => {
    expect((await memento(folder, numbers("--param", "failAt=30"))).exitCode).toBe(1);
    const { stderr, exitCode } = await memento(folder, numbers("--fresh", "--resume"));
    expect(stderr).toContain("--fresh and --resume contradict each other");
    expect(exitCode).toBe(2);
    expect((await memento(folder, ["watch", "--once"])).stdout).toContain("failed");
  });

  test("with --json keeps standard output for its one document, whatever the pipeline's code writes there", async () => {
    writeFileSync(
      path.join(folder, "loud.ts"),
      `import process from "node:process";
       import { definePipeline } from "@mementojs/memento";
       console.log("the file is loaded");
       export default definePipeline({ name: "loud", version: "1", stages: (stage) => [
         stage.task("talk", () => void process.stdout.write("at work\\n")),
       ] });`,
    );
    symlinkSync(path.resolve(import.meta.dirname, "../../../../node_modules"), path.join(folder, "node_modules"));
    const { exitCode, stdout, stderr } = await memento(folder, ["run", "loud.ts", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ status: "completed" });
    expect(stderr).toMatch(/^the file is loaded\n[^]*^at work$/mu);
    expect(exitCode).toBe(0);
    const people = await memento(folder, ["run", "loud.ts"]);
    expect(people.stdout).toMatch(/^the file is loaded\nat work\nrun /u);
  });

  test("makes a store where there is none, says so, and tells the stages as they go", async () => {
    const { exitCode, stdout, stderr } = await memento(folder, numbers());
    expect(stderr).toContain(`made a store at sqlite:${folder}/.memento/store.db`);
    expect(stderr).toContain("Keep a copy of that file elsewhere");
    expect(stderr).toContain("stage 2/4 read started\nstage 2/4 read done: 60 records in ");
    expect(stdout).toMatch(/^run r\w+ completed in .*: 4 stages, 60 records, \d+ mementos\nhead \w+-\d+-\w+\n$/u);
    expect(stderr + stdout).not.toContain("\u001b");
    expect(exitCode).toBe(0);
    expect(rows()).toEqual({ count: 60, sum: 1_770 });
  });

  test("writes one JSON document and nothing else to standard output", async () => {
    const { exitCode, stdout } = await memento(folder, numbers("--json"));
    const result = JSON.parse(stdout) as RunJson;
    expect(result).toMatchObject({ status: "completed", resumed: false, alreadyDone: false, recordsReadAgain: 0 });
    expect(result.stages).toEqual([
      { name: "prepare", records: 0 },
      { name: "read", records: 60 },
      { name: "multiply", records: 60 },
      { name: "load", records: 60 },
    ]);
    expect(exitCode).toBe(0);
  });

  test("from a folder below, a project's pipeline reads and writes what it does from the project's folder", async () => {
    expect((await memento(folder, numbers())).exitCode).toBe(0);
    const below = path.join(folder, "a", "b");
    mkdirSync(below, { recursive: true });
    const { exitCode, stderr } = await memento(below, numbers());
    expect(stderr).toContain(`in ${folder}, the project's folder: relative paths count from there`);
    expect(exitCode).toBe(0);
    expect(readdirSync(below)).toEqual([]);
    const plan = await memento(below, ["plan", "start", "--json"]);
    expect(plan.exitCode).toBe(0);
    expect(plan.stdout).not.toContain("elsewhere");
    expect(readdirSync(below)).toEqual([]);
  });

  test("from a folder below, a key file named by MEMENTO_KEY_FILE counts from there, as it was typed", async () => {
    expect((await memento(folder, numbers())).exitCode).toBe(0);
    const below = path.join(folder, "a");
    mkdirSync(below);
    renameSync(path.join(folder, ".memento", "store.db.key"), path.join(below, "own.key"));
    const { exitCode, stderr } = await memento(below, ["ls"], { MEMENTO_KEY_FILE: "own.key" });
    expect(stderr).toBe("");
    expect(exitCode).toBe(0);
  });

  test("the same key is the same run", async () => {
    expect((await memento(folder, numbers("--key", "day-1"))).exitCode).toBe(0);
    const again = await memento(folder, numbers("--key", "day-1"));
    expect(again.stdout).toContain("run day-1 was done before: nothing was run");
    expect(again.exitCode).toBe(0);
    expect(rows().count).toBe(60);
  });

  test("a failed stage names the place in the user's own file, and the run goes on when it is mended", async () => {
    const failed = await memento(folder, numbers("--param", "failAt=45"));
    expect(failed.stderr).toContain("error: Stage ");
    expect(failed.stderr).toContain("the number 45 is one too many");
    expect(failed.stderr).toMatch(/ {2}at: {3}.*numbers\.ts:\d+:\d+/u);
    expect(failed.stderr).toContain("code: STAGE_FAILED");
    expect(failed.stderr).not.toMatch(/^\s+at .*\(/mu);
    expect(failed.exitCode).toBe(1);
    const other = await memento(folder, numbers());
    expect(other.stderr).toContain("RUN_PENDING");
    expect(other.stderr).toMatch(/memento resume r\w+/u);
    expect(other.exitCode).toBe(4);
    const fresh = await memento(folder, numbers("--fresh", "--json"));
    expect(JSON.parse(fresh.stdout)).toMatchObject({ status: "completed", resumed: false });
    expect(rows().count).toBe(60);
  });

  test("--debug shows the stacks", async () => {
    const { stderr } = await memento(folder, numbers("--param", "failAt=5", "--debug"));
    expect(stderr).toMatch(/caused by: Error: the number 5 is one too many\n\s+at /u);
  });

  test("goes on after a kill, and says what it skips and reads again", async () => {
    const slow = numbers("--param", "count=150", "--param", "waitMs=10", "--param", "heldBy=hold");
    writeFileSync(path.join(folder, "hold"), "");
    const killed = startMemento(folder, slow);
    await using _killed = killed;
    await killed.says("stage 2/4 read started");
    while (!existsSync(path.join(folder, "numbers.db")) || countOrZero() < 30)
      await new Promise((resolve) => setTimeout(resolve, 20));
    killed.signal("SIGKILL");
    expect((await killed.ended).signal).toBe("SIGKILL");
    rmSync(path.join(folder, "hold"));
    const again = countOrZero() - (await recordsAtHead());
    const { exitCode, stdout, stderr } = await memento(folder, [...slow, "--json"]);
    const result = JSON.parse(stdout) as RunJson;
    expect(result).toMatchObject({ status: "completed", resumed: true, skipped: ["prepare"] });
    expect(result.recordsReadAgain).toBe(again);
    const said =
      again === 0
        ? "nothing had been written past the checkpoint"
        : `${again} records had been read past the checkpoint and are read again`;
    expect(stderr).toContain(
      `resumed run ${result.run} at memento ${result.resumedFrom ?? ""}, in the middle of read: stage prepare skipped; ${said}`,
    );
    expect(exitCode).toBe(0);
    expect(rows()).toEqual({ count: 150, sum: 11_175 });
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)(
    "%s takes a checkpoint, releases the timeline and ends %i; the run goes on from there",
    async (signal, exitCode) => {
      const slow = numbers("--param", "count=150", "--param", "waitMs=10", "--param", "heldBy=hold");
      writeFileSync(path.join(folder, "hold"), "");
      await using run = startMemento(folder, [...slow, "--json"]);
      await run.says("stage 2/4 read started");
      run.signal(signal);
      await run.says(`${signal}: a checkpoint is taken`);
      rmSync(path.join(folder, "hold"));
      const stopped = await run.ended;
      expect(stopped.exitCode).toBe(exitCode);
      expect(stopped.stderr).toContain(`${signal}: a checkpoint is taken`);
      const { status, run: id } = JSON.parse(stopped.stdout) as RunJson;
      expect(status).toBe("interrupted");
      const again = await memento(folder, [...slow, "--json"]);
      expect(JSON.parse(again.stdout)).toMatchObject({
        status: "completed",
        resumed: true,
        run: id,
        recordsReadAgain: 0,
      });
      expect(rows()).toEqual({ count: 150, sum: 11_175 });
    },
  );

  test("a second Ctrl-C ends it at once; nothing is lost by that", async () => {
    // One record takes longer than the test: only the second signal can end it.
    const stuck = ["run", path.join(folder, "stuck.mjs")];
    writeFileSync(
      path.join(folder, "stuck.mjs"),
      `import { definePipeline } from ${JSON.stringify(import.meta.resolve("@mementojs/memento"))};
       export default definePipeline({ name: "stuck", version: "1", stages: (stage) => [
         stage.task("quick", () => 1),
         stage.task("stuck", async ({ log }) => { log("stuck now"); await new Promise((resolve) => setTimeout(resolve, 600_000)); }),
       ] });`,
    );
    await using run = startMemento(folder, stuck);
    await run.says("stuck now");
    run.signal("SIGINT");
    await run.says("once more stops at once");
    run.signal("SIGINT");
    expect((await run.ended).exitCode).toBe(130);
    const { stdout } = await memento(folder, ["ls", "--json"]);
    expect((JSON.parse(stdout) as { mementos: { stage?: string }[] }).mementos[0]?.stage).toBe("quick");
  });

  test("an error that a stage lets fly from a timer is told like any other", async () => {
    const text = `import { definePipeline } from ${JSON.stringify(import.meta.resolve("@mementojs/memento"))};
       export default definePipeline({ name: "stray", version: "1", stages: (stage) => [
         stage.task("stray", async () => { setTimeout(() => { throw new Error("gone astray"); }); await new Promise((resolve) => setTimeout(resolve, 60_000)); }),
       ] });`;
    writeFileSync(path.join(folder, "stray.mjs"), text);
    const { exitCode, stderr } = await memento(folder, ["run", "stray.mjs"]);
    expect(stderr).toMatch(/^error: gone astray\n {2}at: {3}.*stray\.mjs:3:\d+\n {2}hint: This is a defect /mu);
    expect(exitCode).toBe(1);
    const json = await memento(folder, ["run", "stray.mjs", "--json"]);
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { code: "UNEXPECTED", message: "gone astray" } });
    expect(json.exitCode).toBe(1);
  });

  test("leaves no trace when there is nothing to resume, no such fork, or parameters that do not fit", async () => {
    for (const more of [["--resume"], ["--fork", "nope"]]) {
      const { exitCode, stderr } = await memento(folder, numbers(...more));
      expect(stderr).toContain("NOT_A_STORE");
      expect(exitCode).toBe(1);
    }
    expect((await memento(folder, numbers("--param", "count=many"))).exitCode).toBe(2);
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe("the file of a pipeline", () => {
  test.each([
    ["broken.ts", "export const a: number = 1;\nexport default {,};\n", /broken\.ts:2 cannot be loaded/u],
    ["broken.mjs", "export const a = 1;\nexport default {,};\n", /broken\.mjs:2 cannot be loaded/u],
    [
      "throws.mjs",
      "const f = () => { throw new TypeError('boom'); };\nf();\n",
      /throws\.mjs:1:\d+ cannot be loaded: boom/u,
    ],
    ["imports.mjs", "import './nowhere.mjs';\n", /imports\.mjs cannot be loaded: Cannot find module .*nowhere\.mjs/u],
    ["enum.ts", "export enum A { B }\n", /enum\.ts:1 cannot be loaded: .*enum/u],
  ])("%s is refused with the place", async (name, text, message) => {
    writeFileSync(path.join(folder, name), text);
    const { exitCode, stderr } = await memento(folder, ["run", name]);
    expect(stderr).toMatch(message);
    expect(stderr).toContain("code: INVALID_PIPELINE");
    expect(exitCode).toBe(2);
    expect(readdirSync(folder)).toEqual([name]);
  });

  test("that Node takes for a script of the older kind is sound: the hint says what to set", async () => {
    writeFileSync(path.join(folder, "package.json"), '{ "type": "commonjs" }\n');
    writeFileSync(path.join(folder, "sound.ts"), 'import "node:fs";\nexport default 1;\n');
    const { exitCode, stderr } = await memento(folder, ["run", "sound.ts"]);
    expect(stderr).toContain("npm pkg set type=module");
    expect(stderr).not.toContain("Mend the file");
    expect(exitCode).toBe(2);
  });

  test("that exports several must be told which, by either name", async () => {
    const file = pipelineFile("several.ts");
    const unsaid = await memento(folder, ["run", file]);
    expect(unsaid.stderr).toContain("exports 2 pipelines: one, two (zwei)");
    expect(unsaid.exitCode).toBe(2);
    for (const name of ["one", "two", "zwei"])
      expect((await memento(folder, ["run", file, "--name", name])).exitCode).toBe(0);
    const wrong = await memento(folder, ["run", file, "--name", "three"]);
    expect(wrong.stderr).toContain("PIPELINE_MISSING");
    expect(wrong.exitCode).toBe(2);
  });
});

function countOrZero(): number {
  try {
    return rows().count;
  } catch (error) {
    // The table comes with the first write.
    if (error instanceof Error && error.message.includes("no such table")) return 0;
    throw error;
  }
}

/** Records that the newest memento covers. */
async function recordsAtHead(): Promise<number> {
  const { stdout } = await memento(folder, ["log", "--json"]);
  const { lineages } = JSON.parse(stdout) as { lineages: { mementos: { records: number | null }[] }[] };
  return lineages[0]?.mementos[0]?.records ?? 0;
}
