import { describe, expect, test } from "vitest";

import type { TimelineState } from "../../core/timeline.ts";
import { Memento } from "../../memento.ts";
import { MemoryStore } from "../../store/memory/index.ts";
import { resolveTarget } from "./target.ts";

async function saved(...names: readonly string[]): Promise<{
  readonly memento: Memento;
  readonly find: (text: string) => Promise<number | undefined>;
}> {
  const memento = await Memento.open(await MemoryStore.open(), { keys: { raw: [new Uint8Array(32).fill(3)] } });
  const caretaker = memento.caretaker("names");
  for (const [index, id] of names.entries()) await caretaker.save({ index }, { id });
  const sequences = new Map((await Array.fromAsync(caretaker.list())).map((entry) => [entry.id, entry.sequence]));
  const [state] = await Array.fromAsync<TimelineState>(memento.vault.store.timelines("names"));
  if (state === undefined) throw new Error("there is no timeline");
  return { memento, find: async (text) => sequences.get(await resolveTarget(memento.vault, state, text)) };
}

describe("A memento whose name is also a word for another one", () => {
  const names = ["one", "1", "head", "start", "stage:load", "name:one", "six"];

  test("is not guessed at: both are named, and name: finds it", async () => {
    const { find } = await saved(...names);
    await expect(find("1")).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      details: { named: expect.stringMatching(/-2-/u) as string, meant: expect.stringMatching(/-1-/u) as string },
      hint: "Write name:1, or the id of the one that is meant.",
    });
    await expect(find("head")).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    for (const [index, name] of names.entries()) expect(await find(`name:${name}`)).toBe(index + 1);
  });

  test("is found by its name where the word means no other one", async () => {
    const { find } = await saved(...names);
    expect(await find("start")).toBe(4);
    expect(await find("stage:load")).toBe(5);
    expect(await find("head~1")).toBe(6);
    expect(await (await saved("1", "head")).find("1")).toBe(1);
    expect(await (await saved("1", "head")).find("head")).toBe(2);
    expect(await (await saved("9", "8")).find("9")).toBe(1);
  });

  test("is not looked for by the beginning of an id, and what was removed is told from what never was", async () => {
    const { memento, find } = await saved(...names);
    await expect(find("name:")).rejects.toMatchObject({ code: "NOT_FOUND" });
    await expect(find("name:two")).rejects.toMatchObject({ code: "NOT_FOUND", details: {} });
    await memento.caretaker("names").delete("one");
    const gone = { code: "NOT_FOUND", details: { removed: expect.stringMatching(/-1-/u) as string } };
    await expect(find("name:name:one")).resolves.toBe(6);
    await expect(find("one")).rejects.toMatchObject(gone);
  });
});
