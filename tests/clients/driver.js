// A client of the package graphql-ws, driven by JSON lines: commands come on standard input, and everything that happens
// goes to standard output with its moment in milliseconds since 1970 (npm.py is the other end).

import { createInterface } from "node:readline";
import { createClient } from "graphql-ws";
import { WebSocket } from "ws";
import { session } from "./real/session.js";

let client;
let socket;
let reconnect;
const completes = new Map();

const commands = {
  // Connects at once. With `keepAlive` it pings that often; with `retries` it comes back after a drop, once it is told to.
  // With a `login` (real/session.js) it comes in with a token that is good, and for as long as somebody follows.
  connect({ url, payload, login, keepAlive = 0, retries = 0 }) {
    const kept = login && session(login);
    let isStale = false;
    client = createClient({
      url,
      webSocketImpl: WebSocket,
      connectionParams: kept
        ? async () => {
            if (isStale) {
              await kept.renew();
            }
            return { authorization: `Bearer ${kept.token}` };
          }
        : payload,
      lazy: kept !== undefined,
      keepAlive,
      retryAttempts: retries,
      retryWait: () =>
        new Promise((resolve) => {
          reconnect = resolve;
          tell("waiting");
        }),
      onNonLazyError: (problem) => tell("failed", said(problem)),
      on: {
        connected(opened) {
          socket = opened;
          tell("connected");
        },
        closed(event) {
          isStale = event.code === 4401;
          tell("closed", said(event));
        },
        ping: (received, payload) => tell("ping", { received, payload }),
        pong: (received, payload) => tell("pong", { received, payload }),
      },
    });
  },

  reconnect() {
    reconnect();
  },

  // Runs an operation. One that follows a feed gives its newest cursor as `after` whenever it has to subscribe again.
  subscribe({ id, query, variables = {}, feed }) {
    const complete = client.subscribe(
      { query, variables },
      {
        next(payload) {
          tell("next", { id, payload });
          if (feed !== undefined) {
            variables.after = payload.data[feed].cursor;
          }
        },
        error: (problem) => tell("error", { id, ...said(problem) }),
        complete: () => tell("complete", { id }),
      },
    );
    completes.set(id, complete);
  },

  complete({ id }) {
    completes.get(id)();
  },

  // Cuts the connection as a broken network does: without a close frame.
  drop() {
    socket.terminate();
  },
};

function tell(event, more = {}) {
  process.stdout.write(`${JSON.stringify({ event, at: Date.now(), ...more })}\n`);
}

function said(problem) {
  if (Array.isArray(problem)) {
    return { errors: problem };
  }
  return { code: problem.code, reason: problem.reason, message: problem.message };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: command, ...options } = JSON.parse(line);
  commands[command](options);
}
// Nobody is left to report to.
process.exit(0);
