import { sha256 } from "../../core/digest.ts";
import type { IndexAuthority } from "../../store/store.ts";
import { headCheck, type StoreFixture } from "./fixture.ts";

/** Whoever holds the integrity key, as the fixture makes its checks. */
export function fixtureAuthority(make: StoreFixture): IndexAuthority {
  return {
    isGenuine: ({ notice, check }) => check === sha256(JSON.stringify(notice)),
    headCheck,
    freeLease: (_, epoch) => make.lease(epoch, null),
    mendedTimeline: () => null,
    lostCommit: (commit, mementos) => make.notice("repaired", { mementos, details: { commit } }),
  };
}
