/** What somebody decided. */
export interface ApprovalDecision {
  readonly approved: boolean;
  readonly by: string;
  readonly note: string;
  /** ISO 8601, UTC. */
  readonly at: string;
}

/** An approval that a stage asked for, as a memento keeps it. */
export interface ApprovalRecord {
  readonly stage: string;
  readonly message: string;
  /** ISO 8601, UTC. */
  readonly asked: string;
  /** Null while nobody has decided. */
  readonly decision: ApprovalDecision | null;
}
