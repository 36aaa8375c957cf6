import assert from "node:assert/strict";

import { contentOf, expectSinkCode, idsOf, type KitRow, row, type SinkTestGroup } from "./kit.ts";

/** Writing: what is there afterwards, and what a token means. */
export const writeTests: readonly SinkTestGroup[] = [
  {
    method: "write()",
    tests: {
      "keeps every row of a batch": async ({ open, place }) => {
        const one = await open();
        const rows = [row("a"), row("b", -7, null), row("c", 2 ** 40, "ünï\u0000cödé 😀"), row("d", 0.5, "")];
        const { rows: count, duplicate } = await one.write(rows);
        assert.deepEqual({ count, duplicate }, { count: 4, duplicate: false });
        const found = [...(await place.read()).values()].toSorted((a, b) => (a.id < b.id ? -1 : 1));
        assert.deepEqual(
          found.map(({ id, amount, note }) => ({ id, amount, note })),
          rows,
        );
      },
      "moves the mark, which stays after closing": async ({ open }) => {
        const one = await open();
        assert.equal(await one.sink.mark(), null);
        const first = await one.write([row("a")]);
        const second = await one.write([row("b")]);
        assert.notDeepEqual(first.mark, second.mark);
        assert.deepEqual(await one.sink.mark(), second.mark);
        await one.sink.close();
        assert.deepEqual(await (await open()).sink.mark(), second.mark);
      },
      "counts a token once": async ({ open, place }) => {
        const one = await open();
        const first = await one.write([row("a"), row("b")], "t1");
        const before = await contentOf(place);
        const again = await one.write([row("a", 99), row("z")], "t1");
        assert.deepEqual(again, { rows: 0, duplicate: true, mark: first.mark });
        assert.deepEqual(await contentOf(place), before);
        assert.deepEqual(await one.sink.mark(), first.mark);
      },
      "counts a token once across a takeover": async ({ open, place }) => {
        const [old, next] = [await open(), await open()];
        await old.sink.fence(1);
        const first = await old.write([row("a")], "t1");
        next.epoch = 2;
        await next.sink.fence(2);
        const again = await next.write([row("a")], "t1");
        assert.deepEqual(again, { rows: 0, duplicate: true, mark: first.mark });
        assert.deepEqual(await idsOf(place), ["a"]);
      },
      "knows an older token too, and gives the mark of that time": async ({ open, place }) => {
        const one = await open();
        const first = await one.write([row("a")], "t1");
        await one.write([row("b")], "t2");
        assert.deepEqual(await one.write([row("a")], "t1"), { rows: 0, duplicate: true, mark: first.mark });
        assert.deepEqual(await idsOf(place), ["a", "b"]);
      },
      "takes an empty batch as a write": async ({ open }) => {
        const one = await open();
        const empty = await one.write([], "t1");
        assert.deepEqual(empty, { rows: 0, duplicate: false, mark: await one.sink.mark() });
        assert.notEqual(empty.mark, null);
        assert.equal((await one.write([row("a")], "t1")).duplicate, true);
      },
      "refuses a batch with one bad row wholly, and goes on": async ({ open, place, options }) => {
        const one = await open();
        const { mark } = await one.write([row("a")]);
        const before = await contentOf(place);
        const { row: bad, code } = options.badRow;
        await expectSinkCode(code, () => one.write([row("b"), bad as KitRow, row("c")], "t1"));
        assert.deepEqual(await contentOf(place), before);
        assert.deepEqual(await one.sink.mark(), mark);
        assert.equal((await one.write([row("b")], "t1")).duplicate, false);
        assert.deepEqual(await idsOf(place), ["a", "b"]);
      },
      "adds a row beside one of the same id, or replaces it": async ({ open, place, options }) => {
        const one = await open();
        await one.write([row("a", 1), row("b", 1)]);
        await one.write([row("a", 2), row("a", 3)]);
        const amounts = [...(await place.read()).values()].filter(({ id }) => id === "a").map(({ amount }) => amount);
        assert.deepEqual(
          amounts.toSorted((a, b) => a - b),
          options.mode === "append" ? [1, 2, 3] : [3],
        );
      },
      "takes a large batch": async ({ open, place, options }) => {
        const { bulkRows = 20_000 } = options;
        const one = await open();
        const { mark } = await one.write([row("first")]);
        await one.write(Array.from({ length: bulkRows }, (_, index) => row(`r${index}`, index)));
        assert.equal((await place.read()).size, bulkRows + 1);
        const { removed } = await one.revertTo(mark);
        assert.equal(removed, bulkRows);
        assert.deepEqual(await idsOf(place), ["first"]);
      },
    },
  },
  {
    method: "fence()",
    tests: {
      "refuses a lower epoch in write, revertTo and fence": async ({ open, place }) => {
        const [old, next] = [await open(), await open()];
        await old.sink.fence(3);
        old.epoch = 3;
        const { mark } = await old.write([row("a")]);
        await next.sink.fence(4);
        const before = await contentOf(place);
        await expectSinkCode("FENCED", () => old.write([row("b")]));
        await expectSinkCode("FENCED", () => old.revertTo(null));
        await expectSinkCode("FENCED", () => old.sink.fence(3));
        assert.deepEqual(await contentOf(place), before);
        assert.deepEqual(await next.sink.mark(), mark);
        old.epoch = 4;
        await old.sink.fence(4);
        await old.write([row("b")]);
        assert.deepEqual(await idsOf(place), ["a", "b"]);
      },
      "refuses a token that was taken before, when it comes with a lower epoch": async ({ open }) => {
        const [old, next] = [await open(), await open()];
        await old.write([row("a")], "t1");
        await next.sink.fence(2);
        await expectSinkCode("FENCED", () => old.write([row("a")], "t1"));
      },
      "is kept for each timeline": async ({ open, place }) => {
        const [one, two] = [await open("one"), await open("two")];
        await one.sink.fence(9);
        await two.sink.fence(1);
        await two.write([row("b")]);
        assert.deepEqual(await idsOf(place), ["b"]);
      },
    },
  },
  {
    method: "place()",
    tests: {
      "is empty before the first write, then the same for every timeline and opening": async ({ open }) => {
        const [one, two] = [await open("one"), await open("two")];
        assert.equal(await one.sink.place(), "");
        await one.sink.fence(1);
        assert.equal(await one.sink.place(), "");
        await one.write([row("a")]);
        await two.write([row("b")]);
        const name = await one.sink.place();
        assert.notEqual(name, "");
        assert.equal(await two.sink.place(), name);
        await one.sink.close();
        assert.equal(await (await open("one")).sink.place(), name);
      },
    },
  },
  {
    method: "close()",
    tests: {
      "may be called twice, and ends the sink's use": async ({ open }) => {
        const one = await open();
        await one.sink.close();
        await one.sink.close();
        await expectSinkCode("STORE_CLOSED", () => one.sink.mark());
        await expectSinkCode("STORE_CLOSED", () => one.write([row("a")]));
      },
    },
  },
];
