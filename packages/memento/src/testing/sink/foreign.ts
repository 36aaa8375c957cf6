import assert from "node:assert/strict";

import { contentOf, idsOf, itemOf, row, type SinkTestGroup } from "./kit.ts";

/** What others did to the rows since, and what other timelines own. */
export const foreignTests: readonly SinkTestGroup[] = [
  {
    method: "foreign changes",
    appliesTo: ({ compensates }) => compensates !== true,
    tests: {
      "names and keeps a row that was changed": async ({ open, place }) => {
        const one = await open();
        await one.write([row("a"), row("b"), row("c")]);
        const item = await itemOf(place, "b");
        await place.meddle(item, row("b", 99));
        const { remove, foreign, foreignTotal } = await one.sink.inspect(null);
        assert.deepEqual(
          { remove, foreign, foreignTotal },
          { remove: 2, foreign: [{ item, change: "changed" }], foreignTotal: 1 },
        );
        const { removed, kept } = await one.revertTo(null);
        assert.deepEqual({ removed, kept }, { removed: 2, kept: [{ item, change: "changed" }] });
        assert.deepEqual(await contentOf(place), { [item]: row("b", 99) });
      },
      "names a row that was deleted": async ({ open, place }) => {
        const one = await open();
        await one.write([row("a"), row("b")]);
        const item = await itemOf(place, "a");
        await place.meddle(item, null);
        assert.deepEqual((await one.sink.inspect(null)).foreign, [{ item, change: "deleted" }]);
        const { removed, kept } = await one.revertTo(null);
        assert.deepEqual({ removed, kept }, { removed: 1, kept: [{ item, change: "deleted" }] });
        assert.deepEqual(await contentOf(place), {});
      },
      "names and keeps a row that took the place of one that was reverted": async ({ open, place }) => {
        const one = await open();
        const { mark } = await one.write([row("a"), row("b")]);
        const item = await itemOf(place, "a");
        await one.revertTo(null);
        await place.meddle(item, row("a", 1234));
        assert.deepEqual((await one.sink.inspect(mark)).foreign, [{ item, change: "taken" }]);
        const { restored, kept } = await one.revertTo(mark);
        assert.deepEqual({ restored, kept }, { restored: 1, kept: [{ item, change: "taken" }] });
        assert.deepEqual((await contentOf(place))[item], row("a", 1234));
        assert.deepEqual(await idsOf(place), ["a", "b"]);
      },
      "knows a row again that was changed and changed back": async ({ open, place }) => {
        const one = await open();
        await one.write([row("a")]);
        const item = await itemOf(place, "a");
        await place.meddle(item, row("a", 99));
        await place.meddle(item, row("a"));
        assert.equal((await one.sink.inspect(null)).foreignTotal, 0);
        await one.revertTo(null);
        assert.deepEqual(await contentOf(place), {});
      },
      "takes them with force, after which none are left": async ({ open, place }) => {
        const one = await open();
        const first = await one.write([row("a"), row("b"), row("c")]);
        const item = await itemOf(place, "a");
        await one.write([row("d")]);
        await place.meddle(await itemOf(place, "a"), row("a", 99));
        await place.meddle(await itemOf(place, "b"), null);
        const { kept } = await one.revertTo(null, { force: true });
        assert.deepEqual(kept, []);
        assert.deepEqual(await contentOf(place), {});
        assert.equal((await one.sink.inspect(null)).foreignTotal, 0);
        await place.meddle(item, row("a", 1234));
        await one.revertTo(first.mark, { force: true });
        // The way back gives what force took: the row as somebody else had left it, and none where it was deleted.
        assert.deepEqual((await contentOf(place))[item], row("a", 99));
        assert.deepEqual(await idsOf(place), ["a", "c"]);
        assert.equal((await one.sink.inspect(first.mark)).foreignTotal, 0);
      },
      "gives back what force took, when that is reverted": async ({ open, place }) => {
        const one = await open();
        await one.write([row("a"), row("b")]);
        const item = await itemOf(place, "a");
        await place.meddle(item, row("a", 99));
        const { mark } = await one.write([row("c")]);
        await one.revertTo(null, { force: true });
        await one.revertTo(mark);
        assert.deepEqual((await contentOf(place))[item], row("a", 99));
        assert.deepEqual(await idsOf(place), ["a", "b", "c"]);
      },
      "names 100 of them and counts them all": async ({ open, place }) => {
        const one = await open();
        await one.write(Array.from({ length: 120 }, (_, index) => row(`r${index}`)));
        for (const [item, { id }] of await place.read()) await place.meddle(item, row(id, 99));
        const { foreign, foreignTotal, remove } = await one.sink.inspect(null);
        assert.deepEqual([foreign.length, foreignTotal, remove], [100, 120, 0]);
        assert.equal((await one.revertTo(null)).kept.length, 100);
        assert.equal((await place.read()).size, 120);
      },
      "are not looked for in rows that the target keeps": async ({ open, place }) => {
        const one = await open();
        const { mark } = await one.write([row("a")]);
        await one.write([row("b")]);
        await place.meddle(await itemOf(place, "a"), row("a", 99));
        assert.equal((await one.sink.inspect(mark)).foreignTotal, 0);
        await one.revertTo(mark);
        assert.deepEqual(await idsOf(place), ["a"]);
      },
    },
  },
  {
    method: "timelines",
    tests: {
      "never touch each other's rows": async ({ open, place }) => {
        const [one, two] = [await open("one"), await open("two")];
        await one.write([row("a"), row("b")]);
        await two.write([row("x"), row("y")]);
        await one.write([row("c")]);
        await two.revertTo(null);
        assert.deepEqual(await idsOf(place), ["a", "b", "c"]);
        await two.write([row("z")]);
        await one.revertTo(null);
        assert.deepEqual(await idsOf(place), ["z"]);
      },
      "have tokens and marks of their own": async ({ open }) => {
        const [one, two] = [await open("one"), await open("two")];
        await one.write([row("a")], "t1");
        assert.equal(await two.sink.mark(), null);
        assert.equal((await two.write([row("b")], "t1")).duplicate, false);
      },
    },
  },
  {
    method: "timelines of an upsert",
    appliesTo: ({ mode }) => mode === "upsert",
    tests: {
      "see the other's later write as a change since, and it is kept": async ({ open, place }) => {
        const [one, two] = [await open("one"), await open("two")];
        await one.write([row("a", 1), row("b", 1)]);
        await two.write([row("a", 2)]);
        const item = await itemOf(place, "a");
        const { kept } = await one.revertTo(null);
        assert.deepEqual(kept, [{ item, change: "changed" }]);
        assert.deepEqual(await contentOf(place), { [item]: row("a", 2) });
      },
      "see it even if the other wrote the same": async ({ open, place }) => {
        const [one, two] = [await open("one"), await open("two")];
        await one.write([row("a", 1)]);
        await two.write([row("a", 1)]);
        const item = await itemOf(place, "a");
        assert.deepEqual((await one.sink.inspect(null)).foreign, [{ item, change: "changed" }]);
        assert.deepEqual((await one.revertTo(null)).kept, [{ item, change: "changed" }]);
        assert.deepEqual((await two.revertTo(null)).kept, []);
        assert.deepEqual(await idsOf(place), ["a"]);
        await one.revertTo(null);
        assert.deepEqual(await idsOf(place), []);
      },
      "get back the other's row that they wrote over, and no further": async ({ open, place }) => {
        const [one, two] = [await open("one"), await open("two")];
        const first = await one.write([row("a", 1), row("b", 1)]);
        await two.write([row("a", 2), row("b", 1)]);
        const between = await contentOf(place);
        await one.write([row("a", 3), row("b", 3)]);
        const items = Object.keys(between).toSorted();
        const named = items.map((item) => ({ item, change: "changed" }));
        const { restored, kept } = await one.revertTo(null);
        assert.deepEqual(
          { restored, kept: kept.toSorted((x, y) => (x.item < y.item ? -1 : 1)) },
          { restored: 2, kept: named },
        );
        assert.deepEqual(await contentOf(place), between);
        assert.deepEqual((await one.sink.inspect(null)).foreignTotal, 2);
        assert.deepEqual((await one.sink.inspect(first.mark)).foreignTotal, 0);
        await one.revertTo(null, { force: true });
        assert.deepEqual(await idsOf(place), []);
        assert.deepEqual((await one.sink.inspect(null)).foreignTotal, 0);
      },
      "see their own rows again once the other has reverted": async ({ open, place }) => {
        const [one, two] = [await open("one"), await open("two")];
        await one.write([row("a", 1)]);
        await two.write([row("a", 2)]);
        await two.revertTo(null);
        assert.deepEqual(await idsOf(place), ["a"]);
        assert.deepEqual((await one.revertTo(null)).kept, []);
        assert.deepEqual(await contentOf(place), {});
      },
    },
  },
];
