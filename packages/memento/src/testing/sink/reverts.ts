import assert from "node:assert/strict";

import { contentOf, expectSinkCode, idsOf, itemOf, row, type SinkTestGroup } from "./kit.ts";

/** Going back, and going back on that. */
export const revertTests: readonly SinkTestGroup[] = [
  {
    method: "revertTo()",
    tests: {
      "goes back to every earlier mark, from the last to none": async ({ open, place }) => {
        const one = await open();
        const states = [{ mark: await one.sink.mark(), content: await contentOf(place) }];
        for (let batch = 0; batch < 5; batch++) {
          const { mark } = await one.write([row(`new ${batch}`), row("again", batch), row(`old ${batch >> 1}`, batch)]);
          states.push({ mark, content: await contentOf(place) });
        }
        for (const { mark, content } of states.toReversed()) {
          const { kept } = await one.revertTo(mark);
          assert.deepEqual(kept, []);
          assert.deepEqual(await contentOf(place), content);
        }
      },
      "is itself reverted by its own mark's forerunner": async ({ open, place }) => {
        const one = await open();
        const first = await one.write([row("a", 1), row("b", 1)]);
        const early = await contentOf(place);
        const second = await one.write([row("a", 2), row("c", 2)]);
        const late = await contentOf(place);
        const back = await one.revertTo(first.mark);
        assert.deepEqual(await contentOf(place), early);
        const forth = await one.revertTo(second.mark);
        assert.deepEqual(await contentOf(place), late);
        await one.revertTo(back.mark);
        assert.deepEqual(await contentOf(place), early);
        await one.revertTo(forth.mark);
        assert.deepEqual(await contentOf(place), late);
        await one.revertTo(null);
        assert.deepEqual(await contentOf(place), {});
        await one.revertTo(second.mark);
        assert.deepEqual(await contentOf(place), late);
      },
      "gives a new mark, under which nothing is left to do": async ({ open }) => {
        const one = await open();
        const first = await one.write([row("a")]);
        await one.write([row("b")]);
        const { mark } = await one.revertTo(first.mark);
        assert.deepEqual(await one.sink.mark(), mark);
        for (const target of [mark, first.mark]) {
          const { remove, restore, foreignTotal } = await one.sink.inspect(target);
          assert.deepEqual({ remove, restore, foreignTotal }, { remove: 0, restore: 0, foreignTotal: 0 });
        }
      },
      "does nothing more when its token comes again": async ({ open, place }) => {
        const [one, next] = [await open(), await open()];
        await one.write([row("a")]);
        const first = await one.revertTo(null, { token: "r1" });
        await one.write([row("b")]);
        const mark = await one.sink.mark();
        next.epoch = 2;
        await next.sink.fence(2);
        assert.deepEqual(await next.revertTo(null, { token: "r1" }), first);
        assert.deepEqual(await idsOf(place), ["b"]);
        assert.deepEqual(await next.sink.mark(), mark);
      },
      "forgets the tokens of what it takes back, and knows them again when it is itself reverted": async (loan) => {
        const { open, place } = loan;
        const one = await open();
        await one.write([row("a")], "t1");
        const second = await one.write([row("b")], "t2");
        await one.revertTo(null);
        assert.equal((await one.write([row("b")], "t2")).duplicate, false);
        assert.deepEqual(await idsOf(place), ["b"]);
        await one.revertTo(second.mark);
        assert.deepEqual(await idsOf(place), ["a", "b"]);
        assert.equal((await one.write([row("a")], "t1")).duplicate, true);
        assert.equal((await one.write([row("b")], "t2")).duplicate, true);
        assert.deepEqual(await idsOf(place), ["a", "b"]);
      },
      "adds up the source records of what it takes back": async ({ open }) => {
        const one = await open();
        const first = await one.write([row("a")], "t1", 10);
        await one.write([row("b"), row("c")], "t2", 20);
        await one.write([row("d")], "t3");
        const last = await one.write([row("e")], "t4", 3);
        assert.equal((await one.revertTo(first.mark)).records, 23);
        assert.equal((await one.revertTo(last.mark)).records, 0);
        assert.equal((await one.revertTo(null)).records, 33);
      },
      "is no step at all where nothing was ever written": async ({ open }) => {
        const one = await open();
        const { removed, restored, records, kept, mark } = await one.revertTo(null);
        assert.deepEqual(
          { removed, restored, records, kept, mark },
          { removed: 0, restored: 0, records: 0, kept: [], mark: null },
        );
        assert.equal(await one.sink.mark(), null);
      },
      "refuses a mark that the place has never had": async ({ open, place }) => {
        const one = await open();
        await one.write([row("a")]);
        const { mark } = await one.write([row("b")]);
        const other = await open("other");
        await other.write([row("c")]);
        await expectSinkCode("NOT_REVERTIBLE", () => other.revertTo(mark));
        await expectSinkCode("NOT_REVERTIBLE", () => other.sink.inspect(mark));
        assert.deepEqual(await idsOf(place), ["a", "b", "c"]);
      },
      "puts back what an upsert had replaced, whoever wrote it": async ({ open, place, options }) => {
        const [one, two] = [await open("one"), await open("two")];
        await two.write([row("a", 1), row("b", 1)]);
        const before = await contentOf(place);
        await one.write([row("a", 2), row("c", 2)]);
        await one.write([row("a", 3)]);
        const { removed, restored } = await one.revertTo(null);
        assert.deepEqual(
          { removed, restored },
          options.mode === "append" ? { removed: 3, restored: 0 } : { removed: 1, restored: 1 },
        );
        assert.deepEqual(await contentOf(place), before);
      },
    },
  },
  {
    method: "inspect()",
    tests: {
      "says what revertTo would do, and changes nothing": async ({ open, place }) => {
        const one = await open();
        const first = await one.write([row("a", 1), row("b", 1)]);
        await one.write([row("a", 2), row("c", 2)]);
        const [content, mark] = [await contentOf(place), await one.sink.mark()];
        const { remove, restore, foreign, foreignTotal, trimmed, oldest } = await one.sink.inspect(first.mark);
        assert.deepEqual(
          { foreign, foreignTotal, trimmed, oldest },
          { foreign: [], foreignTotal: 0, trimmed: false, oldest: null },
        );
        assert.deepEqual([await contentOf(place), await one.sink.mark()], [content, mark]);
        const { removed, restored } = await one.revertTo(first.mark);
        assert.deepEqual({ removed, restored }, { removed: remove, restored: restore });
        assert.equal(removed + restored, 2);
      },
      "works without the right to write": async ({ open }) => {
        const [writer, reader] = [await open(), await open()];
        await writer.sink.fence(7);
        writer.epoch = 7;
        await writer.write([row("a")]);
        assert.equal((await reader.sink.inspect(null)).remove, 1);
      },
      "gives a fingerprint that moves with every write and foreign change, and with nothing else": async (loan) => {
        const { open, place, options } = loan;
        const [one, two] = [await open("one"), await open("two")];
        const seen = new Set<string>();
        const look = async (): Promise<void> => {
          const { fingerprint } = await one.sink.inspect(null);
          assert.equal(seen.has(fingerprint), false, "the fingerprint moved");
          seen.add(fingerprint);
          assert.equal((await one.sink.inspect(null)).fingerprint, fingerprint);
        };
        await look();
        await one.write([row("a")]);
        await look();
        await two.write([row("b")]);
        assert.ok(seen.has((await one.sink.inspect(null)).fingerprint), "another timeline's write moved it");
        const item = await itemOf(place, "a");
        for (const image of options.compensates === true ? [] : [row("a", 77), row("a", 78), null]) {
          await place.meddle(item, image);
          await look();
        }
        await one.revertTo(null);
        await look();
      },
    },
  },
  {
    method: "trim()",
    tests: {
      "forgets the way back to before a mark, and nothing else": async ({ open, place }) => {
        const one = await open();
        const first = await one.write([row("a", 1)], "t1");
        const second = await one.write([row("a", 2), row("b", 2)], "t2");
        const content = await contentOf(place);
        await one.write([row("a", 3), row("c", 3)], "t3");
        await one.sink.trim(second.mark);
        for (const mark of [null, first.mark]) {
          const { trimmed, oldest } = await one.sink.inspect(mark);
          assert.deepEqual({ trimmed, oldest }, { trimmed: true, oldest: second.mark });
          await expectSinkCode("TRIMMED", () => one.revertTo(mark));
        }
        assert.equal((await one.sink.inspect(second.mark)).trimmed, false);
        await one.revertTo(second.mark);
        assert.deepEqual(await contentOf(place), content);
        assert.equal((await one.write([row("a", 2)], "t2")).duplicate, true);
      },
      "never goes back, and may be repeated": async ({ open }) => {
        const one = await open();
        const first = await one.write([row("a")]);
        const second = await one.write([row("b")]);
        await one.sink.trim(null);
        assert.equal((await one.sink.inspect(null)).trimmed, false);
        await one.sink.trim(second.mark);
        await one.sink.trim(second.mark);
        await one.sink.trim(first.mark);
        assert.deepEqual((await one.sink.inspect(first.mark)).oldest, second.mark);
      },
      "leaves other timelines their way back": async ({ open, place }) => {
        const [one, two] = [await open("one"), await open("two")];
        await two.write([row("x")]);
        const { mark } = await one.write([row("a")]);
        await one.sink.trim(mark);
        await two.revertTo(null);
        assert.deepEqual(await idsOf(place), ["a"]);
      },
    },
  },
];
