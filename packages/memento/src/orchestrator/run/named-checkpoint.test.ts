import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { afterAll, describe, expect, test } from "vitest";

import { bench } from "../../../../../test/harness/number-runs.ts";
import { Memento } from "../../memento.ts";
import { definePipeline, type Pipeline } from "../pipeline/pipeline.ts";
import type { RetryOptions } from "../pipeline/retry.ts";
import type { StageContext } from "../pipeline/stage.ts";

const folder = mkdtempSync(path.join(tmpdir(), "memento-named-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Named {
  readonly checkpoint?: Parameters<StageContext["checkpoint"]>[0];
  readonly fail?: () => boolean;
  readonly retry?: RetryOptions;
}

const named = ({ checkpoint = { name: "loaded" }, fail = () => false, retry }: Named): Pipeline =>
  definePipeline({
    name: "named",
    version: "1",
    stages: (stage) => [
      stage.task("load", retry === undefined ? {} : { retry }, async (context) => {
        const { id } = await context.checkpoint(checkpoint);
        if (fail()) throw new Error("the network hums");
        return id;
      }),
    ],
  });

const once = (): (() => boolean) => {
  let armed = true;
  return () => {
    const fails = armed;
    armed = false;
    return fails;
  };
};

describe("checkpoint() with a name", () => {
  test.each([undefined, { attempts: 2, initialMs: 1 }])(
    "is passed again after a failure, and has the name then; retry: %j",
    async (retry) => {
      const { memento, store } = await bench();
      const pipeline = named({ fail: once(), ...(retry === undefined ? {} : { retry }) });
      if (retry === undefined) await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "STAGE_FAILED" });
      const result = await memento.run(pipeline);
      expect(await result.output("load")).toBe(await store.findByName("pipelines", "loaded"));
      expect(await memento.verify()).toMatchObject({ sound: true });
    },
  );

  test("keeps the labels that were given, whatever becomes of the object that had them", async () => {
    const { memento } = await bench();
    const labels: Record<string, string> = { at: "before" };
    const pipeline = definePipeline({
      name: "labelled",
      version: "1",
      stages: (stage) => [
        stage.task("load", async (context) => {
          const saving = context.checkpoint({ name: "loaded", labels });
          labels["at"] = "after";
          const { id } = await saving;
          labels["at"] = "much later";
          return id;
        }),
      ],
    });
    const id = String(await (await memento.run(pipeline)).output("load"));
    expect((await memento.vault.load(id)).entry.labels).toEqual({ at: "before" });
  });

  test("that another run's memento has is EXISTS, unless the name is to be moved", async () => {
    const { memento, store } = await bench();
    const first = await memento.run(named({}));
    await expect(memento.run(named({}))).rejects.toMatchObject({ code: "EXISTS" });
    expect(await store.findByName("pipelines", "loaded")).toBe(await first.output("load"));
    const second = await memento.run(named({ checkpoint: { name: "loaded", replace: true } }));
    expect(second.resumed).toBe(true);
    expect(await store.findByName("pipelines", "loaded")).toBe(await second.output("load"));
  });

  test("that another stage of the run has given is EXISTS", async () => {
    const { memento } = await bench();
    const pipeline = definePipeline({
      name: "twice",
      version: "1",
      stages: (stage) =>
        ["one", "two"].map((name) =>
          stage.task(name, async ({ checkpoint }) => (await checkpoint({ name: "loaded" })).id),
        ),
    });
    await expect(memento.run(pipeline)).rejects.toMatchObject({ code: "EXISTS" });
  });

  test.each([
    { name: "" },
    { name: "\ud800" },
    { name: "0123456789ab-1-abcdef" },
    { labels: { "memento.part": "x" } },
    { labels: { "memento.stream": "x" } },
    { labels: { at: "\ud800" } },
  ])("or labels that no memento can have are refused: %j", async (checkpoint) => {
    const file = path.join(mkdtempSync(path.join(folder, "store-")), "s.db");
    await using memento = await Memento.open(`sqlite:${file}`, { keys: { raw: [new Uint8Array(32).fill(7)] } });
    await expect(memento.run(named({ checkpoint }))).rejects.toMatchObject({ code: "NAME_INVALID" });
    expect(await memento.verify()).toMatchObject({ sound: true });
    await expect(
      memento
        .caretaker("etl")
        .save(1, { labels: {}, ...checkpoint, ...("name" in checkpoint ? { id: checkpoint.name } : {}) }),
    ).rejects.toMatchObject({ code: "NAME_INVALID" });
  });
});
