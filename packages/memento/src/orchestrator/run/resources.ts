import type { Clock } from "../../core/ports.ts";
import { keepShape, nothing } from "../../core/shapes.ts";
import { copyValue } from "../../vault/copy-value.ts";
import type { Vault } from "../../vault/vault.ts";
import { CredentialKeeper } from "../credentials/keeper.ts";
import type { Credential } from "../credentials/provider.ts";
import { CredentialSeal, type SealedCredential } from "../credentials/sealed-credential.ts";
import type { Pipeline, ResourceContext } from "../pipeline/pipeline.ts";
import type { PipelineParticipant } from "../repair/participants/pipeline-participant.ts";
import type { Sink } from "../sinks/sink.ts";
import type { Source } from "../sources/source.ts";
import { Redaction } from "./redaction.ts";

/** What a run works with, opened. */
export interface Resources extends AsyncDisposable {
  readonly keeper: CredentialKeeper;
  /** Each always as it is now. */
  readonly credentials: Readonly<Record<string, Credential>>;
  /** Knows every value that a credential has had so far. */
  readonly redaction: Redaction;
  readonly sources: ReadonlyMap<string, Source>;
  readonly sinks: ReadonlyMap<string, Sink>;
  readonly participants: ReadonlyMap<string, PipelineParticipant>;
  /**
   * Builds and opens anew what was built with a credential that has been renewed since, as far as `may` lets it; to be called
   * between two batches. What was there before is closed.
   */
  reopenRenewed(epoch: number, may: (resource: string) => boolean): Promise<void>;
  /** Does something outside of the stages that may open a connection: what it throws may quote what it was given, and is thrown without it. */
  withoutSecrets<T>(work: () => Promise<T>): Promise<T>;
}

/** What opening needs to know. */
export interface ResourceRequest {
  readonly pipeline: Pipeline;
  readonly params: unknown;
  readonly timeline: string;
  readonly vault: Pick<Vault, "clock" | "random" | "derivedSecret">;
  readonly signal: AbortSignal;
  /** Credentials that the last memento has sealed, by name. */
  readonly sealed?: ReadonlyMap<string, SealedCredential>;
}

/** What is opened with credentials, and closed at the end. */
interface Opened<Resource> {
  readonly resource: Resource;
  /** How often each credential that it was built with had been renewed by then. */
  readonly builtWith: ReadonlyMap<string, number>;
  readonly anew: () => Promise<Opened<Resource>>;
  /** Makes it the one that the run works with, from the lease's epoch on. */
  readonly use: (epoch: number) => Promise<void>;
}

/**
 * Acquires every credential, then builds and opens every source and sink; what was opened is closed again when a later one fails.
 * CREDENTIAL_UNAVAILABLE comes before anything was read or touched.
 */
export async function openResources(request: ResourceRequest): Promise<Resources> {
  const { pipeline, vault, signal, sealed } = request;
  const keeper = await CredentialKeeper.acquire({
    providers: pipeline.credentials,
    clock: vault.clock,
    signal,
    seal: CredentialSeal.of(vault),
    ...(sealed === undefined ? {} : { kept: sealed }),
  });
  const resources = new OpenedResources(request, keeper);
  try {
    await resources.withoutSecrets(async () => await resources.open());
  } catch (error) {
    await resources[Symbol.asyncDispose]();
    throw error;
  }
  return resources;
}

class OpenedResources implements Resources {
  readonly keeper: CredentialKeeper;
  readonly redaction: Redaction;
  readonly sources = new Map<string, Source>();
  readonly sinks = new Map<string, Sink>();
  readonly participants = new Map<string, PipelineParticipant>();
  readonly #request: ResourceRequest;
  /** By kind and name, in the order in which they were opened. */
  readonly #opened = new Map<string, Opened<Source | Sink | PipelineParticipant>>();

  constructor(request: ResourceRequest, keeper: CredentialKeeper) {
    this.#request = request;
    this.keeper = keeper;
    this.redaction = new Redaction(keeper.credentials);
    keeper.listen((value) => this.redaction.learn(value));
  }

  get credentials(): Readonly<Record<string, Credential>> {
    return this.keeper.credentials;
  }

  async open(): Promise<void> {
    const { pipeline, timeline, vault, signal } = this.#request;
    const { clock }: { clock: Clock } = vault;
    for (const [name, build] of Object.entries(pipeline.sources))
      await this.#add(
        this.sources,
        "source",
        name,
        build,
        async (source) => await source.open({ name, clock, signal }),
      );
    const context = { timeline, clock, signal };
    for (const [name, build] of Object.entries(pipeline.sinks))
      await this.#add(
        this.sinks,
        "sink",
        name,
        build,
        async (sink) => await sink.open({ ...context, name, madeByWrites: true }),
      );
    for (const [name, build] of Object.entries(pipeline.participants))
      await this.#add(
        this.participants,
        "participant",
        name,
        build,
        async (each) => await each.open({ ...context, name }),
      );
  }

  async reopenRenewed(epoch: number, may: (resource: string) => boolean): Promise<void> {
    for (const [key, before] of this.#opened) {
      const isRenewed = [...before.builtWith].some(([name, renewals]) => this.keeper.renewalsOf(name) > renewals);
      if (!isRenewed || !may(key)) continue;
      const after = await before.anew();
      this.#opened.set(key, after);
      await this.withoutSecrets(async () => await after.use(epoch));
      await before.resource.close();
    }
  }

  async withoutSecrets<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.redaction.error(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.keeper[Symbol.dispose]();
    await using stack = new AsyncDisposableStack();
    for (const { resource } of this.#opened.values())
      stack.defer(async () => await this.withoutSecrets(async () => await resource.close()));
    this.#opened.clear();
  }

  async #add<Resource extends Source | Sink | PipelineParticipant>(
    all: Map<string, Resource>,
    kind: string,
    name: string,
    build: (context: ResourceContext<unknown>) => Resource,
    open: (resource: Resource) => Promise<void>,
  ): Promise<void> {
    const make = async (): Promise<Opened<Resource>> => {
      const { resource, builtWith } = await this.#build(build, open);
      const use = async (epoch: number): Promise<void> => {
        if ("fence" in resource) await resource.fence(epoch);
        all.set(name, resource);
      };
      return { resource, builtWith, anew: make, use };
    };
    const opened = await make();
    this.#opened.set(`${kind} ${name}`, opened);
    all.set(name, opened.resource);
  }

  async #build<Resource extends Source | Sink | PipelineParticipant>(
    build: (context: ResourceContext<unknown>) => Resource,
    open: (resource: Resource) => Promise<void>,
  ): Promise<Pick<Opened<Resource>, "resource" | "builtWith">> {
    const builtWith = new Map<string, number>();
    let isBuilding = true;
    // What reads a credential later, when it needs it, always gets the newest.
    const credentials = this.keeper.views((name) => {
      if (isBuilding) builtWith.set(name, this.keeper.renewalsOf(name));
    });
    const resource = build({ params: copyValue(this.#request.params), credentials });
    try {
      await open(resource);
    } catch (error) {
      await resource.close();
      throw error;
    }
    isBuilding = false;
    return { resource, builtWith };
  }
}

keepShape(new OpenedResources(nothing, { credentials: {}, listen: () => undefined } as never));
