/**
 * What `tsc` leaves undone: it gives the types, module by module, and here come the programs. The modules of a package are put
 * together in a few files, because to load some hundred of them takes longer than a small command has to do. The `.sql`
 * files that are read at run time are copied, and what is left of earlier builds is removed, so that a deleted module
 * can be neither imported nor packed.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";

import { rolldown } from "rolldown";

import library from "../packages/memento/package.json" with { type: "json" };

const root = path.dirname(import.meta.dirname);
const BUILD_STATE = ".tsbuildinfo";

interface Package {
  readonly folder: string;
  /** Modules that are imported by name, or loaded by their URL; first what nearly every program begins with. */
  readonly entries: readonly string[];
  /** The module that tells by its place where other files are: it stays there, alone. */
  readonly anchor: string;
}

const packages: readonly Package[] = [
  {
    folder: "packages/memento",
    entries: [
      ...publicEntries(),
      "store/sqlite/append-worker",
      "vault/pack-maker",
      "testing/sink/worker",
      "testing/store/worker",
    ],
    anchor: "core/own-files",
  },
  { folder: "apps/cli", entries: ["main", "checking/url-store"], anchor: "own-files" },
];

function publicEntries(): string[] {
  return Object.values(library.exports)
    .filter((target) => typeof target === "object")
    .map((target) => target.default.replace("./dist/", "").replace(/\.js$/u, ""));
}

async function finish({ folder, ...modules }: Package): Promise<void> {
  const from = path.join(root, folder, "src");
  const to = path.join(root, folder, "dist");
  const sources = await filesBelow(from);
  const outputs = new Map([...(await bundle(from, to, modules)), ...(await plainFiles(from, sources))]);
  const types = new Set(sources.filter((file) => file.endsWith(".ts")).map((file) => file.replace(/ts$/u, "d.ts")));
  for (const [file, content] of outputs) await write(path.join(to, file), content);
  for (const file of await filesBelow(to)) {
    const isType = types.has(file.replace(/\.map$/u, ""));
    if (file !== BUILD_STATE && !isType && !outputs.has(file)) await rm(path.join(to, file));
  }
}

/** Puts modules together; gives each file and what is in it. What other packages give is not taken in. */
async function bundle(
  from: string,
  to: string,
  { entries, anchor }: Omit<Package, "folder">,
): Promise<Map<string, string>> {
  await using build = await rolldown({
    input: Object.fromEntries(entries.map((entry) => [entry, path.join(from, `${entry}.ts`)])),
    cwd: root,
    platform: "node",
    external: (id) => !id.startsWith(".") && !path.isAbsolute(id),
    // A module's own statements are kept, whether anybody needs what it exports or not.
    treeshake: false,
  });
  const [anchorModule, mainModule] = [anchor, entries[0]].map((entry) => path.join(from, `${entry}.ts`));
  const { output } = await build.generate({
    dir: to,
    entryFileNames: "[name].js",
    chunkFileNames: ({ name }) => (name === anchor ? `${anchor}.js` : "[name]-[hash].js"),
    codeSplitting: {
      groups: [
        { name: anchor, test: (id) => id === anchorModule, priority: 2 },
        // What the first entry needs at once, all in one file.
        { name: "main", test: (id) => id === mainModule, priority: 1 },
      ],
    },
    sourcemap: true,
  });
  return new Map(output.map((file) => [file.fileName, file.type === "chunk" ? file.code : String(file.source)]));
}

async function plainFiles(from: string, sources: readonly string[]): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const file of sources) if (file.endsWith(".sql")) files.set(file, await readFile(path.join(from, file), "utf8"));
  return files;
}

/** Writes what differs: a program that is running may be loading it. */
async function write(file: string, content: string): Promise<void> {
  const present = await readFile(file, "utf8").catch(() => null);
  if (present === content) return;
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(file, content);
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

for (const each of packages) await finish(each);
