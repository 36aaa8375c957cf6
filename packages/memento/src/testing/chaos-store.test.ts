import { spawn } from "node:child_process";
import { once } from "node:events";

import { describe, expect, test } from "vitest";

import { MemoryStore } from "../store/memory/store.ts";
import { chaosStore, type NumberedCall } from "./chaos-store.ts";
import { StoreFixture } from "./store/fixture.ts";
import { collect } from "./store/kit.ts";

describe("chaosStore()", () => {
  test("numbers the calls in the order in which they begin, each next() with one of its own", async () => {
    const seen: string[] = [];
    const note =
      (phase: string) =>
      ({ number, method }: NumberedCall) =>
        void seen.push(`${phase} ${number} ${method}`);
    const make = new StoreFixture(1);
    await using store = chaosStore(await MemoryStore.open(), { before: note("before"), after: note("after") });
    await store.create(make.meta(), make.key("integrity"));
    await collect(store.timelines(null));
    expect(seen).toEqual(["before 1 create", "after 1 create", "before 2 timelines", "after 2 timelines"]);
  });

  test("what a hook throws stands for a call that failed, or an answer that was lost", async () => {
    const lost = new Error("lost");
    const make = new StoreFixture(1);
    const inner = await MemoryStore.open();
    const throwing = () => {
      throw lost;
    };
    const deaf = chaosStore(inner, { before: throwing });
    await expect(deaf.create(make.meta(), make.key("integrity"))).rejects.toBe(lost);
    expect(await inner.meta()).toBeNull();
    const mute = chaosStore(inner, { after: throwing });
    await expect(mute.create(make.meta(), make.key("integrity"))).rejects.toBe(lost);
    expect(await inner.meta()).not.toBeNull();
  });
});

describe("killAt()", () => {
  const program = `
    const { MemoryStore, chaosStore, killAt } = { ...(await import(${JSON.stringify(new URL("../store/memory/store.ts", import.meta.url))})),
      ...(await import(${JSON.stringify(new URL("./chaos-store.ts", import.meta.url))})) };
    const inner = await MemoryStore.open();
    const said = (name) => (...args) => { console.log(name); return MemoryStore.prototype[name].apply(inner, args); };
    inner.meta = said("meta");
    const store = chaosStore(inner, killAt(JSON.parse(process.argv[1])));
    process.on("exit", () => console.log("exit"));
    for (let call = 0; call < 3; call++) await store.meta();
  `;

  async function run(point: object): Promise<{ readonly signal: string | null; readonly output: string }> {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", program, JSON.stringify(point)], {
      timeout: 60_000,
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    const [, signal] = (await once(child, "close")) as [number | null, string | null];
    return { signal, output };
  }

  test("dies before the store does its work, or after it, and runs nothing more", async () => {
    expect(await run({ call: 2, phase: "before" })).toEqual({ signal: "SIGKILL", output: "meta\n" });
    expect(await run({ call: 2, phase: "after" })).toEqual({ signal: "SIGKILL", output: "meta\nmeta\n" });
    expect(await run({ call: 9, phase: "after" })).toEqual({ signal: null, output: "meta\nmeta\nmeta\nexit\n" });
  });
});
