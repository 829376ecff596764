import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { operations } from "./operations.js";
import { socket, told } from "./socket.js";

export function open({ url, token }) {
  const ws = socket({ url, token });
  const client = new Client({
    url,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: ({ next, error, complete }) => ({
            unsubscribe: ws.subscribe({ query, variables }, { next, error: (problem) => error(told(problem)), complete }),
          }),
        }),
      }),
    ],
  });
  return {
    query: async (name, variables) => answered(await client.query(operations[name], variables ?? {})),
    mutate: async (name, variables) => answered(await client.mutation(operations[name], variables)),
    subscribe(name, { next, error }) {
      client.subscription(operations[name], {}).subscribe((result) => {
        try {
          next(answered(result));
        } catch (problem) {
          error(problem);
        }
      });
    },
  };
}

function answered({ data, error }) {
  if (error) {
    throw error;
  }
  return data;
}
