import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { authExchange } from "@urql/exchange-auth";
import { operations } from "./operations.js";
import { session } from "./session.js";
import { socket, told } from "./socket.js";

// With a `refreshToken` the login is kept up.
export function open({ url, token, refreshToken }) {
  const login = session({ url, token, refreshToken });
  const ws = socket({ url, token, login: refreshToken && login });
  const client = new Client({
    url,
    preferGetMethod: false,
    exchanges: [
      authExchange(async ({ appendHeaders }) => ({
        addAuthToOperation: (operation) => appendHeaders(operation, { authorization: `Bearer ${login.token}` }),
        didAuthError: ({ graphQLErrors, response }) =>
          refreshToken !== undefined &&
          (response?.status === 401 || graphQLErrors.some((one) => one.extensions?.code === "UNAUTHENTICATED")),
        refreshAuth: () => login.renew(),
      })),
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
    renewals: () => login.renewals,
    query: async (name, variables) => answered(await client.query(operations[name], variables ?? {})),
    mutate: async (name, variables) => answered(await client.mutation(operations[name], variables)),
    subscribe(name, { next, error }) {
      const following = client.subscription(operations[name], {}).subscribe((result) => {
        // For graphql-ws a 4401 is the end of what ran on the socket: whoever follows asks again.
        if (refreshToken && result.error?.networkError?.code === 4401) {
          following.unsubscribe();
          setTimeout(() => this.subscribe(name, { next, error }), 100);
          return;
        }
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
