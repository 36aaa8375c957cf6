export { ManualClock } from "./manual-clock.ts";
export { SeededRandom } from "./seeded-random.ts";
export { collect, expectCode, type StoreKitOptions, type StorePlace } from "./store/kit.ts";
export { StoreFixture, TestTimeline } from "./store/fixture.ts";
export { testStore } from "./store/store-kit.ts";
