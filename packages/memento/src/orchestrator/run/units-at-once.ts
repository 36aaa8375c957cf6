import { haltable, type StagePorts } from "./attempts.ts";
import { runUnit, type StageUnit } from "./stage-units.ts";
import { StopRun } from "./stop.ts";

/**
 * Runs units as soon as those they need are done, up to the pipeline's `concurrency` at once. When one fails, the others stop at
 * their next point between two batches, keep what they have done, and the failure is the run's.
 */
export async function runUnitsAtOnce(ports: StagePorts, units: readonly StageUnit[]): Promise<void> {
  const { session } = ports;
  const { ports: own, halt } = haltable(ports);
  const waiting = new Set(units);
  const running = new Map<StageUnit, Promise<void>>();
  const failures: unknown[] = [];
  const approvals: StopRun[] = [];
  const start = (unit: StageUnit): void => {
    waiting.delete(unit);
    const done = runUnit(own, unit)
      .catch((error: unknown) => {
        if (error instanceof StopRun && error.waitingFor !== null) approvals.push(error);
        else {
          failures.push(error);
          halt(error);
        }
      })
      .finally(() => running.delete(unit));
    running.set(unit, done);
  };
  while (true) {
    for (const unit of waiting) {
      if (own.stop.current() !== null || running.size >= session.pipeline.concurrency) break;
      if (needs(unit).every((name) => session.completed.has(name))) start(unit);
    }
    if (running.size === 0) break;
    await Promise.race(running.values());
  }
  await end(ports, failures, approvals);
}

/** The stages outside of a unit that must be done before it. */
function needs({ first, segment }: StageUnit): readonly string[] {
  if (segment === null) return first.after;
  const own = new Set(segment.stages.map(({ name }) => name));
  return segment.stages.flatMap(({ after }) => after).filter((name) => !own.has(name));
}

/** The first failure that is one is the run's; the others came of its stop. The last memento says how the run stands. */
async function end(
  { session, stop }: StagePorts,
  failures: readonly unknown[],
  approvals: readonly StopRun[],
): Promise<void> {
  const kind = stop.current();
  if (kind === null && failures.length > 0) throw failures[0];
  const [approval] = approvals;
  if (kind === null && approval === undefined) {
    if (session.lastStatus !== "completed") await session.save({ reason: "save", status: "completed" });
    return;
  }
  session.lease.demand();
  const status = kind === "interrupt" ? "interrupted" : "paused";
  if (session.lastStatus !== status) await session.save({ reason: kind ?? "approval", status });
  throw new StopRun(kind ?? "pause", kind === null ? (approval?.waitingFor ?? null) : null);
}
