/** The token of this browser tab: kept in sessionStorage, never in an address. */

const KEY = "graphql_app.token";
const listeners = new Set();

export const HOW_TO_GET_A_TOKEN = "Run `graphql-app token --role admin` on the server and paste what it prints.";

/** The token in use, or "" when there is none. */
export function currentToken() {
  return sessionStorage.getItem(KEY) ?? "";
}

/** Calls `listener` after every change of the token. */
export function onTokenChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Keeps a pasted token (with or without "Bearer "); an empty text forgets it. False when it cannot be a token. */
export function useToken(text) {
  const token = withoutScheme(text);
  if (!/^[\x21-\x7e]*$/.test(token)) return false; // a header could not carry it
  if (token) sessionStorage.setItem(KEY, token);
  else sessionStorage.removeItem(KEY);
  for (const listener of listeners) listener();
  return true;
}

/**
 * The token of a `#token=…` link, taken out of the address bar and the back button; null when there is none.
 * The browser's own list of visited addresses may keep it: such links want tokens that end soon.
 */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token === null) return null;
  history.replaceState(history.state, "", location.pathname + location.search);
  return withoutScheme(token);
}

function withoutScheme(text) {
  return text.trim().replace(/^bearer\s+/i, "");
}

/** When a JWT ends, as a Date; null when it does not say. */
export function expiryOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const { exp } = JSON.parse(atob(payload));
    return Number.isFinite(exp) ? new Date(exp * 1000) : null;
  } catch {
    return null;
  }
}
