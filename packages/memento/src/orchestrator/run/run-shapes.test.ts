import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInThisContext } from "node:vm";

import { afterAll, expect, test, vi, type Mock } from "vitest";

import { keptShapes } from "../../core/shapes.ts";
import { Memento } from "../../memento.ts";
import { LeaseKeeper } from "../../vault/lease-keeper.ts";
import { PieceCapture } from "../../vault/piece-capture.ts";
import { PieceChange } from "../../vault/piece-change.ts";
import { TimelineWriter } from "../../vault/timeline-writer.ts";
import { CredentialKeeper } from "../credentials/keeper.ts";
import { definePipeline } from "../pipeline/pipeline.ts";
import { RunStamps } from "../schemas/pipeline-schemas.ts";
import { RollForward } from "./roll-forward.ts";
import { RunSession } from "./run-session.ts";
import { StageOutputs } from "./stage-outputs.ts";
import { StageRun } from "./stage-run.ts";

const folder = mkdtempSync(path.join(tmpdir(), "memento-shapes-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

setFlagsFromString("--allow-natives-syntax");
const haveSameShape = runInThisContext("(one, other) => %HaveSameMap(one, other)") as (
  one: object,
  other: object,
) => boolean;

/** A method that each run, or each of its stages, calls. */
const watched = <Instance extends object>(instances: Instance, method: keyof Instance & string): Mock =>
  vi.spyOn(instances as Record<string, () => unknown>, method);

/** With what belongs to it. */
const parts = (object: object): object[] => {
  if (object instanceof RunSession) return [object, object.resources, object.stamps, object.forward];
  if (object instanceof StageRun)
    return [object, object.attempt, object.progress, object.work, ...parts(object.session)];
  return [object];
};

test("whatever a run and its stages make anew has the shape of an object that is kept", async () => {
  const methods = [
    watched(RunSession.prototype, "begin"),
    watched(StageOutputs.prototype, "set"),
    watched(StageRun.prototype, "context"),
    watched(RollForward.prototype, "catchUp"),
    watched(RunStamps.prototype, "done"),
    watched(CredentialKeeper.prototype, "unsaved"),
    watched(LeaseKeeper.prototype, "demand"),
    watched(TimelineWriter.prototype, "append"),
    watched(PieceChange.prototype, "fields"),
  ];
  const captures = vi.spyOn(PieceCapture.prototype, "capture");
  const made: object[] = [];
  const pipeline = definePipeline({
    name: "shapes of a run",
    version: "1",
    stages: (stage) => {
      const first = stage.task("first", () => ({ n: 1 }));
      return [first, stage.task("second", { after: { first } }, (_context, { first: { n } }) => ({ n: n + 1 }))];
    },
  });
  await using memento = await Memento.open(`sqlite:${path.join(folder, "s.db")}`);
  await memento.run(pipeline, { onEvent: (event) => (event.type === "saved" ? made.push(event.entry) : undefined) });
  for (const { value } of captures.mock.results) made.push(...(value as ReadonlyMap<string, object>).values());
  for (const { mock } of methods) {
    expect(mock.contexts.length).toBeGreaterThan(0);
    made.push(...(mock.contexts as object[]).flatMap(parts));
  }
  const kept = keptShapes.flatMap(parts);
  const unlike = made.filter((object) => !kept.some((example) => haveSameShape(example, object)));
  expect(unlike).toEqual([]);
});
