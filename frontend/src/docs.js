/** Swagger UI over this server's OpenAPI document. */

import SwaggerUI from "swagger-ui-dist/swagger-ui-bundle.js";
import "swagger-ui-dist/swagger-ui.css";
import "./page.css";
import { buildBar } from "./bar.js";
import { currentToken, onTokenChange } from "./token.js";

const place = document.getElementById("page");
const bar = buildBar();

const dark = matchMedia("(prefers-color-scheme: dark)");
const followSystem = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followSystem);
followSystem();

const ui = SwaggerUI({
  domNode: place,
  url: new URL(place.dataset.openapi, location.href).href,
  validatorUrl: null, // else it would show somebody else's picture of what they think of the document
  requestInterceptor(request) {
    if (currentToken()) request.headers.Authorization ??= `Bearer ${currentToken()}`;
    return request;
  },
  responseInterceptor(response) {
    if (response.status === 401) bar.refused(currentToken());
    else if (response.ok) bar.accepted();
    return response;
  },
});
onTokenChange(() => ui.specActions.download());
