import { describe, expect, test } from "vitest";

import { CommitGroups } from "./commit-groups.ts";

/** A clock that somebody else moves. */
class HandClock {
  ms = 0;

  monotonic(): number {
    return this.ms;
  }
}

/** One group that the store takes `storeMs` for; `turns`: the event loop turns meanwhile. */
function commit(groups: CommitGroups, clock: HandClock, saves: number, storeMs: number, turns = true): void {
  groups.begin(saves);
  if (turns) groups.turn();
  clock.ms += storeMs;
  groups.end();
}

/** What goes next of 64 that come back `workMs` after they were all committed together. */
function nextAfter(storeMs: number, workMs: number, turns = true): number {
  const clock = new HandClock();
  const groups = new CommitGroups(clock);
  commit(groups, clock, 64, storeMs, turns);
  groups.restart();
  clock.ms += workMs;
  return groups.next(64);
}

describe("CommitGroups", () => {
  test("takes all that wait when it knows nothing yet, and few at any time", () => {
    const clock = new HandClock();
    const groups = new CommitGroups(clock);
    expect(groups.next(64)).toBe(64);
    commit(groups, clock, 64, 3);
    groups.restart();
    clock.ms += 3;
    expect(groups.next(15)).toBe(15);
  });

  test("makes two groups where store and writers take about as long, and only there", () => {
    expect(nextAfter(3, 3)).toBe(32);
    expect(nextAfter(3, 2)).toBe(32);
    expect(nextAfter(3, 9)).toBe(32);
    // An object store takes as long for a half as for all.
    expect(nextAfter(30, 3)).toBe(64);
    // Writers that come every second gain nothing, and would wait twice.
    expect(nextAfter(3, 1_000)).toBe(64);
    // A store that does its work before anybody else gets a turn.
    expect(nextAfter(3, 3, false)).toBe(64);
  });

  test("keeps two groups equal", () => {
    const clock = new HandClock();
    const groups = new CommitGroups(clock);
    groups.begin(1);
    expect(groups.next(9)).toBe(5);
    groups.begin(5);
    expect(groups.next(4)).toBe(4);
  });

  test("says how many are being committed", () => {
    const clock = new HandClock();
    const groups = new CommitGroups(clock);
    expect(groups.underWay).toBe(0);
    groups.begin(40);
    expect(groups.underWay).toBe(40);
    groups.end();
    expect(groups.underWay).toBe(0);
  });
});
