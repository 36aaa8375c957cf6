// Starts the bench from any state of the tree, by any Node that npm runs on: installs what is missing, compiles the
// processes whose start is timed, and hands over to the bench's own Node. Everything it says goes to stderr.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const home = dirname(fileURLToPath(import.meta.url));
const inHome = (...parts) => join(home, ...parts);

function fail(message) {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(1);
}

/** True when the lock file changed after the last install, or when there was none. */
function dependenciesAreMissing() {
  const installed = inHome("node_modules", ".package-lock.json");
  return !existsSync(installed) || statSync(installed).mtimeMs < statSync(inHome("package-lock.json")).mtimeMs;
}

/** When a file below the folder was last written. */
function newestBelow(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((newest, entry) => Math.max(newest, statSync(join(entry.parentPath, entry.name)).mtimeMs), 0);
}

if (dependenciesAreMissing()) {
  process.stderr.write("bench: installing the peers (npm ci in bench/, about 500 MB)\n");
  const install = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { cwd: home, stdio: ["ignore", 2, 2] });
  if (install.status !== 0) fail("npm ci in bench/ failed, see above.");
}
if (!existsSync(inHome("..", "packages", "memento", "dist", "index.js"))) {
  fail("the library is not built. In the repository's root: npm ci && npm run build");
}
const library = inHome("..", "packages", "memento");
if (newestBelow(join(library, "src")) > newestBelow(join(library, "dist"))) {
  process.stderr.write("bench: the library's sources are newer than its build; what is measured is the build\n");
}
const node = inHome("node_modules", ".bin", "node");
if (!existsSync(node)) fail(`${node} is missing. In bench/: npm ci`);
const compile = spawnSync(
  node,
  [inHome("node_modules", "typescript", "bin", "tsc"), "-p", inHome("tsconfig.workers.json")],
  { stdio: ["ignore", 2, 2] },
);
if (compile.status !== 0) fail("the worker processes did not compile, see above.");

const bench = spawn(node, [inHome("src", "main.ts"), ...process.argv.slice(2)], { stdio: "inherit" });
// A terminal sends Ctrl-C to both processes; other signals are passed on, and the bench stops its servers.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => bench.kill("SIGTERM"));
bench.on("exit", (code, signal) => process.exit(code ?? (signal === "SIGINT" ? 130 : 1)));
