import { describe, expect, onTestFinished, test } from "vitest";

import { isMementoError, MementoError } from "../../core/errors.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { fromFunction } from "./environment.ts";
import { CredentialKeeper, type KeeperParts } from "./keeper.ts";
import type { CredentialProvider } from "./provider.ts";
import { CredentialSeal, type SealedCredential } from "./sealed-credential.ts";

const LIFETIME_MS = 100_000;

interface World {
  readonly clock: ManualClock;
  readonly parts: KeeperParts;
  /** Values are `value 1`, `value 2`, ...; while it is true, the provider has none. */
  readonly provider: { asked: number; refuses: boolean; throws: Error | null };
}

function world(options: { seal?: boolean; lifetimeMs?: number | null } = {}): World {
  const { lifetimeMs = LIFETIME_MS, seal = false } = options;
  const clock = new ManualClock();
  const provider = { asked: 0, refuses: false, throws: null as Error | null };
  const api = fromFunction(
    "api:read",
    async () => {
      provider.asked += 1;
      if (provider.throws !== null) throw provider.throws;
      if (provider.refuses) throw new Error("the service is away, and so is value 9");
      return { value: `value ${provider.asked}`, expiresAt: lifetimeMs === null ? null : clock.now() + lifetimeMs };
    },
    { seal },
  );
  const providers: Record<string, CredentialProvider> = { api };
  return { clock, provider, parts: { providers, clock, signal: new AbortController().signal, seal: sealOf(1) } };
}

function sealOf(store: number): CredentialSeal {
  const random = { bytes: (count: number) => new Uint8Array(count).fill(5) };
  const seal = CredentialSeal.of({ derivedSecret: () => new Uint8Array(32).fill(store), random });
  if (seal === null) throw new Error("no seal");
  return seal;
}

async function keep(parts: KeeperParts): Promise<CredentialKeeper> {
  const keeper = await CredentialKeeper.acquire(parts);
  onTestFinished(() => keeper[Symbol.dispose]());
  return keeper;
}

describe("CredentialKeeper", () => {
  test("renews a credential when a fifth of its life is left, in the object that was handed out", async () => {
    const { clock, parts, provider } = world();
    const keeper = await keep(parts);
    const { api } = keeper.credentials;
    const heard: string[] = [];
    keeper.listen((value) => void heard.push(value));
    expect(api?.value).toBe("value 1");
    await clock.tick(0.79 * LIFETIME_MS);
    expect(provider.asked).toBe(1);
    await clock.tick(0.02 * LIFETIME_MS);
    expect(api?.value).toBe("value 2");
    expect([heard, keeper.renewalsOf("api")]).toEqual([["value 2"], 1]);
    expect(await keeper.fresh()).toBeNull();
  });

  test("renews at a boundary without waiting for its own look, and asks once however many wait", async () => {
    const { clock, parts, provider } = world();
    const keeper = await keep(parts);
    clock.setNow(clock.now() + 0.9 * LIFETIME_MS);
    expect(await Promise.all([keeper.fresh(), keeper.fresh(), keeper.fresh()])).toEqual([null, null, null]);
    expect(provider.asked).toBe(2);
  });

  test("a renewal that fails is tried again; the credential is lost only once it has expired", async () => {
    const { clock, parts, provider } = world();
    const keeper = await keep(parts);
    provider.refuses = true;
    await clock.tick(0.95 * LIFETIME_MS);
    expect(await keeper.fresh()).toBeNull();
    expect(keeper.credentials["api"]?.value).toBe("value 1");
    expect(provider.asked).toBeGreaterThan(2);
    await clock.tick(0.06 * LIFETIME_MS);
    expect(await keeper.fresh()).toMatchObject({ name: "api", problem: expect.stringContaining("function") });
    provider.refuses = false;
    await clock.tick(120_000);
    expect(await keeper.fresh()).toBeNull();
  });

  test.each([
    [new MementoError("STORE_UNREACHABLE", "value 9 is away"), "(STORE_UNREACHABLE)"],
    [new TypeError("value 9 is not a function"), "from function"],
    [new MementoError("PEER_MISSING", "a package is gone"), "a package is gone"],
  ])("a renewal that fails with %s is tried again, and told without a foreign text", async (thrown, told) => {
    const { clock, parts, provider } = world();
    const keeper = await keep(parts);
    provider.throws = thrown;
    await clock.tick(0.95 * LIFETIME_MS);
    expect(await keeper.fresh()).toBeNull();
    await clock.tick(0.06 * LIFETIME_MS);
    const lost = await keeper.fresh();
    expect(lost?.problem).toContain(told);
    expect(lost?.problem).not.toContain("value 9");
    provider.throws = null;
    await clock.tick(120_000);
    expect(await keeper.fresh()).toBeNull();
  });

  test.each<[string, unknown, string]>([
    ["nothing", undefined, "with undefined for its value"],
    ["a number", 12_345, "with a value of type number for its value"],
    ["no value", { expiresAt: null }, "with undefined for its value"],
    [
      "a value that is no text",
      { value: { token: "s3cr3t" }, expiresAt: null },
      "with a value of type object for its value",
    ],
    ["no expiry", { value: "s3cr3t" }, "with undefined for expiresAt"],
    ["NaN as expiry", { value: "s3cr3t", expiresAt: Number.NaN }, "with NaN for expiresAt"],
    ["a far expiry", { value: "s3cr3t", expiresAt: 1e300 }, "with a value of type number for expiresAt"],
    ["the expiry as text", { value: "s3cr3t", expiresAt: "s3cr3t" }, "with a value of type string for expiresAt"],
  ])("one that is given as %s is refused by name, without the value", async (_what, given, told) => {
    const { parts } = world();
    const providers = { api: fromFunction("api", async () => await Promise.resolve(given as string)) };
    const refused: unknown = await CredentialKeeper.acquire({ ...parts, providers }).catch((error: unknown) => error);
    if (!isMementoError(refused, "CREDENTIAL_UNAVAILABLE")) throw refused;
    expect(refused.message).toContain(`The credential api was given by function ${told}`);
    expect(refused.message).not.toMatch(/s3cr3t|12.?345/u);
  });

  test("the value is in nothing that lists the object", async () => {
    const { parts } = world();
    const keeper = await keep(parts);
    const { api } = keeper.credentials;
    expect(Object.keys(api ?? {})).toEqual(["scope", "expiresAt"]);
    expect(JSON.stringify([keeper.credentials, keeper.references, keeper])).not.toContain("value 1");
  });

  test("tells whose value was read", async () => {
    const { parts } = world();
    const keeper = await keep(parts);
    const used: string[] = [];
    const { api } = keeper.views((name) => void used.push(name));
    expect(api?.scope).toBe("api:read");
    expect(used).toEqual([]);
    expect(api?.value).toBe("value 1");
    expect(used).toEqual(["api"]);
  });

  test("one without an expiry is never asked for again", async () => {
    const { clock, parts, provider } = world({ lifetimeMs: null });
    const keeper = await keep(parts);
    await clock.tick(1e9);
    expect([await keeper.fresh(), provider.asked, clock.waiting]).toEqual([null, 1, 0]);
  });

  test("one that is given expired is refused", async () => {
    const { parts } = world({ lifetimeMs: -1 });
    await expect(CredentialKeeper.acquire(parts)).rejects.toThrow("had already expired");
  });
});

describe("P4 secret: seal: true", () => {
  /** What the next memento seals; it is acknowledged. */
  function sealedFor(keeper: CredentialKeeper): ReadonlyMap<string, SealedCredential> {
    const unsaved = keeper.unsaved();
    unsaved?.saved();
    return unsaved?.sealed ?? new Map();
  }

  /** What a memento keeps after a run of the world's pipeline began. */
  async function keptBy({ parts }: World): Promise<ReadonlyMap<string, SealedCredential>> {
    return sealedFor(await keep(parts));
  }

  test("a memento's value is used where the provider has none any more, until it expires", async () => {
    const given = world({ seal: true });
    const kept = await keptBy(given);
    expect(JSON.stringify([...kept])).not.toContain("value 1");
    given.provider.refuses = true;
    const keeper = await keep({ ...given.parts, kept });
    expect(keeper.credentials["api"]?.value).toBe("value 1");
    // It has not changed: the next memento needs no other one.
    expect(sealedFor(keeper).size).toBe(0);
    await given.clock.tick(LIFETIME_MS);
    await expect(CredentialKeeper.acquire({ ...given.parts, kept })).rejects.toThrow("api");
  });

  test("the provider is asked first, and a renewed value is kept anew", async () => {
    const given = world({ seal: true });
    const kept = await keptBy(given);
    const keeper = await keep({ ...given.parts, kept });
    expect(keeper.credentials["api"]?.value).toBe("value 2");
    expect(sealedFor(keeper).size).toBe(1);
    await given.clock.tick(0.9 * LIFETIME_MS);
    expect(sealedFor(keeper).size).toBe(1);
    expect(keeper.unsaved()).toBeNull();
  });

  test("what a memento was to keep is for the next one, where that memento failed or a renewal came before its end", async () => {
    const given = world({ seal: true });
    const keeper = await keep(given.parts);
    expect(keeper.unsaved()?.sealed.size).toBe(1);
    const failed = keeper.unsaved();
    await given.clock.tick(0.9 * LIFETIME_MS);
    failed?.saved();
    const [[, sealed] = ["", null]] = sealedFor(keeper);
    expect(sealed === null ? null : sealOf(1).open("api", sealed)?.value).toBe("value 2");
    expect(keeper.unsaved()).toBeNull();
  });

  test("another store, another name or a changed byte opens nothing", async () => {
    const given = world({ seal: true });
    const [[, sealed] = ["", null]] = await keptBy(given);
    if (sealed === null) throw new Error("nothing was sealed");
    const seal = sealOf(1);
    expect(seal.open("api", sealed)?.value).toBe("value 1");
    expect(sealOf(2).open("api", sealed)).toBeNull();
    expect(seal.open("other", sealed)).toBeNull();
    expect(seal.open("api", { ...sealed, scope: "api:write" })).toBeNull();
    const bytes = Buffer.from(sealed.sealed, "base64");
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    expect(seal.open("api", { ...sealed, sealed: bytes.toString("base64") })).toBeNull();
    expect(seal.open("api", { ...sealed, sealed: "AAAA" })).toBeNull();
  });

  test("a store that is not sealed refuses it by name", async () => {
    const { parts } = world({ seal: true });
    const refused: unknown = await CredentialKeeper.acquire({ ...parts, seal: null }).catch((error: unknown) => error);
    expect(isMementoError(refused, "CAPABILITY_MISSING") && refused.message).toContain("api");
  });

  test("without seal: true nothing is kept", async () => {
    const { parts } = world();
    expect(sealedFor(await keep(parts)).size).toBe(0);
  });
});
