import { isDeepStrictEqual } from "node:util";

import { MementoError } from "../../../core/errors.ts";
import { PIECE } from "../../run/run-state.ts";
import type { ParticipantVerdict } from "../plan.ts";
import type { Participant } from "./participant.ts";
import type { PipelineParticipant } from "./pipeline-participant.ts";

/** A participant that the pipeline declares, in a restore. */
export function declaredParticipant(name: string, participant: PipelineParticipant): Participant {
  const { kind } = participant;
  return {
    kind,
    name,
    key: `${kind}:${name}`,
    remembered: false,
    inspect: async ({ wanted }) => {
      const found = await participant.inspect(wanted.participants.get(name) ?? null);
      const { remove, restore, foreignTotal, problem } = found;
      const moves = remove + restore + foreignTotal > 0;
      const verdict: ParticipantVerdict = problem !== "" ? "not-revertible" : moves ? "revert" : "unchanged";
      return {
        participants: [{ name, kind, where: participant.describe(), verdict, ...found }],
        refused: problem !== "",
      };
    },
    fence: async (epoch) => await participant.fence(epoch),
    revert: async ({ wanted }, write, options) => {
      const goal = wanted.participants.get(name) ?? null;
      // Forced by its name it stays as it is, where it cannot go there.
      if (options.force && (await participant.inspect(goal)).problem !== "") {
        return {
          evidence: { kind, name, verdict: "not revertible" },
          pieces: new Map([[PIECE.participant + name, await participant.mark()]]),
        };
      }
      const { removed, restored, mark } = await participant.revertTo(goal, write, options);
      return {
        evidence: { kind, name, verdict: removed + restored > 0 ? "reverted" : "unchanged" },
        pieces: new Map([[PIECE.participant + name, mark]]),
      };
    },
    verify: async ({ participants }) => {
      const [wanted, found] = [participants.get(name) ?? null, await participant.mark()];
      if (isDeepStrictEqual(wanted, found)) return;
      throw new MementoError(
        "DAMAGED",
        `After the restore ${participant.describe()} stands at ${JSON.stringify(found)} and should stand at ${JSON.stringify(wanted)}`,
      );
    },
  };
}
