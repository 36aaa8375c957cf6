import type { TimelineState } from "../../core/timeline.ts";
import type { IndexAuthority } from "../../store/store.ts";
import type { Vault } from "../vault.ts";

/** Which of a timeline's checks do not fit, by the names under which consent is given. */
export function badChecks({ checks }: Vault, { record, head, lease }: TimelineState): readonly string[] {
  const { key } = record;
  return [
    ...(record.check === checks.timeline(record) ? [] : [`timeline:${key}`]),
    ...(head === null || head.check === checks.head(key, head.id, head.sequence) ? [] : [`head:${key}`]),
    ...(lease.check === checks.lease(key, lease) ? [] : [`lease:${key}`]),
  ];
}

/** The vault as the one that makes and judges checks while the index is made anew; `accepted` are the names that were agreed to. */
export function repairAuthority(vault: Vault, accepted: ReadonlySet<string>): IndexAuthority {
  const { checks } = vault;
  return {
    isGenuine: ({ notice, check }) => check === checks.notice(notice),
    headCheck: (timeline, id, sequence) => checks.head(timeline, id, sequence),
    freeLease: (timeline, epoch) => vault.leaseOf(timeline, { epoch, owner: null, expiresAt: 0, holder: null }),
    mendedTimeline: (state) => {
      const names = badChecks(vault, state);
      if (names.length === 0 || !names.every((name) => accepted.has(name))) return null;
      const { record, head, lease } = state;
      const { key } = record;
      const isLeaseBad = names.includes(`lease:${key}`);
      return {
        ...state,
        record: { ...record, check: checks.timeline(record) },
        head: head && { ...head, check: checks.head(key, head.id, head.sequence) },
        // Whoever held it is fenced: nobody can tell any more whether it was rightly.
        lease: isLeaseBad
          ? vault.leaseOf(key, { epoch: lease.epoch + 1, owner: null, expiresAt: 0, holder: null })
          : lease,
      };
    },
    lostCommit: (commit, mementos) =>
      vault.notice("repaired", { caretaker: "", timeline: null, mementos }, { lost: commit }),
  };
}
