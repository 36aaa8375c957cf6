import type { KnipConfig } from "knip";

import library from "./packages/memento/package.json" with { type: "json" };

/** The sources behind the library's public subpaths: its `exports` name what `tsc` makes of them. */
const publicSources = Object.values(library.exports)
  .filter((target) => typeof target === "object")
  .map((target) => target.default.replace("./dist/", "src/").replace(/\.js$/u, ".ts"));

const config: KnipConfig = {
  // The command of our own workspace, and tools of the machine that some tests look for.
  ignoreBinaries: ["memento", "mount", "umount", "strace", "script"],
  ignoreExportsUsedInFile: { interface: true, type: true },
  workspaces: {
    ".": {
      entry: [
        "tools/*.ts",
        "examples/**/*.ts",
        "test/**/*.test.ts",
        "test/fixtures/make-*.ts",
        "test/fixtures/pipelines/*.ts",
      ],
      project: ["*.config.ts", "tools/**/*.ts", "examples/**/*.ts", "test/**/*.ts"],
    },
    // What is loaded by its name stands beside what is imported.
    "packages/memento": { entry: [...publicSources, "src/vault/pack-maker.ts"], project: ["src/**/*.ts"] },
    "apps/cli": { entry: ["src/main.ts"], project: ["src/**/*.ts", "bin/*.js"] },
  },
};

export default config;
