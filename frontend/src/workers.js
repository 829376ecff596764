/** Monaco's language services run in workers of our own making, from our own address. */

/* global WORKERS -- label -> file beside this one; build.mjs fills it in */
globalThis.MonacoEnvironment = {
  getWorker: (_id, label) => new Worker(new URL(WORKERS[label] ?? WORKERS.editor, import.meta.url)),
};
