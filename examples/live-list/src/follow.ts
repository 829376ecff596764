// The loop that comes back, each time with the last cursor.

import { createClient } from 'graphql-ws';
import type { Desks, Feed } from './desks.js';

const SERVER = import.meta.env.VITE_SERVER ?? 'ws://127.0.0.1:8080/graphql';
const REFUSED = [4401, 4403]; // the token has ended, or is not accepted
const FOLLOW = `subscription ($after: Cursor) {
  workstationChanges(filter: { building: "总部A座", floorNumber: 3 }, after: $after) {
    kind cursor complete removed workstations { id name status }
  }
}`;

/** Keeps the desks true, until the token is refused. `show` is called after each payload, and when the line is cut. */
export async function follow(token: string, desks: Desks, show: (status: string) => void): Promise<void> {
  const client = connection(token);
  for (;;) {
    try {
      const request = { query: FOLLOW, variables: { after: desks.cursor } };
      for await (const { data, errors } of client.iterate<{ workstationChanges: Feed }>(request)) {
        if (!data) throw errors;
        if (desks.take(data.workstationChanges)) show('live');
      }
      show('again, because the server has ended it');
    } catch (problem) {
      const { code, reason, message } = [problem].flat()[0] as { code?: number; reason?: string; message?: string };
      if (code && REFUSED.includes(code)) return show(`the token is refused: ${reason}`);
      show(`again, because ${reason || message || 'the line is cut'}`);
    }
    desks.cutOff();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

function connection(token: string) {
  let silence: number; // since a ping of ours that has no answer yet
  const client = createClient({
    url: SERVER,
    connectionParams: { authorization: `Bearer ${token}` },
    retryAttempts: 0, // its own attempts repeat the cursor that they began with
    connectionAckWaitTimeout: 10_000,
    keepAlive: 10_000,
    on: {
      ping: (received) => {
        if (!received) silence = window.setTimeout(() => client.terminate(), 10_000);
      },
      pong: (received) => {
        if (received) clearTimeout(silence);
      },
      closed: () => clearTimeout(silence),
    },
  });
  return client;
}
