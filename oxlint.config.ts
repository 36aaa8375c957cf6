import { defineConfig } from "oxlint";
import type { OxlintOverride } from "oxlint";

const library = "packages/memento/src";
const tests = ["**/*.test.ts"];

/**
 * The layers of the library, lowest first: each may import those above it in this list, never one below. Layers on
 * one line do not know each other. `testing` stands on all of them, and only tests stand on `testing`.
 */
const layers = [
  ["core"],
  ["store"],
  ["vault"],
  ["caretaker"],
  ["originators", "orchestrator"],
  ["ingest"],
  ["testing"],
];

/** What no file of the library may import, whichever layer it is in. */
const paths = [
  {
    name: "node:sqlite",
    allowTypeImports: true,
    message: 'Load it lazily (`process.getBuiltinModule("node:sqlite")`): a Node without it must get our own sentence.',
  },
  {
    name: "node:zlib",
    allowImportNames: ["default"],
    message: "Import the default: a Node whose zlib lacks a name must get our own sentence, not a link error.",
  },
];
const ownName = {
  regex: "^@mementojs/",
  message: "The library imports its own files by relative path.",
};

function directionOf(layer: string, rank: number): OxlintOverride {
  const above = layers.slice(rank).flat();
  const forbidden = above.filter((name) => name !== layer);
  const direction = {
    regex: `^(?:\\.\\./)+(?:${forbidden.join("|")}|index\\.ts|memento\\.ts)(?:/|$)`,
    message: `\`${layer}\` may import only the layers below it: ${layers.map((row) => row.join(", ")).join(" <- ")} <- apps.`,
  };
  return {
    files: [`${library}/${layer}/**/*.ts`],
    excludeFiles: tests,
    rules: { "no-restricted-imports": ["error", { paths, patterns: [ownName, direction] }] },
  };
}

/** An aborted signal's reason, or an error that was caught, is passed on as it is: its type says `any` or `unknown`. */
const signalReason = { allowThrowingAny: true, allowThrowingUnknown: true };

export default defineConfig({
  plugins: ["eslint", "typescript", "unicorn", "oxc", "import", "promise", "node"],
  options: { denyWarnings: true, respectEslintDisableDirectives: false },
  // The command's first file is for Nodes that know no newer syntax.
  ignorePatterns: ["**/dist/**", "apps/cli/bin/**", "test/fixtures/**"],
  categories: { correctness: "error", suspicious: "error", perf: "error" },
  rules: {
    // Sizes.
    "max-lines": ["error", { max: 400 }],
    "max-lines-per-function": ["error", { max: 70 }],
    "max-depth": ["error", 4],

    // Errors: never swallowed, never anything but an Error, never left in a promise that nobody awaits.
    "no-empty": "error",
    "typescript/only-throw-error": ["error", signalReason],
    "typescript/prefer-promise-reject-errors": ["error", signalReason],
    "typescript/no-misused-promises": "error",
    "typescript/return-await": ["error", "error-handling-correctness-only"],
    "typescript/use-unknown-in-catch-callback-variable": "error",
    "typescript/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    "unicorn/throw-new-error": "error",
    "unicorn/error-message": "error",

    // Types: no holes in them.
    "typescript/ban-ts-comment": "error",
    "typescript/no-explicit-any": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/no-unsafe-argument": "error",
    "typescript/no-unsafe-assignment": "error",
    "typescript/no-unsafe-call": "error",
    "typescript/no-unsafe-function-type": "error",
    "typescript/no-unsafe-member-access": "error",
    "typescript/no-unsafe-return": "error",
    "typescript/restrict-plus-operands": "error",
    "typescript/no-deprecated": "error",
    "typescript/explicit-module-boundary-types": "error",
    "typescript/consistent-type-imports": "error",
    "typescript/no-import-type-side-effects": "error",

    // Modules.
    "import/no-cycle": "error",
    "import/no-default-export": "error",
    "import/no-mutable-exports": "error",
    "import/no-duplicates": "error",
    "import/no-commonjs": "error",
    "unicorn/prefer-node-protocol": "error",
    "unicorn/filename-case": ["error", { case: "kebabCase" }],

    // Plain code.
    eqeqeq: "error",
    "no-var": "error",
    "prefer-const": "error",
    "no-param-reassign": "error",
    "no-else-return": "error",
    "no-self-compare": "error",
    "no-sequences": "error",
    "no-proto": "error",
    "no-new-func": "error",
    "object-shorthand": "error",
    "prefer-template": "error",
    "prefer-object-has-own": "error",
    "typescript/prefer-readonly": "error",
    "typescript/prefer-includes": "error",
    "typescript/dot-notation": "error",

    // Off, each for a reason.
    // One step after the other is what a saga, a run and a migration are.
    "no-await-in-loop": "off",
    // Rows of a database and parsed records are checked at run time, and then named by their type.
    "typescript/no-unsafe-type-assertion": "off",
    // The compiler's noImplicitReturns says the same, and knows when a switch is exhaustive.
    "typescript/consistent-return": "off",
    // `Record<never, never>` is how a definition says "none of these", and a caller may name the type of a row.
    "typescript/no-generated-empty-object-type": "off",
    "typescript/no-unnecessary-type-parameters": "off",
    // A name that is bound only to be disposed of, or to be left out, begins with an underscore.
    "no-underscore-dangle": "off",
    // Small closures stand where they are used.
    "unicorn/consistent-function-scoping": "off",
    // Our messages go to threads, which have no origin.
    "unicorn/require-post-message-target-origin": "off",
    // Copies of small records are how immutable values change.
    "oxc/no-map-spread": "off",
  },
  overrides: [
    {
      files: [`${library}/**/*.ts`],
      excludeFiles: tests,
      rules: {
        "no-console": "error",
        "unicorn/no-process-exit": "error",
        "no-restricted-imports": ["error", { paths, patterns: [ownName] }],
        "no-restricted-properties": [
          "error",
          { object: "Date", property: "now", message: "Time comes in as a Clock (core/ports.ts)." },
          { object: "performance", property: "now", message: "Time comes in as a Clock (core/ports.ts)." },
          { object: "Math", property: "random", message: "Randomness comes in as a Random (core/ports.ts)." },
        ],
      },
    },
    ...layers.flatMap((row, index) => row.map((layer) => directionOf(layer, index))),
    {
      // The one place where the machine's own clock is taken.
      files: [`${library}/core/ports.ts`],
      rules: { "no-restricted-properties": "off" },
    },
    {
      files: ["apps/**/*.ts", "examples/**/*.ts"],
      rules: {
        "no-restricted-imports": [
          "error",
          {
            patterns: [
              { regex: "packages/|^@mementojs/memento/(?:dist|src)/", message: "Only the library's public face." },
            ],
          },
        ],
      },
    },
    {
      files: tests,
      plugins: ["eslint", "typescript", "unicorn", "oxc", "import", "promise", "node", "vitest"],
      rules: {
        "max-lines-per-function": "off",
        "typescript/explicit-module-boundary-types": "off",
        "vitest/expect-expect": ["error", { assertFunctionNames: ["expect", "expect*", "assert*"] }],
        "vitest/no-focused-tests": "error",
        "vitest/no-identical-title": "error",
        // Vitest's asymmetric matchers are of type any, and stand inside expected objects.
        "typescript/no-unsafe-assignment": "off",
        // Fixtures are taken apart like kits; their functions need no `this`.
        "typescript/unbound-method": "off",
        // `fc.` is how fast-check is written, and its default export has every name.
        "import/no-named-as-default-member": "off",
      },
    },
    {
      // A kit takes the test framework's functions apart; they need no `this`.
      files: [`${library}/testing/**/*.ts`],
      rules: { "typescript/unbound-method": "off" },
    },
    {
      files: ["*.config.ts"],
      rules: { "import/no-default-export": "off" },
    },
  ],
});
