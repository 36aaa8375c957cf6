import type { OpenedMemento } from "../../../vault/opened-memento.ts";
import type { Vault } from "../../../vault/vault.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { Resources } from "../../run/resources.ts";
import { doneOfRun, doneStages } from "../done-stages.ts";
import { chosenItems, isChosen, selectionWarnings, stagesOf } from "../selection.ts";
import { credentialParticipant } from "./credential-participant.ts";
import { declaredParticipant } from "./declared-participant.ts";
import type { Participant } from "./participant.ts";
import { sinkParticipant } from "./sink-participant.ts";
import { sourceParticipant } from "./source-participant.ts";
import { undoParticipant } from "./undo-participant.ts";

/** What the participants of a restore are found in. */
export interface RosterInput {
  readonly vault: Vault;
  readonly pipeline: Pipeline;
  readonly resources: Resources;
  readonly head: OpenedMemento;
  readonly target: OpenedMemento | null;
  /** The chosen items, by their full names or as they were given; all where there are none. */
  readonly only?: readonly string[] | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Who takes part in a restore. */
export interface Roster {
  /** In the order in which they go back. */
  readonly participants: readonly Participant[];
  /** The chosen items by their full names; null: all of them. */
  readonly only: readonly string[] | null;
  /** What a person should know before these alone go back. */
  readonly warnings: readonly string[];
}

/**
 * All that could take part in a restore, and what was chosen of them. What has reached the world by stages goes back first, for
 * undoing it may need what is still there, then ledgers, sinks and sources. INVALID_ARGUMENT for what is no item.
 */
export async function rosterOf(input: RosterInput): Promise<Roster> {
  const { vault, pipeline, resources, head, target, signal = new AbortController().signal } = input;
  const { credentials, redaction } = resources;
  const data = [
    ...[...resources.participants].map(([name, participant]) => declaredParticipant(name, participant)),
    ...[...resources.sinks].map(([name, sink]) => sinkParticipant(name, sink)),
    ...[...resources.sources].map(([name, source]) => sourceParticipant(name, source)),
  ];
  const only = input.only === undefined || input.only === null ? null : chosenItems(pipeline, data, input.only);
  const done =
    only === null
      ? await doneStages(vault, pipeline, head, target)
      : await doneOfRun(vault, pipeline, head, stagesOf(only));
  const participants = [
    ...Object.entries(pipeline.credentials).map(([name, provider]) => credentialParticipant(name, provider)),
    ...done.map((stage) => undoParticipant(stage, { credentials, redaction, signal })),
    ...data,
  ];
  return {
    participants: participants.filter((participant) => isChosen(participant, only)),
    only,
    warnings: only === null ? [] : selectionWarnings(pipeline, data, only),
  };
}
