import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { memento, pipelineFile } from "../../../../test/harness/command-line.ts";

let folder: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-show-")));
  expect((await memento(folder, ["run", pipelineFile("numbers.ts"), "--param", "into=numbers.db"])).exitCode).toBe(0);
  await using store = await Memento.open(`sqlite:${folder}/.memento/store.db`);
  const state = { when: new Date(0), big: 12n, rows: new Map([["a", Uint8Array.of(1, 2)]]), long: "x".repeat(2_000) };
  await store.caretaker("etl").save(state, { id: "mine", description: "by hand", metadata: { by: "me" } });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("memento show", () => {
  test("shows what a memento is, and what it holds", async () => {
    const { stdout, exitCode } = await memento(folder, ["show", "head", "--timeline", "numbers"]);
    expect(stdout).toMatch(/^memento +\w+-8-\w+\nof +pipelines\/numbers, number 8\n/u);
    expect(stdout).toMatch(/^taken +\S+ \((?:just now|\d+ \w+ ago)\), end of stage load \(number 4\)$/mu);
    expect(stdout).toMatch(/^status +completed$/mu);
    expect(stdout).toMatch(/^state\n {2}largest +59$/mu);
    expect(stdout).toMatch(/^ {2}load +60 records in, 60 out$/mu);
    expect(stdout).toMatch(/^ {2}numbers +\{ '0': 60 \}$/mu);
    expect(exitCode).toBe(0);
  });

  test("gives a program all of it", async () => {
    const { stdout } = await memento(folder, ["show", "stage:prepare", "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({
      memento: { reason: "stage", stage: "prepare" },
      run: { params: { count: 60, into: "numbers.db" }, module: pipelineFile("numbers.ts") },
      outputs: { prepare: { value: { factor: 1 } } },
      state: {},
    });
  });

  test("opens a value that is of no pipeline, by its name", async () => {
    const text = (await memento(folder, ["show", "mine"])).stdout;
    expect(text).toContain("big: 12n");
    expect(text).toMatch(/^description +by hand$/mu);
    expect(text).not.toContain("x".repeat(1_000));
    expect((await memento(folder, ["show", "mine", "--full"])).stdout).toContain("x".repeat(2_000));
    const json = JSON.parse((await memento(folder, ["show", "mine", "--json"])).stdout) as { value: unknown };
    expect(json.value).toMatchObject({ when: "1970-01-01T00:00:00.000Z", big: "12", rows: [["a", "AQI="]] });
  });

  test("finds a memento by the beginning of its id, in whichever timeline", async () => {
    const { memento: entry } = JSON.parse((await memento(folder, ["show", "mine", "--json"])).stdout) as {
      memento: { id: string };
    };
    expect((await memento(folder, ["show", entry.id.slice(0, 15)])).stdout).toContain(entry.id);
  });

  test("asks which timeline where both have one, and names what is not there", async () => {
    const unclear = await memento(folder, ["show", "head"]);
    expect(unclear.stderr).toMatch(/2 mementos fit head: .*numbers.*etl\/default/u);
    expect(unclear.exitCode).toBe(2);
    const nowhere = await memento(folder, ["show", "nope"]);
    expect(nowhere.stderr).toContain("There is no memento nope");
    expect(nowhere.exitCode).toBe(1);
  });
});
