/** How GraphiQL talks to the server: HTTP for queries and mutations, graphql-ws for subscriptions, one token for both. */

import { OperationTypeNode, getOperationAST, parse } from "graphql";
import { createClient } from "graphql-ws";
import { HOW_TO_GET_A_TOKEN, currentToken } from "./token.js";

const CLOSED_UNAUTHENTICATED = [4401, 4403];

/**
 * A GraphiQL fetcher for `url`.
 *
 * `report` is told what happened: `accepted(authorization, isIntrospection)`, `refused(authorization)`, and `lost()` when
 * a socket is about to be connected again.
 */
export function createFetcher(url, report) {
  return (params, options) => {
    const headers = requestHeaders(options?.headers);
    if (params.operationName === "IntrospectionQuery") return introspect(url, params, headers, report);
    const operation = chosenOperation(params);
    const request = operation ? { ...params, operationName: operation.name?.value } : params;
    if (operation?.operation === OperationTypeNode.SUBSCRIPTION) {
      return subscription(url, request, headers.get("authorization"), report);
    }
    return post(url, request, headers, report);
  };
}

/** The headers editor's, over the token field's; names in any case. */
function requestHeaders(fromEditor) {
  const headers = new Headers({
    accept: "application/graphql-response+json, application/json;q=0.9",
    "content-type": "application/json",
  });
  if (currentToken()) headers.set("authorization", `Bearer ${currentToken()}`);
  for (const [name, value] of Object.entries(fromEditor ?? {})) headers.set(name, value);
  return headers;
}

/** The operation to run; right after an edit GraphiQL may still name one that is gone. */
function chosenOperation({ query, operationName }) {
  try {
    const document = parse(query);
    return getOperationAST(document, operationName) ?? getOperationAST(document);
  } catch {
    return null; // not GraphQL: the server says where
  }
}

/** The schema. Rejects where `post` would answer errors: GraphiQL asks twice on errors. */
async function introspect(url, params, headers, report) {
  // Asking without a token is in vain, and would only put an error on the browser's console.
  if (!headers.has("authorization")) throw new Error(`No token yet. ${HOW_TO_GET_A_TOKEN}`);
  const result = await post(url, params, headers, report, true);
  if (!result.data) throw new Error(result.errors?.map(({ message }) => message).join("\n") ?? "The server sent no schema.");
  return result;
}

async function post(url, params, headers, report, isIntrospection = false) {
  const authorization = headers.get("authorization");
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(params) }).catch((error) => error);
  if (response instanceof Error) return failure(`The server cannot be reached: ${response.message}.`);
  const result = await response.json().catch(() => null);
  if (response.status === 401 || isRefusal(result?.errors)) {
    report.refused(authorization);
  } else if (response.ok) {
    report.accepted(authorization, isIntrospection);
  }
  return result ?? failure(`The server answered ${response.status} ${response.statusText}, without JSON.`);
}

/** An observable, as GraphiQL likes it. Each subscription has a lazy client of its own: no token meets another's socket. */
function subscription(url, params, authorization, report) {
  return {
    subscribe(observer) {
      const client = createClient({
        url: url.replace(/^http/, "ws"),
        connectionParams: authorization ? { authorization } : {},
        lazy: true,
        retryAttempts: 10,
        shouldRetry: (event) => !CLOSED_UNAUTHENTICATED.includes(event?.code),
        on: {
          connecting: (isRetry) => isRetry && report.lost(),
          connected: () => report.accepted(authorization, false),
        },
      });
      const unsubscribe = client.subscribe(params, {
        next(result) {
          if (isRefusal(result.errors)) report.refused(authorization);
          observer.next(result);
        },
        error(problem) {
          if (CLOSED_UNAUTHENTICATED.includes(problem?.code) || isRefusal(problem)) report.refused(authorization);
          observer.error(problem instanceof CloseEvent ? closed(problem) : problem);
        },
        complete: () => observer.complete(),
      });
      return { unsubscribe };
    },
  };
}

function isRefusal(errors) {
  return Array.isArray(errors) && errors.some((error) => error?.extensions?.code === "UNAUTHENTICATED");
}

function failure(message) {
  return { errors: [{ message }] };
}

function closed({ code, reason }) {
  const advice = CLOSED_UNAUTHENTICATED.includes(code) ? ` ${HOW_TO_GET_A_TOKEN}` : "";
  return failure(`The socket was closed: ${code} ${reason || "without a reason"}.${advice}`).errors;
}
