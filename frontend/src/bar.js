/** The bar on top of each page: where to go, which token is sent, and what to do when it is missing or refused. */

import { HOW_TO_GET_A_TOKEN, currentToken, expiryOf, onTokenChange, takeTokenFromAddress, useToken } from "./token.js";

const PAGES = [
  ["GraphiQL", "/graphql"],
  ["REST", "/api/docs"],
];

/** Builds the bar into #bar and returns what the page tells it: `accepted(authorization)`, `refused()`, `say(text, kind)`. */
export function buildBar() {
  const { field, status, offer } = draw(document.getElementById("bar"));
  let fromLink = null;

  function say(text, kind = "note") {
    status.replaceChildren(...withCode(text));
    status.dataset.kind = kind;
  }
  function show() {
    field.value = currentToken();
    accepted();
  }
  function accepted(authorization) {
    const token = currentToken();
    if (authorization && authorization !== `Bearer ${token}`) say("The Authorization of the headers editor is in use.", "fine");
    else say(...describe(token, expiryOf(token), new Date(), token === fromLink));
  }
  function useLinked(token) {
    fromLink = token;
    useToken(token);
  }
  /** Whoever made the link would otherwise choose as whom this tab goes on: it is asked first. */
  function arrive() {
    const token = takeTokenFromAddress();
    if (token === null || token === currentToken()) return;
    if (!currentToken()) useLinked(token);
    else if (token) ask(token);
  }
  function ask(token) {
    offer.replaceChildren(
      "A link brought another token than the one in use. ",
      choice("Use the link's", () => useLinked(token)),
      choice("Keep this one", () => {}),
    );
  }
  function choice(name, chosen) {
    const button = element("button", { type: "button" }, [name]);
    button.addEventListener("click", () => {
      offer.replaceChildren();
      chosen();
    });
    return button;
  }

  field.form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!useToken(field.value)) say(`That is no token. ${HOW_TO_GET_A_TOKEN}`, "problem");
  });
  field.form.addEventListener("reset", (event) => {
    event.preventDefault();
    useToken("");
  });
  addEventListener("hashchange", arrive);
  onTokenChange(show);
  show();
  arrive();
  return { say, accepted, refused: (authorization) => say(...describeRefusal(authorization)) };
}

function describe(token, expiry, now, isFromLink) {
  if (!token) return [`No token yet. ${HOW_TO_GET_A_TOKEN}`, "problem"];
  if (expiry && expiry <= now) return [`This token expired on ${expiry.toLocaleString()}. ${HOW_TO_GET_A_TOKEN}`, "problem"];
  const until = expiry ? ` until ${expiry.toLocaleString()}` : "";
  return [`Token in use${until}${isFromLink ? ", from a link" : ""}.`, "fine"];
}

function describeRefusal(authorization) {
  const what = authorization ? "The server refused this token." : "The server wants a token.";
  return [`${what} ${HOW_TO_GET_A_TOKEN}`, "problem"];
}

function draw(bar) {
  const field = element("input", {
    type: "text", // page.css covers it; a password field would have the browser offer to store the token
    name: "token",
    id: "token",
    placeholder: "paste a token",
    autocomplete: "off",
    spellcheck: false,
    title: "Sent as “Authorization: Bearer …”; kept in this tab only. An Authorization of your own in the headers goes first.",
  });
  const status = element("output", { id: "status" });
  const offer = element("div", { id: "offer", role: "alert" });
  const form = element("form", { id: "token-form" }, [
    element("label", { htmlFor: "token" }, ["Token"]),
    field,
    element("button", { type: "submit" }, ["Use"]),
    element("button", { type: "reset" }, ["Forget"]),
  ]);
  const links = PAGES.map(([name, href]) => {
    const link = element("a", { href }, [name]);
    if (location.pathname === href) link.setAttribute("aria-current", "page");
    return link;
  });
  bar.replaceChildren(element("strong", {}, ["graphql_app"]), element("nav", {}, links), form, status, offer);
  return { field, status, offer };
}

function element(name, properties, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** Text with its `backquoted` parts as <code>. */
function withCode(text) {
  return text.split("`").map((part, index) => (index % 2 ? element("code", {}, [part]) : part));
}
