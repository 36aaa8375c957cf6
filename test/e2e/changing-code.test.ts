import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { memento } from "../harness/command-line.ts";

const code = (name: string): string => path.resolve(import.meta.dirname, "../../examples/changing-code", `${name}.ts`);
const CENTS = Array.from({ length: 100 }, (_, n) => 100 + n).reduce((sum, cents) => sum + cents, 0);

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-changing-")));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("memento check", () => {
  test("names the live memento that changed code cannot read, and ends with 4", async () => {
    expect((await memento(folder, ["run", code("before")])).exitCode).toBe(0);
    const forgotten = await memento(folder, ["check", code("forgotten")]);
    expect(forgotten.exitCode).toBe(4);
    const shown = await memento(folder, ["show", "head"]);
    const [id = ""] = /^\S+-\d+-\S+$/mu.exec(forgotten.stdout.replaceAll(" (head)", "")) ?? [];
    expect(forgotten.stdout).toContain(`${id} (head)`);
    expect(shown.stdout).toContain(id);
    expect(forgotten.stdout).toContain(
      "the state was saved as orders version 1, and the code has no upcaster from version 1",
    );
    const json = await memento(folder, ["check", code("forgotten"), "--json"]);
    expect(json.exitCode).toBe(4);
    expect(JSON.parse(json.stdout)).toMatchObject({ pipeline: "orders", version: "2", timelines: 1 });
    const run = await memento(folder, ["run", code("forgotten")]);
    expect(run.exitCode).toBe(4);
    expect(run.stderr).toContain("SCHEMA_UNREADABLE");
  });

  test("finds nothing wrong with code that has the cast, and that code goes on", async () => {
    expect((await memento(folder, ["run", code("before")])).exitCode).toBe(0);
    const check = await memento(folder, ["check", code("after")]);
    expect(check.stdout).toContain("can restore all of");
    expect(check.stdout).toContain("by casting values");
    expect(check.exitCode).toBe(0);
    expect((await memento(folder, ["run", code("after")])).exitCode).toBe(0);
    expect((await memento(folder, ["show", "head", "--json"])).stdout).toContain(String(CENTS));
    const putBack = await memento(folder, ["check", code("before")]);
    expect(putBack.stdout).toContain("saved as orders version 2, and the code has no schema for it");
    expect(putBack.exitCode).toBe(4);
  });

  test("a store without a memento of the pipeline has nothing to check", async () => {
    await memento(folder, ["init"]);
    const check = await memento(folder, ["check", code("after")]);
    expect(check.stdout).toContain("nothing to check");
    expect(check.exitCode).toBe(0);
  });
});
