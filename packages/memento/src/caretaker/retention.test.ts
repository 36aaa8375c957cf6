import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { checkPolicy, type CaretakerPolicy } from "./policy.ts";
import { selectForRemoval, type RetentionEntry } from "./retention.ts";

const NOW = Date.parse("2026-06-15T12:00:00.000Z");

function line(times: readonly (number | string)[], timeline = "a"): RetentionEntry[] {
  return times.map((time, index) => ({
    id: `${timeline}-${index + 1}`,
    timeline,
    sequence: index + 1,
    position: index + 1,
    created: new Date(time).toISOString(),
    labels: {},
    heldBytes: 10,
  }));
}

const kept = (entries: readonly RetentionEntry[], policy: CaretakerPolicy, head = ""): string[] => {
  const { keep } = selectForRemoval(entries, policy, NOW, new Map([[head, "head"]]));
  return entries.map(({ id }) => id).filter((id) => keep.has(id));
};
const at = (entries: readonly RetentionEntry[], ids: readonly string[]): string[] =>
  entries.filter(({ id }) => ids.includes(id)).map(({ created }) => created);

const hourly = Array.from({ length: 24 * 400 }, (_, hour) => NOW - (24 * 400 - 1 - hour) * 3_600_000);

describe("selectForRemoval()", () => {
  test("removes nothing without a rule", () => {
    expect(kept(line(hourly.slice(0, 50)), {})).toHaveLength(50);
  });

  test("keeps the newest of each hour, day, week, month and year, and the last ones", () => {
    const entries = line(hourly);
    const policy = { keep: { last: 3, hourly: 5, daily: 4, weekly: 3, monthly: 3, yearly: 2 } };
    expect(at(entries, kept(entries, policy))).toEqual([
      "2025-12-31T23:00:00.000Z",
      "2026-04-30T23:00:00.000Z",
      "2026-05-31T23:00:00.000Z",
      "2026-06-07T23:00:00.000Z",
      "2026-06-12T23:00:00.000Z",
      "2026-06-13T23:00:00.000Z",
      "2026-06-14T23:00:00.000Z",
      "2026-06-15T08:00:00.000Z",
      "2026-06-15T09:00:00.000Z",
      "2026-06-15T10:00:00.000Z",
      "2026-06-15T11:00:00.000Z",
      "2026-06-15T12:00:00.000Z",
    ]);
  });

  test("keeps the oldest as long as there are fewer buckets than wanted", () => {
    const entries = line(hourly);
    expect(at(entries, kept(entries, { keep: { yearly: 5 } }))).toEqual([
      entries[0]?.created,
      "2025-12-31T23:00:00.000Z",
      "2026-06-15T12:00:00.000Z",
    ]);
  });

  test("tells days apart in the policy's time zone", () => {
    const entries = line(["2026-06-10T21:30:00Z", "2026-06-10T22:30:00Z", "2026-06-11T21:30:00Z"]);
    expect(kept(entries, { keep: { daily: 2 } })).toEqual(["a-2", "a-3"]);
    expect(kept(entries, { keep: { daily: 2 }, timeZone: "Europe/Vienna" })).toEqual(["a-1", "a-3"]);
  });

  test("a clock that is set back has two hours of one name, and a day of 25 hours", () => {
    // In Vienna 2026-10-25 has 02:30 twice: 00:30Z and 01:30Z.
    const entries = line([
      "2026-10-25T00:30:00Z",
      "2026-10-25T01:30:00Z",
      "2026-10-25T22:30:00Z",
      "2026-10-25T23:30:00Z",
    ]);
    const vienna = { timeZone: "Europe/Vienna" };
    expect(kept(entries, { keep: { hourly: 4 }, ...vienna })).toHaveLength(4);
    expect(kept(entries, { keep: { daily: 2 }, ...vienna })).toEqual(["a-3", "a-4"]);
  });

  test("a clock that is set forward loses an hour and no memento", () => {
    // In Vienna 2026-03-29 goes from 02:00 to 03:00 at 01:00Z.
    const entries = line(["2026-03-29T00:59:00Z", "2026-03-29T01:00:00Z"]);
    expect(kept(entries, { keep: { hourly: 2 }, timeZone: "Europe/Vienna" })).toHaveLength(2);
  });

  test("29 February, the last week of a year and midnight fall where they belong", () => {
    const leap = line(["2024-02-28T12:00:00Z", "2024-02-29T12:00:00Z", "2024-03-01T00:00:00Z"]);
    expect(kept(leap, { keep: { daily: 3 } })).toHaveLength(3);
    expect(kept(leap, { keep: { monthly: 2 } })).toEqual(["a-2", "a-3"]);
    // Monday 2024-12-30 and Sunday 2025-01-05 are of one week, of two years.
    const week = line(["2024-12-29T12:00:00Z", "2024-12-30T12:00:00Z", "2025-01-05T12:00:00Z"]);
    expect(kept(week, { keep: { weekly: 2 } })).toEqual(["a-1", "a-3"]);
  });

  test("the order is that of sequence numbers: clocks that run wild take nothing from the last ones", () => {
    const wild = line(["2099-01-01T00:00:00Z", "1971-01-01T00:00:00Z", "2026-06-14T00:00:00Z", "1999-01-01T00:00:00Z"]);
    expect(kept(wild, { keep: { last: 2 } })).toEqual(["a-3", "a-4"]);
    expect(kept(wild, { keep: { last: 2 }, ttl: "1d" })).toEqual(["a-3", "a-4"]);
    expect(kept(wild, { keep: { last: 2 }, olderThan: "1h", maxCount: 2 })).toEqual(["a-3", "a-4"]);
  });

  test("a newest one from the future does not make the others look old", () => {
    const entries = line(["2026-06-14T00:00:00Z", "2026-06-15T00:00:00Z", "2099-01-01T00:00:00Z"]);
    expect(kept(entries, { keep: { within: "3d" } })).toHaveLength(3);
  });

  test("olderThan bounds keep from below, and stands by itself", () => {
    const entries = line(hourly.slice(-100));
    expect(kept(entries, { keep: { last: 1 }, olderThan: "10h" })).toHaveLength(11);
    expect(kept(entries, { olderThan: "10h" })).toHaveLength(11);
  });

  test("ttl overrules the calendar, limits take the oldest first, and neither takes what is protected", () => {
    const entries = line(hourly.slice(-100)).map((entry, index) =>
      index === 0 ? { ...entry, labels: { keep: "yes" } } : entry,
    );
    expect(kept(entries, { keep: { daily: 100 }, ttl: "5h", keepLabels: ["keep=yes"] }, "a-2")).toEqual(
      expect.arrayContaining(["a-1", "a-2", "a-100"]),
    );
    expect(kept(entries, { ttl: "5h", keepLabels: ["keep=no"] }, "a-2")).not.toContain("a-1");
    expect(kept(entries, { maxCount: 3, keepLabels: ["keep"] }, "a-2")).toEqual(["a-1", "a-2", "a-100"]);
    expect(kept(entries, { maxBytes: 25, keepLabels: ["keep"] })).toEqual(["a-1", "a-100"]);
  });

  test("counts over each timeline, or over the caretaker as a whole", () => {
    const both = [
      ...line([NOW - 5, NOW - 4], "a"),
      ...line([NOW - 3, NOW - 2], "b").map((entry) => ({ ...entry, position: entry.position + 10 })),
    ];
    expect(kept(both, { keep: { last: 1 } })).toEqual(["a-2", "b-2"]);
    expect(kept(both, { keep: { last: 1 }, over: "caretaker" })).toEqual(["b-2"]);
  });
});

const policies: fc.Arbitrary<CaretakerPolicy> = fc
  .record(
    {
      keep: fc.record(
        {
          last: fc.integer({ min: 1, max: 5 }),
          hourly: fc.integer({ min: 1, max: 5 }),
          daily: fc.integer({ min: 1, max: 5 }),
          weekly: fc.integer({ min: 1, max: 5 }),
          monthly: fc.integer({ min: 1, max: 5 }),
          yearly: fc.integer({ min: 1, max: 5 }),
          within: fc.constantFrom("1d", "3mo", "36h"),
        },
        { requiredKeys: ["last"] },
      ),
      olderThan: fc.constantFrom("1h", "2d", "1y"),
      ttl: fc.constantFrom("1d", "1mo", "2y"),
      maxCount: fc.integer({ min: 5, max: 12 }),
      maxBytes: fc.integer({ min: 1, max: 200 }),
      keepLabels: fc.constantFrom(["keep"], ["keep=a"], ["other", "keep=b"]),
      over: fc.constantFrom("timeline" as const, "caretaker" as const),
      timeZone: fc.constantFrom("UTC", "Europe/Vienna", "Asia/Kathmandu", "America/St_Johns"),
    },
    { requiredKeys: [] },
  )
  .map((policy) => checkPolicy(policy));

const entriesOf = fc
  .array(
    fc.record({
      timeline: fc.constantFrom("a", "b", "c"),
      ageMs: fc.integer({ min: -40_000_000_000, max: 100_000_000_000 }),
      label: fc.constantFrom("", "a", "b"),
      heldBytes: fc.integer({ min: 0, max: 40 }),
      isProtected: fc.boolean(),
    }),
    { maxLength: 40 },
  )
  .map((rows) => {
    const counts = new Map<string, number>();
    return rows.map(({ timeline, ageMs, label, heldBytes, isProtected }, index) => {
      const sequence = (counts.get(timeline) ?? 0) + 1;
      counts.set(timeline, sequence);
      const entry: RetentionEntry = {
        id: `${timeline}-${sequence}`,
        timeline,
        sequence,
        position: index,
        created: new Date(NOW - ageMs).toISOString(),
        labels: label === "" ? {} : { keep: label },
        heldBytes,
      };
      return { entry, isProtected };
    });
  });

describe("P8 safe removal: selectForRemoval() with any policy and any mementos", () => {
  test("never removes heads, pins, protected labels or the last ones; whatever stays, stays; the order given is of no matter", () => {
    fc.assert(
      fc.property(entriesOf, policies, fc.infiniteStream(fc.nat(1_000_000)), (rows, policy, order) => {
        const entries = rows.map(({ entry }) => entry);
        const guarded = new Map(
          rows.filter(({ isProtected }) => isProtected).map(({ entry }) => [entry.id, "pin"] as const),
        );
        const { keep, remove } = selectForRemoval(entries, policy, NOW, guarded);
        expect([...keep.keys(), ...remove.keys()].toSorted()).toEqual(entries.map(({ id }) => id).toSorted());
        for (const id of guarded.keys()) expect(keep.get(id)).toContain("pin");
        for (const { id, labels } of entries) {
          const label = (policy.keepLabels ?? []).some(
            (wanted) => wanted === "keep" || wanted === `keep=${labels["keep"]}`,
          );
          if (label && labels["keep"] !== undefined) expect(keep.has(id)).toBe(true);
        }
        for (const group of Map.groupBy(entries, ({ timeline }) =>
          policy.over === "caretaker" ? "" : timeline,
        ).values()) {
          for (const { id } of group.slice(-(policy.keep?.last ?? 0) || group.length)) expect(keep.has(id)).toBe(true);
        }
        const stays = entries.filter(({ id }) => keep.has(id));
        expect([...selectForRemoval(stays, policy, NOW, guarded).remove.keys()]).toEqual([]);
        const shuffled = entries
          .map((entry) => ({ entry, place: order.next().value }))
          .toSorted((a, b) => a.place - b.place)
          .map(({ entry }) => entry);
        const again = selectForRemoval(shuffled, policy, NOW, guarded);
        expect(new Map(again.remove)).toEqual(new Map(remove));
        expect(new Map(again.keep)).toEqual(new Map(keep));
      }),
      { numRuns: 2_000 },
    );
  });

  test("rules of keep add up: one more rule never removes more", () => {
    fc.assert(
      fc.property(entriesOf, policies, policies, (rows, policy, other) => {
        const entries = rows.map(({ entry }) => entry);
        const alone = { keep: policy.keep ?? { last: 1 } };
        const both = { keep: { ...other.keep, ...alone.keep } };
        const removed = selectForRemoval(entries, both, NOW, new Map()).remove;
        for (const id of selectForRemoval(entries, alone, NOW, new Map()).keep.keys())
          expect(removed.has(id)).toBe(false);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe("checkPolicy()", () => {
  test.each([
    [null, "A policy is an object"],
    [[], "A policy is an object"],
    [{ keap: {} }, "A policy has no keap"],
    [{ keep: {} }, "The policy's keep takes at least one rule"],
    [{ keep: { last: 0 } }, "The policy's keep.last takes a whole number"],
    [{ keep: { last: "3" } }, "The policy's keep.last takes a whole number"],
    [{ keep: { decades: 1 } }, "A policy has no keep.decades"],
    [{ keep: { within: "5m" } }, "The policy's keep.within takes a span"],
    [{ ttl: 30 }, "The policy's ttl takes a span"],
    [{ timeZone: "Vienna" }, "The policy's timeZone takes a time zone"],
    [{ keepLabels: ["=x"] }, "The policy's keepLabels takes a list"],
    [{ queryable: ["a..b"] }, "The policy's queryable takes a list"],
    [{ over: "store" }, "The policy's over takes timeline or caretaker"],
    [{ codec: { name: "lzma" } }, "The policy's codec.name takes zstd, gzip, brotli, none"],
    [{ codec: { name: "gzip", level: 12 } }, "The policy's codec.level takes 1 to 9 with gzip"],
    [{ codec: { name: "none", level: 1 } }, "The policy's codec.level takes nothing with none"],
    [{ keep: { last: 5 }, maxCount: 3 }, "The policy contradicts itself"],
    [JSON.parse('{"__proto__": 1}'), "A policy has no __proto__"],
  ])("refuses %j", (policy, message) => {
    expect(() => checkPolicy(policy)).toThrow(message);
  });

  test("takes all that there is", () => {
    const policy = {
      keep: { last: 2, hourly: 1, daily: 1, weekly: 1, monthly: 1, yearly: 1, within: "1y6mo" },
      olderThan: "1d",
      ttl: "10y",
      maxCount: 100,
      maxBytes: 1_000_000,
      keepLabels: ["keep", "release=1=2"],
      over: "caretaker",
      timeZone: "Europe/Vienna",
      queryable: ["customer", "order.region"],
      codec: { name: "zstd", level: 3 },
    };
    expect(checkPolicy(policy)).toBe(policy);
  });
});
