// One of the clients beside this file, driven by JSON lines: node driver.js <client>. Commands come on standard input,
// and everything that happens goes to standard output (npm.py is the other end).

import { createInterface } from "node:readline";

const { open } = await import(`./${process.argv[2]}.js`);
let client;

const commands = {
  open(options) {
    client = open(options);
  },
  renewals: ({ id }) => tell("next", { id, data: client.renewals() }),
  query: ({ id, name, variables }) => answer(id, client.query(name, variables)),
  mutate: ({ id, name, variables }) => answer(id, client.mutate(name, variables)),
  subscribe({ id, name }) {
    client.subscribe(name, {
      next: (data) => tell("next", { id, data }),
      error: (problem) => tell("error", { id, said: said(problem) }),
    });
  },
};

async function answer(id, promise) {
  try {
    tell("next", { id, data: await promise });
  } catch (problem) {
    tell("error", { id, said: said(problem) });
  }
}

// Every client has its own way to hand on what went wrong: all that is in there.
function said(problem) {
  return JSON.stringify([problem, problem?.message, problem?.cause, problem?.graphQLErrors, problem?.errors, problem?.networkError?.message, problem?.source]);
}

function tell(event, more = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...more })}\n`);
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: command, ...options } = JSON.parse(line);
  commands[command](options);
}
// Nobody is left to report to.
process.exit(0);
