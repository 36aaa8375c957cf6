import { isMementoError } from "../../core/errors.ts";
import type { LeaseKeeper } from "../../vault/lease-keeper.ts";
import type { OpenedMemento } from "../../vault/opened-memento.ts";
import type { Vault } from "../../vault/vault.ts";
import type { LostCredential } from "../credentials/keeper.ts";
import type { Pipeline } from "../pipeline/pipeline.ts";
import { openResources, type ResourceRequest, type Resources } from "./resources.ts";
import { sameRunPlace } from "./run-place.ts";
import { PIECE } from "./run-state.ts";

/** A run that stands paused because it cannot have a credential. */
export interface WaitsForCredential {
  readonly lost: LostCredential;
  /** The memento that says so. */
  readonly head: string;
}

/**
 * Opens what a run works with. An unfinished run whose credential cannot be had is paused, by a memento that names it; for
 * a run that has not begun CREDENTIAL_UNAVAILABLE is thrown, and nothing has happened.
 */
export async function openOrPause(
  request: ResourceRequest & { readonly vault: Vault },
  unfinished: OpenedMemento | null,
  lease: LeaseKeeper,
): Promise<Resources | WaitsForCredential> {
  try {
    return await openResources(request);
  } catch (error) {
    if (!isMementoError(error, "CREDENTIAL_UNAVAILABLE") || unfinished === null) throw error;
    const { credential } = error.details;
    const lost = { name: typeof credential === "string" ? credential : "", problem: error.message };
    return { lost, head: await markWaiting(request.vault, lease, unfinished, lost) };
  }
}

/** True for the piece of a credential that the pipeline does not ask to be kept any more. */
export function isStaleSecret(key: string, { credentials }: Pipeline): boolean {
  return key.startsWith(PIECE.sealed) && credentials[key.slice(PIECE.sealed.length)]?.seal !== true;
}

/** Appends the memento that names the credential, unless the head does already; gives its id. */
async function markWaiting(
  vault: Vault,
  lease: LeaseKeeper,
  unfinished: OpenedMemento,
  lost: LostCredential,
): Promise<string> {
  const { entry } = unfinished;
  const waitsFor = { credential: lost };
  if (entry.reason === "credential" && JSON.stringify(unfinished.fields()["waitsFor"]) === JSON.stringify(waitsFor))
    return entry.id;
  const writer = await vault.writer(lease.state);
  const saved = await writer.append({
    reason: "credential",
    status: "paused",
    generation: entry.generation,
    ...sameRunPlace(entry),
    fields: { waitsFor },
  });
  return saved.entry.id;
}
