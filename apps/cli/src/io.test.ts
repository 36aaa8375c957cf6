import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { Memento } from "@mementojs/memento";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { requireEngine } from "../../../test/harness/engines.ts";
import { mementoOnTerminal, probeScript } from "../../../test/harness/terminal.ts";

let folder: string;
let store: string;

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(path.join(tmpdir(), "memento-io-")));
  store = `sqlite:${folder}/store.db`;
  await using memento = await Memento.open(store);
  await memento.caretaker("etl").save({ id: "one" }, { id: "one" });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const script = await requireEngine("script (util-linux)", probeScript);

describe.skipIf(!script)("a question on the terminal", () => {
  test.each([
    ["Ctrl-C", "\u0003", 130, "Stopped by Ctrl-C"],
    ["Ctrl-D", "\u0004", 1, "The question was not answered"],
  ])("%s answers it: nothing is done, and no defect is spoken of", async (_name, keys, code, message) => {
    const { sent, exitCode } = await mementoOnTerminal(folder, ["rm", "one", "--store", store], {
      typed: [["[y/N]", keys]],
      env: { NO_COLOR: "1" },
    });
    expect(sent).toContain(`\nerror: ${message}\r\n  hint: Nothing was changed.\r\n  code: CANCELLED`);
    expect(exitCode).toBe(code);
    await using memento = await Memento.open(store);
    expect(await memento.caretaker("etl").load("one")).toEqual({ id: "one" });
  });

  test("an answer is taken; what turns the direction of text round is shown and not obeyed", async () => {
    await using memento = await Memento.open(store);
    await memento.caretaker("etl").save(1, { id: "two", originator: "a\u202eb" });
    const { sent, exitCode } = await mementoOnTerminal(folder, ["rm", "two", "--store", store], {
      typed: [["[y/N]", "y\r"]],
    });
    expect(sent).toContain(String.raw`a\u202eb #1`);
    expect(sent).toContain("Removed 1 memento.");
    expect(exitCode).toBe(0);
  });
});
