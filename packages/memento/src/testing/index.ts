export { chaosStore, killAt, type KillPoint, type NumberedCall, type StoreChaos } from "./chaos-store.ts";
export { ManualClock } from "./manual-clock.ts";
export { SeededRandom } from "./seeded-random.ts";
export { allAnswers, expectSoundPack } from "./store/answers.ts";
export {
  cutEveryByte,
  flipEveryByte,
  probeStore,
  type DamageOptions,
  type DamageReport,
  type ProbeResult,
} from "./store/damage.ts";
export { StoreFixture, TestTimeline, type BatchOptions, type RecordOptions } from "./store/fixture.ts";
export { collect, expectCode, type StoreKitOptions, type StorePlace } from "./store/kit.ts";
export { fillStore } from "./store/sample.ts";
export { testStore } from "./store/store-kit.ts";
export {
  chaosSink,
  testSink,
  type KitRow,
  type SinkCall,
  type SinkHooks,
  type SinkKitOptions,
  type SinkPlace,
} from "./sink/index.ts";
