import { describe, expect, test } from "vitest";

import { MemoryBlobs, openOnMemory, placeInMemory, type Objects } from "../../../../../test/harness/memory-blobs.ts";
import { SeededRandom } from "../../testing/seeded-random.ts";
import { StoreFixture } from "../../testing/store/fixture.ts";
import { proveConditions } from "./conditions.ts";

/** Takes every condition and keeps none. */
class Careless extends MemoryBlobs {
  override async createIfAbsent(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    await this.replace(key, parts);
    return true;
  }
}

/** Looks first and writes then: keeps the condition until two come at once. */
class CheckThenWrite extends MemoryBlobs {
  override async createIfAbsent(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    if ((await this.read(key)) !== null) return false;
    await this.replace(key, parts);
    return true;
  }
}

/** Tells the truth about who has won, and keeps another one's bytes. */
class Forgetful extends MemoryBlobs {
  override async createIfAbsent(key: string, parts: readonly Uint8Array[]): Promise<boolean> {
    const created = await super.createIfAbsent(key, parts);
    if (!created) await this.replace(key, parts);
    return created;
  }
}

describe("proveConditions()", () => {
  test("is content with a place that keeps them, and leaves nothing there", async () => {
    const objects: Objects = new Map();
    await proveConditions(placeInMemory(new MemoryBlobs(objects)), new SeededRandom(1));
    expect(objects.size).toBe(0);
  });

  test.each([
    ["ignores them", Careless, "wrote over what was there"],
    ["looks first and writes then", CheckThenWrite, "of 4 who created the same at once"],
    ["refuses, and writes all the same", Forgetful, "did not keep the first"],
  ])("refuses a place that %s, by name", async (_, Blobs, problem) => {
    const objects: Objects = new Map();
    const proof = proveConditions(placeInMemory(new Blobs(objects)), new SeededRandom(1));
    await expect(proof).rejects.toMatchObject({ code: "ENGINE_UNSUITABLE", details: { condition: "If-Absent" } });
    await expect(proof).rejects.toThrow(new RegExp(`objects:a/b.*If-Absent.*${problem}`));
    expect(objects.size).toBe(0);
  });

  test("runs before the first write of an opening, once, and never for who only reads", async () => {
    const objects: Objects = new Map();
    const proofs = ({ requests }: MemoryBlobs): number => requests.filter(({ key }) => key.includes("/proof/")).length;
    const made = openOnMemory(objects, 1);
    const make = new StoreFixture(1);
    await made.store.create(make.meta(), make.key("integrity"));
    const once = proofs(made.blobs);
    expect(once).toBeGreaterThan(5);
    const timeline = await make.timeline(made.store);
    await timeline.save(made.store);
    expect(proofs(made.blobs)).toBe(once);
    const other = openOnMemory(objects, 2);
    await other.store.timeline(timeline.key);
    expect(proofs(other.blobs)).toBe(0);
    await timeline.save(other.store);
    expect(proofs(other.blobs)).toBe(once);
  });
});
