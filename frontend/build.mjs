// Bundles the pages into graphql_app/pages/static/bundle, with a manifest.json that names each page's files.

import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const bundle = join(here, "../graphql_app/pages/static/bundle");
const staging = join(here, "node_modules/.bundle"); // the old bundle serves until the new one is whole

const COMMON = {
  absWorkingDir: here,
  outdir: staging,
  bundle: true,
  minify: true,
  metafile: true,
  entryNames: "[name]-[hash]",
  chunkNames: "chunk-[hash]",
  target: ["es2022"],
  legalComments: "none", // LICENSES.txt has them all
  logLevel: "warning",
  define: { "process.env.NODE_ENV": '"production"' },
};

const WORKERS = {
  editor: "monaco-editor/esm/vs/editor/editor.worker.js",
  json: "monaco-editor/esm/vs/language/json/json.worker.js",
  graphql: "monaco-graphql/esm/graphql.worker.js",
};

const PAGES = { graphiql: "src/graphiql.jsx", docs: "src/docs.js" };

// graphiql/style.css carries Monaco's styles already; those that Monaco's modules import would come a second time.
const noStylesOfMonaco = {
  name: "no-styles-of-monaco",
  setup: ({ onLoad }) => onLoad({ filter: /monaco-editor[\\/].*\.css$/ }, () => ({ contents: "", loader: "js" })),
};

const outputs = ({ metafile }) => Object.entries(metafile.outputs).map(([path, about]) => ({ name: basename(path), ...about }));

function nameOfWorker(outputs, source) {
  return outputs.find(({ entryPoint }) => entryPoint?.endsWith(source)).name;
}

function filesOfPage(outputs, source) {
  const { name, cssBundle } = outputs.find(({ entryPoint }) => entryPoint === source);
  return { js: name, css: basename(cssBundle) };
}

function map(table, change) {
  return Object.fromEntries(Object.entries(table).map(([key, value]) => [key, change(value)]));
}

function packagesOf(results) {
  const inputs = results.flatMap(({ metafile }) => Object.keys(metafile.inputs));
  const folders = inputs.map((path) => path.match(/^node_modules\/(?:@[^/]+\/)?[^/]+/)?.[0]);
  return [...new Set(folders.filter(Boolean))].sort();
}

async function licenceOf(folder) {
  const { name, version, license } = JSON.parse(await readFile(join(here, folder, "package.json"), "utf8"));
  const files = (await readdir(join(here, folder))).filter((file) => /^(licen[cs]e|notice|.*\.license\.txt$)/i.test(file));
  const texts = await Promise.all(files.sort().map((file) => readFile(join(here, folder, file), "utf8")));
  return [`${name} ${version} (${license})`, ...texts].join("\n\n");
}

// gzip, not brotli: browsers ask for brotli over TLS only.
async function compress(name) {
  const bytes = await readFile(join(staging, name));
  await writeFile(join(staging, `${name}.gz`), await promisify(gzip)(bytes, { level: 9 }));
}

await rm(staging, { recursive: true, force: true });
const workers = await build({ ...COMMON, entryPoints: Object.values(WORKERS).map((path) => `node_modules/${path}`), format: "iife" });
const workerNames = map(WORKERS, (source) => nameOfWorker(outputs(workers), source));
const pages = await build({
  ...COMMON,
  entryPoints: Object.values(PAGES),
  format: "esm",
  splitting: true,
  jsx: "automatic",
  loader: { ".ttf": "dataurl" },
  define: { ...COMMON.define, WORKERS: JSON.stringify(workerNames) },
  plugins: [noStylesOfMonaco],
});

const made = [...outputs(workers), ...outputs(pages)];
const manifest = { ...map(PAGES, (source) => filesOfPage(made, source)), workers: Object.values(workerNames) };
const licences = await Promise.all(packagesOf([workers, pages]).map(licenceOf));
await writeFile(join(staging, "manifest.json"), JSON.stringify(manifest, null, 2));
await writeFile(join(staging, "LICENSES.txt"), licences.join(`\n\n${"=".repeat(80)}\n\n`));
await Promise.all(made.map(({ name }) => compress(name)));

await rm(bundle, { recursive: true, force: true });
await mkdir(dirname(bundle), { recursive: true });
await rename(staging, bundle);

const megabytes = (made.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6).toFixed(1);
console.log(`${made.length} files, ${megabytes} MB before compression, in ${bundle}`);
