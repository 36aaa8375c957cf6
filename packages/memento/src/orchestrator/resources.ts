import { MementoError, isMementoError } from "../core/errors.ts";
import type { Clock } from "../core/ports.ts";
import type { Credential, CredentialReference } from "./credentials/provider.ts";
import type { PipelineParticipant } from "./participants/pipeline-participant.ts";
import type { Pipeline } from "./pipeline.ts";
import { Redaction } from "./redaction.ts";
import type { Sink } from "./sinks/sink.ts";
import type { Source } from "./sources/source.ts";

/** What a run works with, opened. */
export interface Resources extends AsyncDisposable {
  readonly credentials: Readonly<Record<string, Credential>>;
  readonly references: Readonly<Record<string, CredentialReference>>;
  readonly sources: ReadonlyMap<string, Source>;
  readonly sinks: ReadonlyMap<string, Sink>;
  readonly participants: ReadonlyMap<string, PipelineParticipant>;
}

/** What opening needs to know. */
export interface ResourceRequest {
  readonly pipeline: Pipeline;
  readonly params: unknown;
  readonly timeline: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * Acquires every credential, then builds and opens every source and sink; what was opened is closed again when a later one fails.
 * CREDENTIAL_UNAVAILABLE comes before anything was read or touched.
 */
export async function openResources(request: ResourceRequest): Promise<Resources> {
  const { pipeline, params, timeline, clock, signal } = request;
  const { credentials, references } = await acquireCredentials(pipeline, clock, signal);
  const sources = new Map<string, Source>();
  const sinks = new Map<string, Sink>();
  const participants = new Map<string, PipelineParticipant>();
  const stack = new AsyncDisposableStack();
  try {
    for (const [name, build] of Object.entries(pipeline.sources)) {
      const source = build({ params, credentials });
      stack.defer(async () => await source.close());
      await source.open({ name, clock, signal });
      sources.set(name, source);
    }
    for (const [name, build] of Object.entries(pipeline.sinks)) {
      const sink = build({ params, credentials });
      stack.defer(async () => await sink.close());
      await sink.open({ timeline, name, clock, signal });
      sinks.set(name, sink);
    }
    for (const [name, build] of Object.entries(pipeline.participants)) {
      const participant = build({ params, credentials });
      stack.defer(async () => await participant.close());
      await participant.open({ timeline, name, clock, signal });
      participants.set(name, participant);
    }
  } catch (error) {
    await stack.disposeAsync();
    // What a client library throws when it cannot connect may quote what it was given.
    throw isMementoError(error) ? error : new Redaction(credentials).error(error);
  }
  return {
    credentials,
    references,
    sources,
    sinks,
    participants,
    [Symbol.asyncDispose]: async () => await stack.disposeAsync(),
  };
}

async function acquireCredentials(
  pipeline: Pipeline,
  clock: Clock,
  signal: AbortSignal,
): Promise<{ credentials: Record<string, Credential>; references: Record<string, CredentialReference> }> {
  const credentials: Record<string, Credential> = {};
  const references: Record<string, CredentialReference> = {};
  for (const [name, provider] of Object.entries(pipeline.credentials)) {
    try {
      const credential = await provider.acquire({ name, clock, signal });
      // Secrets stay out of anything that lists an object's properties: JSON, logs, test reports.
      Object.defineProperty(credential, "value", { enumerable: false });
      credentials[name] = credential;
      const expires = credential.expiresAt === null ? null : new Date(credential.expiresAt).toISOString();
      references[name] = { provider: provider.kind, scope: credential.scope, expires };
    } catch (cause) {
      if (isMementoError(cause)) throw cause;
      // The cause is left out on purpose: what a provider throws may hold the secret.
      throw new MementoError(
        "CREDENTIAL_UNAVAILABLE",
        `The credential ${name} could not be acquired from ${provider.kind}`,
        { details: { credential: name } },
      );
    }
  }
  return { credentials, references };
}
