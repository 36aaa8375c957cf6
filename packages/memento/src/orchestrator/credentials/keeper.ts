import { MementoError, isMementoError } from "../../core/errors.ts";
import type { Clock } from "../../core/ports.ts";
import { keepShape, nothing } from "../../core/shapes.ts";
import type { Credential, CredentialProvider, CredentialReference } from "./provider.ts";
import type { CredentialSeal, SealedCredential } from "./sealed-credential.ts";
import { unavailable } from "./unavailable.ts";

/** What a keeper works with. */
export interface KeeperParts {
  readonly providers: Readonly<Record<string, CredentialProvider>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** The store's seal; null where it has none. */
  readonly seal: CredentialSeal | null;
  /** What the last memento has sealed, by name. */
  readonly kept?: ReadonlyMap<string, SealedCredential>;
}

/** What the next memento is to keep of the credentials. */
export interface UnsavedCredentials {
  readonly references: Readonly<Record<string, CredentialReference>>;
  /** The values of those that are to be kept sealed, where the last memento does not have them as they are now. */
  readonly sealed: ReadonlyMap<string, SealedCredential>;
  /** To be called once a memento has them. */
  readonly saved: () => void;
}

/** A credential that a run cannot go on without. */
export interface LostCredential {
  readonly name: string;
  /** Why it could not be had, for people. */
  readonly problem: string;
}

/** Renewed when a fifth of its life is left, and at the latest so long before its end. */
const RENEW_BEFORE_MS_MAX = 300_000;
const RENEW_SHARE = 5;
/** How often the keeper looks by itself, for stages that are long between two batches. */
const LOOK_MS = 1_000;
/** The first pause after a renewal that failed; it doubles up to the second. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 60_000;

/**
 * The credentials of one run: acquired before anything is read, renewed before they expire, each handed out as one object whose
 * `value` is always the newest. A renewal that fails is tried again until the credential has expired; only then it is lost.
 */
export class CredentialKeeper implements Disposable {
  /** What a run's own code is given. */
  readonly credentials: Readonly<Record<string, Credential>>;
  readonly #parts: KeeperParts;
  readonly #live: ReadonlyMap<string, LiveCredential>;
  readonly #stopLooking: () => void;
  #renewing: Promise<void> | null = null;
  /** Whose values the last memento does not have. */
  readonly #unsaved = new Set<string>();
  #referencesUnsaved: boolean;
  #lastRenewals = 0;

  private constructor(parts: KeeperParts, live: ReadonlyMap<string, LiveCredential>) {
    this.#parts = parts;
    this.#live = live;
    this.credentials = this.views();
    for (const [name, credential] of live)
      if (parts.providers[name]?.seal === true && !credential.fromMemento) this.#unsaved.add(name);
    this.#referencesUnsaved = live.size > 0;
    const expires = [...live.values()].some(({ expiresAt }) => expiresAt !== null);
    const look = (): void => {
      // What fails is tried again, and seen at a boundary once there is no time left.
      if (this.#isDue()) void this.renew();
    };
    this.#stopLooking = expires ? parts.clock.every(LOOK_MS, look) : () => undefined;
  }

  static {
    keepShape(new CredentialKeeper({ providers: {}, clock: nothing, signal: nothing, seal: null }, new Map()));
  }

  /** Acquires all. CREDENTIAL_UNAVAILABLE names the first that cannot be had, neither from its provider nor from the last memento; CAPABILITY_MISSING where one is to be sealed and the store is not. */
  static async acquire(parts: KeeperParts): Promise<CredentialKeeper> {
    const live = new Map<string, LiveCredential>();
    for (const [name, provider] of Object.entries(parts.providers)) {
      if (provider.seal === true && parts.seal === null)
        throw new MementoError(
          "CAPABILITY_MISSING",
          `The credential ${name} is to be kept sealed, and the store is not sealed`,
          { hint: "Use a sealed store, or leave out seal: true." },
        );
      live.set(name, await acquireOrOpen(parts, name, provider));
    }
    return new CredentialKeeper(parts, live);
  }

  /** The credentials, each always as it is now; `used` hears the name of each whose value is read. */
  views(used: (name: string) => void = () => undefined): Readonly<Record<string, Credential>> {
    return Object.fromEntries([...this.#live].map(([name, live]) => [name, viewOf(live, () => used(name))]));
  }

  /** What mementos keep of each. */
  get references(): Record<string, CredentialReference> {
    const entries = [...this.#live].map(([name, { provider, scope, expiresAt }]) => {
      const expires = expiresAt === null ? null : new Date(expiresAt).toISOString();
      return [name, { provider: provider.kind, scope, expires }] as const;
    });
    return Object.fromEntries(entries);
  }

  /** How often each was renewed. */
  renewalsOf(name: string): number {
    return this.#live.get(name)?.renewals ?? 0;
  }

  /** Calls `heard` with every value that comes from now on, before anyone else can read it. */
  listen(heard: (value: string) => void): void {
    for (const credential of this.#live.values()) credential.heard = heard;
  }

  /** What the last memento does not have as it is now; null where it has everything. The same comes again until it is saved. */
  unsaved(): UnsavedCredentials | null {
    if (!this.#referencesUnsaved) return null;
    const { seal } = this.#parts;
    const sealed = new Map<string, SealedCredential>();
    for (const name of this.#unsaved) {
      const credential = this.#live.get(name);
      if (seal !== null && credential !== undefined) sealed.set(name, seal.seal(name, credential));
    }
    const renewals = this.#renewals;
    const saved = (): void => {
      // What was renewed meanwhile is for the memento after this one.
      if (this.#renewals !== renewals) return;
      this.#referencesUnsaved = false;
      this.#unsaved.clear();
    };
    return { references: this.references, sealed, saved };
  }

  /** True when something is to be renewed, or was since this was last looked at: a run then looks at its credentials. */
  hasNews(): boolean {
    if (this.#live.size === 0) return false;
    const renewals = this.#renewals;
    const isNew = renewals !== this.#lastRenewals;
    this.#lastRenewals = renewals;
    return isNew || this.#isDue();
  }

  /** Renews what is due. Gives a credential that has expired and could not be renewed; null when all are good. */
  async fresh(): Promise<LostCredential | null> {
    if (this.#isDue()) await this.renew();
    const now = this.#parts.clock.now();
    for (const [name, { expiresAt, problem }] of this.#live)
      if (expiresAt !== null && expiresAt <= now) return { name, problem };
    return null;
  }

  /** Renews what is due, once however many ask; never throws. */
  async renew(): Promise<void> {
    this.#renewing ??= this.#renewAll().finally(() => (this.#renewing = null));
    await this.#renewing;
  }

  [Symbol.dispose](): void {
    this.#stopLooking();
  }

  /** How often any was renewed. */
  get #renewals(): number {
    let renewals = 0;
    for (const credential of this.#live.values()) renewals += credential.renewals;
    return renewals;
  }

  #isDue(): boolean {
    const { clock } = this.#parts;
    for (const credential of this.#live.values()) if (credential.renewAt <= clock.now()) return true;
    return false;
  }

  async #renewAll(): Promise<void> {
    const { clock } = this.#parts;
    for (const [name, credential] of this.#live) {
      if (credential.renewAt > clock.now()) continue;
      try {
        credential.take(await acquireFrom(this.#parts, name, credential.provider), clock.now());
        this.#referencesUnsaved = true;
        if (credential.provider.seal === true) this.#unsaved.add(name);
      } catch (error) {
        // Whatever it was: the credential is good until it expires.
        credential.tryAgain(clock.now(), error instanceof Error ? error.message : String(error));
      }
    }
  }
}

/** The value is no property that is listed: JSON, logs and test reports do not show it. */
function viewOf(live: LiveCredential, used: () => void): Credential {
  const view = {
    get scope() {
      return live.scope;
    },
    get expiresAt() {
      return live.expiresAt;
    },
  };
  const value = (): string => {
    used();
    return live.value;
  };
  return Object.defineProperty(view, "value", { get: value, enumerable: false }) as Credential;
}

/** One credential of a run, as it is now. */
class LiveCredential implements Credential {
  readonly provider: CredentialProvider;
  readonly fromMemento: boolean;
  renewAt = Number.POSITIVE_INFINITY;
  renewals = -1;
  /** Why it could not be renewed the last time; empty where it could. */
  problem = "";
  heard: ((value: string) => void) | null = null;
  #held: Credential;
  #pauseMs = RETRY_MS;

  constructor(provider: CredentialProvider, held: Credential, now: number, fromMemento: boolean) {
    this.provider = provider;
    this.fromMemento = fromMemento;
    this.#held = held;
    this.take(held, now);
  }

  get value(): string {
    return this.#held.value;
  }

  get scope(): string {
    return this.#held.scope;
  }

  get expiresAt(): number | null {
    return this.#held.expiresAt;
  }

  take(held: Credential, now: number): void {
    this.#held = held;
    this.renewals += 1;
    this.problem = "";
    this.#pauseMs = RETRY_MS;
    const { expiresAt } = held;
    const before = expiresAt === null ? 0 : Math.min(RENEW_BEFORE_MS_MAX, (expiresAt - now) / RENEW_SHARE);
    this.renewAt = expiresAt === null ? Number.POSITIVE_INFINITY : expiresAt - before;
    this.heard?.(held.value);
  }

  /** Never later than its end: then it is tried a last time. */
  tryAgain(now: number, problem: string): void {
    this.problem = problem;
    const { expiresAt } = this.#held;
    const later = now + this.#pauseMs;
    this.renewAt = expiresAt !== null && expiresAt > now ? Math.min(later, expiresAt) : later;
    this.#pauseMs = Math.min(2 * this.#pauseMs, RETRY_MS_MAX);
  }
}

async function acquireOrOpen(parts: KeeperParts, name: string, provider: CredentialProvider): Promise<LiveCredential> {
  const { clock, seal, kept } = parts;
  try {
    return new LiveCredential(provider, await acquireFrom(parts, name, provider), clock.now(), false);
  } catch (error) {
    const sealed = provider.seal === true ? kept?.get(name) : undefined;
    if (!isMementoError(error, "CREDENTIAL_UNAVAILABLE") || sealed === undefined) throw error;
    const opened = seal?.open(name, sealed) ?? null;
    if (opened === null || (opened.expiresAt !== null && opened.expiresAt <= clock.now())) throw error;
    return new LiveCredential(provider, opened, clock.now(), true);
  }
}

/**
 * Asks the provider. What it throws is told by its code alone, for its text may hold the secret, and of what it gives wrongly only
 * the kind: CREDENTIAL_UNAVAILABLE either way. PEER_MISSING passes: nobody was asked.
 */
async function acquireFrom(
  { clock, signal }: KeeperParts,
  name: string,
  provider: CredentialProvider,
): Promise<Credential> {
  let given: Credential;
  try {
    given = await provider.acquire({ name, clock, signal });
  } catch (error) {
    if (isMementoError(error, "CREDENTIAL_UNAVAILABLE") || isMementoError(error, "PEER_MISSING")) throw error;
    const code = isMementoError(error) ? ` (${error.code})` : "";
    throw unavailable(name, `could not be acquired from ${provider.kind}${code}`);
  }
  const { value, expiresAt }: { readonly value: unknown; readonly expiresAt: unknown } = given;
  if (typeof value !== "string")
    throw unavailable(name, `was given by ${provider.kind} with ${kindOf(value)} for its value, which must be a text`);
  if (expiresAt !== null && !isMoment(expiresAt))
    throw unavailable(
      name,
      `was given by ${provider.kind} with ${kindOf(expiresAt)} for expiresAt, which must be milliseconds since 1970, or null`,
    );
  if (expiresAt !== null && expiresAt <= clock.now())
    throw unavailable(name, `was given by ${provider.kind} when it had already expired`);
  return given;
}

const isMoment = (value: unknown): value is number =>
  typeof value === "number" && !Number.isNaN(new Date(value).getTime());

/** What a value is, and nothing of what it says. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return `a value of type ${typeof value}`;
}
