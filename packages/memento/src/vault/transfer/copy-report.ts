/** What a copy did. */
export interface CopyReport {
  /** URLs of the two stores, without secrets. */
  readonly from: string;
  readonly to: string;
  /** Live mementos that were appended. */
  readonly copied: number;
  /** Live mementos that were there already. */
  readonly present: number;
  /** Removed ones that were appended, for their places and for what others need of them. */
  readonly removedCopied: number;
  /** Mementos that were removed because they are no longer live in the source; 0 unless that was asked for. */
  readonly deleted: number;
  /** Live mementos of the copied timelines that the source no longer has live, and that were kept. */
  readonly onlyInTarget: number;
  /** Timelines that were made. */
  readonly newTimelines: number;
  readonly timelines: number;
  /** Caretakers whose policies and pins were written, and those that keep other ones that were there. */
  readonly caretakers: { readonly copied: readonly string[]; readonly kept: readonly string[] };
  /** Notices of the log (who restored, erased or cleaned what) that were written down in the target. */
  readonly evidence: number;
  /** Bytes that were read from the source for it, sealed as they lay there. */
  readonly bytes: number;
  /** null where no digest was asked for. */
  readonly verified: CopyVerification | null;
}

/** What both stores were found to hold at the end. */
export interface CopyVerification {
  /** Over the live mementos that were to be copied: ids, sequence numbers, labels and the digests of their values, as the source has them. */
  readonly digest: string;
  /** How many mementos went into it. */
  readonly mementos: number;
  /** True: the target gives the same digest for them. */
  readonly identical: boolean;
  /** How many of them the target does not have live: it has removed them on its own, and nothing brings them back. */
  readonly missing: number;
  /** Timelines that differ, by their names; empty where identical. */
  readonly differing: readonly string[];
  /** True: the digest is over all that the copy was to bring; false: over what came in this round. */
  readonly whole: boolean;
}
